"""How a run is doing, beside its losses: size of the updates, speed, time waiting for data, use of the device, memory.

Draws no random numbers that training would draw, and waits for the device at logging steps only.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from joyvasa.lit.csv_logger import SPEED

# Dense bf16, NVIDIA's data sheets; the first whose name is in the device's.
PEAK_TFLOPS = {"A100": 312.0, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "H200": 989.0}
FORWARD_AND_BACKWARD = 3  # a backward pass is two products for each one of the forward pass


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all tensors together, on their device."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))


def known_peak(device: torch.device) -> float | None:
    """TFLOP/s that the device is sold with, None where it is not in the table."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in PEAK_TFLOPS.items() if known in name), None)


def step_flops(trainer: pl.Trainer, module: pl.LightningModule, batch: dict) -> float:
    """FLOPs of what is trained, forward and backward, for one batch; a frozen encoder's are left out.

    Counted by one more forward pass, uncompiled; random numbers are as they were before it.
    """
    generator, numpy_state = module.generator, np.random.get_state()
    devices = [module.device] if module.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.compiler.set_stance("force_eager"),
        torch.no_grad(),
        trainer.precision_plugin.forward_context(),
        FlopCounterMode(display=False) as counter,
    ):
        generator(batch, batch["history"])
    np.random.set_state(numpy_state)
    flops = counter.get_total_flops()
    if generator.encoder.frozen:
        flops -= sum(counter.get_flop_counts().get(f"{type(generator).__name__}.encoder", {}).values())
    return float(FORWARD_AND_BACKWARD * flops)


class Monitor(pl.Callback):
    """Every `trainer.log_every_n_steps` steps, on rank 0:

    train/update_norm            norm of the optimizer's step over the norm of the trained weights
    speed/examples_per_second    of all ranks; validation, samples and checkpoints are left out of the time
    speed/data_wait              share of that time waiting for the next batch
    speed/mfu                    `step_flops` over what the device could do in that time; `peak_tflops` (null: from
                                 `PEAK_TFLOPS`), left out for a device that is not there
    speed/memory_gib             the most so far: of the device's memory, without a GPU of the process's
    """

    def __init__(self, *, peak_tflops: float | None):
        self.peak_tflops = peak_tflops
        self._flops: dict[tuple, float] = {}  # by the batch's shape

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._peak = self.peak_tflops or known_peak(pl_module.device)
        self._logged, self._before = trainer.global_step, None
        self._waited = trainer.train_dataloader.wait_seconds
        self._begin()

    def _begin(self) -> None:
        self._busy, self._examples, self._done_flops = 0.0, 0, 0.0

    def on_train_batch_start(self, trainer, pl_module, batch: dict, batch_idx: int) -> None:
        if not trainer.is_global_zero:
            return
        if self._peak:
            shape = (*batch["motion"].shape, batch["history"])
            if shape not in self._flops:
                self._flops[shape] = step_flops(trainer, pl_module, batch)
            self._done_flops += self._flops[shape]
        self._examples += len(batch["motion"]) * trainer.world_size
        self._began = time.perf_counter()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if trainer.is_global_zero and (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
            self._before = [p.detach().clone() for p in _trained(pl_module)]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        step = trainer.global_step
        if not trainer.is_global_zero:
            return
        values = {}
        if step != self._logged and step % trainer.log_every_n_steps == 0:
            self._logged = step
            values["train/update_norm"] = self._update_norm(pl_module)
        self._busy += time.perf_counter() - self._began
        if values:
            values |= {f"{SPEED}{name}": value for name, value in self._speed(trainer, pl_module.device).items()}
            for logger in trainer.loggers:
                logger.log_metrics(values, step=step - 1)  # curves count from 0
            self._begin()

    def _update_norm(self, module: pl.LightningModule) -> float:
        """Reading the value waits for the device, so that the time taken next is that of finished work."""
        after, before, self._before = [p.detach() for p in _trained(module)], self._before, None
        torch._foreach_sub_(before, after)
        return (total_norm(before) / total_norm(after).clamp(min=1e-30)).item()

    def _speed(self, trainer: pl.Trainer, device: torch.device) -> dict[str, float]:
        waited = trainer.train_dataloader.wait_seconds
        wait, self._waited = waited - self._waited, waited
        seconds = self._busy + wait
        values = {"examples_per_second": self._examples / seconds, "data_wait": wait / seconds}
        if self._peak:
            values["mfu"] = self._done_flops / seconds / (self._peak * 1e12)
        if device.type == "cuda":
            values["memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        else:
            values["memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return values


def _trained(module: pl.LightningModule) -> list[Tensor]:
    return [p for p in module.parameters() if p.requires_grad]
