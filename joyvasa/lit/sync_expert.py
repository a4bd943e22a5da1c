"""Training of the sync expert, as MotionModule trains a generator: same gradient over ranks, resume and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from joyvasa.lit.module import MotionModule
from joyvasa.models.losses import LossValue
from joyvasa.models.sync_expert import ShiftContrast, SyncExpert


class SyncModule(MotionModule):
    """Trains a SyncExpert on the batches of `MotionData`: both windows of an example are one stretch of the clip.

    Negatives come from the batch of one rank: more ranks see more anchors, not more candidates each.
    """

    def __init__(
        self,
        *,
        expert: SyncExpert,
        loss: ShiftContrast,
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        schedule: Callable[[int], float],
        encoder_lr: float | None,
        seed: int,
    ):
        super().__init__(
            generator=expert, loss=loss, optimizer=optimizer, schedule=schedule, encoder_lr=encoder_lr, seed=seed
        )
        self.val_hit = MeanMetric(nan_strategy="ignore")

    @property
    def expert(self) -> SyncExpert:
        return self.generator

    def _step(self, batch: dict) -> LossValue:
        return self.loss(*self.expert(batch), self.expert.scale)

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """Logs `val/loss`, and `val/hit`: the share of windows whose own shift is found to a frame among ±15."""
        value = self._step(batch)
        if value.count > 0:
            self.val_loss.update(value.total / value.count, value.count)
            self.val_hit.update(value.terms["hit"], value.count)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/hit", self.val_hit, on_step=False, on_epoch=True)
        return value.total
