"""The LightningModule: one step for training and validation, gradients normalised by the count over all ranks.

B examples, N window frames; a step sees 2B windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from joyvasa.features import FeatureSpec
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.losses import MotionLoss


class MotionModule(pl.LightningModule):
    """Trains a MotionGenerator. `optimizer(params)` and `schedule(optimizer)` are built by the configuration.

    Masked losses are sums over valid frames. They are divided by the number of valid frames of all ranks and
    accumulation steps together, once, before the optimizer's step, so that neither the number of processes nor
    accumulation changes the gradient.
    """

    def __init__(
        self,
        *,
        generator: MotionGenerator,
        loss: MotionLoss,
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        schedule: Callable[[int], float],
        seed: int,
    ):
        super().__init__()
        self.generator, self.loss = generator, loss
        self._make_optimizer, self._schedule, self._seed = optimizer, schedule, seed
        self.val_loss = MeanMetric()
        self.register_buffer("_valid_frames", torch.zeros(()), persistent=False)

    def _step(self, batch: dict) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Terms (2B, N) by name, their weighted sum (2B, N), and each frame's weight (2B, N)."""
        view = self.generator(batch, batch["history"])
        terms = self.loss.terms(view)
        window = batch["motion"].shape[1] // 2
        weight = torch.cat((batch["valid"] * batch["weight"][:, None]).split(window, 1))
        return terms, self.loss.total(terms), weight

    def on_train_batch_start(self, batch: dict, batch_idx: int) -> None:
        # Dropout then depends on (seed, step, rank) alone: a resumed run draws what the uninterrupted one drew.
        torch.manual_seed((self._seed * 1_000_003 + self.global_step * 1_009 + batch_idx) * 64 + self.global_rank)

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        terms, total, weight = self._step(batch)
        frames = weight.sum()
        self._valid_frames += frames.detach()
        means = {
            f"train/{name}": (value.detach() * weight).sum() / frames.clamp(min=1) for name, value in terms.items()
        }
        means["train/loss"] = (total.detach() * weight).sum() / frames.clamp(min=1)
        self.log("loss", means["train/loss"], prog_bar=True, logger=False)
        self.log_dict(means)
        # Lightning averages over ranks and accumulation steps; undo both, and divide by the true count below.
        return (total * weight).sum() * self.trainer.world_size * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        frames = self.trainer.strategy.reduce(self._valid_frames.clone(), reduce_op="sum")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_div_(gradients, frames.clamp(min=1))
        self._valid_frames.zero_()

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        if gradient_clip_val:
            norm = torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
            self.log("train/gradient_norm", norm)

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        _, total, weight = self._step(batch)
        frames = weight.sum()
        if frames > 0:
            self.val_loss.update((total * weight).sum() / frames, frames)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> dict:
        optimizer = self._make_optimizer(p for p in self.parameters() if p.requires_grad)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["feature_spec"] = asdict(self.generator.encoder.spec)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        FeatureSpec(**checkpoint["feature_spec"]).require(self.generator.encoder.spec, "the configured encoder")
