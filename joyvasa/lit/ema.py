"""Exponential moving average of the trained weights.

Lightning's own `EMAWeightAveraging` keeps the average as the checkpoint's `state_dict`, saves the two swapped after an
error in validation, and resumes from the average when the callback is missing. Here `state_dict` is always the trained
weights and the average lies beside it, in this callback's state.
"""

from __future__ import annotations

from contextlib import contextmanager

import lightning.pytorch as pl
import torch


class EMA(pl.Callback):
    """average += (1 - d) (weights - average) after each optimizer step, d = min(decay, (1 + n) / (10 + n)).

    Validation and samples see the average. Integer buffers and frozen weights are not averaged.
    """

    def __init__(self, *, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"callbacks.ema.decay={decay}: expected 0 <= decay < 1")
        self.decay, self.updates = decay, 0
        self.average: dict[str, torch.Tensor] = {}

    @property
    def state_key(self) -> str:
        return "EMA"

    @staticmethod
    def _trained(module: pl.LightningModule) -> dict[str, torch.Tensor]:
        return {name: p for name, p in module.named_parameters() if p.requires_grad}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trained = self._trained(pl_module)
        if set(self.average) - set(trained) or (self.average and set(trained) - set(self.average)):
            raise ValueError(
                "the checkpoint's moving average is of another model; resume with the settings it was made with"
            )
        self.average = {name: self.average.get(name, p.detach()).to(p.device).clone() for name, p in trained.items()}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.updates:  # accumulating: no optimizer step was made
            return
        self.updates = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        trained = [p.detach() for p in self._trained(pl_module).values()]
        torch._foreach_lerp_(list(self.average.values()), trained, 1 - decay)

    @contextmanager
    def swapped(self, module: pl.LightningModule):
        """The averaged weights in the module, the trained ones put back whatever happens."""
        trained = self._trained(module)
        kept = {name: p.detach().clone() for name, p in trained.items()}
        with torch.no_grad():
            for name, p in trained.items():
                p.copy_(self.average[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, p in trained.items():
                    p.copy_(kept[name])

    def on_validation_start(self, trainer, pl_module) -> None:
        if self.average:
            self._swap = self.swapped(pl_module)
            self._swap.__enter__()

    def on_validation_end(self, trainer, pl_module) -> None:
        swap = self.__dict__.pop("_swap", None)
        if swap:
            swap.__exit__(None, None, None)

    def on_exception(self, trainer, pl_module, exception) -> None:
        self.on_validation_end(trainer, pl_module)

    def state_dict(self) -> dict:
        return {"average": {name: value.cpu() for name, value in self.average.items()}, "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        self.average, self.updates = dict(state["average"]), state["updates"]
