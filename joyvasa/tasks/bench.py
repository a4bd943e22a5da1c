"""task=bench: where a training step of the configured experiment spends its time, its memory, its speed.

The step is Lightning's own, with the model, data and precision that task=train would build; callbacks and loggers are
left out, and so is gradient accumulation.
"""

from __future__ import annotations

import logging
import os
import resource
import statistics
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from joyvasa.lit.monitor import known_peak, step_flops
from joyvasa.tasks.build import build_module, prepare_dataset
from joyvasa.tasks.runs import agree_on_run_id, write_json
from joyvasa.tasks.train import EXPECTED, build_data, check_ready

PARTS = ("data", "encoder", "forward", "backward", "optimizer")
Mark = "torch.cuda.Event | float"


class StepClock(pl.Callback):
    """Takes the time of each part of every step behind the first `warmup` ones: by events on a GPU, which do not make
    it wait, else by the clock.

    data: waiting for the batch. encoder: its forward pass, none where features are cached or batches carry them.
    forward: the rest of the forward pass and the loss. optimizer: normalising and clipping gradients, the step.
    """

    def __init__(self, *, warmup: int):
        self.warmup, self.flops, self.batch_size = warmup, 0.0, 0
        self._rows: list[dict] = []
        self._starts: list[float] = []
        self._row: dict = {}

    def _mark(self) -> Mark:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def on_train_start(self, trainer, pl_module) -> None:
        self._cuda, self._waited = pl_module.device.type == "cuda", 0.0
        encoder = pl_module.generator.encoder
        encoder.register_forward_pre_hook(lambda *_: self._row.setdefault("encoder", []).append(self._mark()))
        encoder.register_forward_hook(lambda *_: self._row["encoder"].append(self._mark()))

    def on_train_batch_start(self, trainer, pl_module, batch: dict, batch_idx: int) -> None:
        if trainer.global_step == 0:
            self.batch_size = len(batch["motion"])
            self.flops = step_flops(trainer, pl_module, batch)
        if trainer.global_step == self.warmup and self._cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        waited = trainer.train_dataloader.wait_seconds
        self._starts.append(time.perf_counter())
        self._row = {"data": waited - self._waited, "begin": self._mark()}
        self._waited = waited

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        self._row["forward"] = self._mark()

    def on_after_backward(self, trainer, pl_module) -> None:
        self._row["backward"] = self._mark()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._rows.append(self._row | {"optimizer": self._mark()})

    def on_train_end(self, trainer, pl_module) -> None:
        if self._cuda:
            torch.cuda.synchronize()
        self._starts.append(time.perf_counter())

    def seconds(self) -> dict[str, float]:
        """Median of each part, of the whole step (from its beginning to that of the next), and of the rest of it."""
        rows = [self._split(row) for row in self._rows]
        waits = [row["data"] for row in rows[1:]] + [0.0]  # a step waits for the batch of the one behind it
        for row, wait, begun, ended in zip(rows, waits, self._starts, self._starts[1:], strict=False):
            row["step"] = ended - begun
            row["rest"] = max(0.0, row["step"] - wait - sum(row[part] for part in PARTS[1:]))
        return {part: statistics.median(row[part] for row in rows[self.warmup :]) for part in (*PARTS, "rest", "step")}

    def _split(self, row: dict) -> dict[str, float]:
        def between(start, end) -> float:
            return start.elapsed_time(end) / 1000 if self._cuda else end - start

        marks = row.get("encoder", [])
        encoder = sum(between(*pair) for pair in zip(marks[::2], marks[1::2], strict=True))
        return {
            "data": row["data"],
            "encoder": encoder,
            "forward": between(row["begin"], row["forward"]) - encoder,
            "backward": between(row["forward"], row["backward"]),
            "optimizer": between(row["backward"], row["optimizer"]),
        }


def bench(cfg: DictConfig, overrides: list[str]) -> int:
    """`bench.steps` steps behind `bench.warmup`; prints a table, writes bench.json under `out=` or a run folder."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=EXPECTED)
    check_ready(cfg)
    dataset = prepare_dataset(cfg)
    module, clock = build_module(cfg, dataset.stats), StepClock(warmup=cfg.bench.warmup)
    trainer = instantiate(
        cfg.trainer,
        max_steps=cfg.bench.warmup + cfg.bench.steps,
        max_epochs=-1,
        limit_val_batches=0,
        accumulate_grad_batches=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=None,
    )
    trainer.fit(module, datamodule=build_data(cfg, dataset, module))
    if trainer.is_global_zero:
        folder = Path(cfg.out) if cfg.out else Path(cfg.paths.runs, cfg.name, agree_on_run_id(cfg))
        facts = measured(trainer, clock, module) | {"overrides": overrides, "bench_steps": cfg.bench.steps}
        write_json(folder / "bench.json", facts)
        print(f"{described(facts)}\nbench     {folder / 'bench.json'}", flush=True)
    return 0


def measured(trainer: pl.Trainer, clock: StepClock, module: pl.LightningModule) -> dict:
    """What is written: seconds of the parts, examples a second, memory, FLOPs, their share of the device's peak."""
    seconds, device = clock.seconds(), module.device
    cuda, peak = device.type == "cuda", known_peak(device)
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    memory = torch.cuda.max_memory_allocated(device) if cuda else process
    rate = clock.flops / seconds["step"]
    return {
        "device": torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads",
        "precision": str(trainer.precision),
        "world_size": trainer.world_size,
        "batch_size": clock.batch_size,
        "parameters": sum(p.numel() for p in module.parameters()),
        "seconds": seconds,
        "examples_per_second": clock.batch_size * trainer.world_size / seconds["step"],
        "data_wait": seconds["data"] / seconds["step"],
        "memory_gib": memory / 2**30,
        "tflop_per_step": clock.flops / 1e12,
        "tflops": rate / 1e12,
        "mfu": rate / (peak * 1e12) if peak else None,
        "load_average": os.getloadavg()[0],
    }


def described(facts: dict) -> str:
    """The table: a line a part, then what belongs to the whole step."""
    seconds, step = facts["seconds"], facts["seconds"]["step"]
    head = f"{facts['device']}, {facts['precision']}; {facts['world_size']} x {facts['batch_size']} examples; "
    lines = [f"{head}{facts['parameters'] / 1e6:.2f} M parameters; median of {facts['bench_steps']} steps", ""]
    lines += [f"{name:<14}{1000 * value:>10.2f} ms {100 * value / step:>5.1f} %" for name, value in seconds.items()]
    mfu = "no peak known for this device" if facts["mfu"] is None else f"{100 * facts['mfu']:.1f} % of its peak (MFU)"
    return "\n".join(
        [
            *lines,
            "",
            f"{facts['examples_per_second']:.1f} examples/s; {facts['memory_gib']:.2f} GiB at most; "
            f"{facts['tflop_per_step']:.4g} TFLOP a step, {facts['tflops']:.3g} TFLOP/s: {mfu}",
            f"load of the machine {facts['load_average']:.1f}",
        ]
    )
