"""The LightningModule: one step for training and validation, gradients normalised by the count over all ranks.

B examples, N window frames; a step sees 2B windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from joyvasa.features import FeatureSpec
from joyvasa.lit.finite import norms
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.losses import LossValue, MotionLoss
from joyvasa.models.official_loss import OfficialLoss


class MotionModule(pl.LightningModule):
    """Trains a MotionGenerator. `optimizer(params)` and `schedule(step)` are built by the configuration.

    A loss is a sum and the number it is to be divided by: frames that count, or for the published loss examples. The
    division is by the numbers of all ranks and accumulation steps together, once, before the optimizer's step, so that
    neither the number of processes nor accumulation changes the gradient (of the published loss, where windows are cut,
    they do: its terms are means over each batch). A speech encoder that is fine-tuned may have its own learning
    rate, `encoder_lr`; a frozen one is not in the checkpoints, for its weights are elsewhere and its hash is there.
    """

    def __init__(
        self,
        *,
        generator: MotionGenerator,
        loss: MotionLoss | OfficialLoss,
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        schedule: Callable[[int], float],
        encoder_lr: float | None,
        seed: int,
    ):
        super().__init__()
        self.generator, self.loss = generator, loss
        self._make_optimizer, self._schedule, self._seed = optimizer, schedule, seed
        self._encoder_lr = encoder_lr
        self.val_loss = MeanMetric(nan_strategy="ignore")  # the Finite callback stops for it, and names the clip
        # What the gradients are divided by, and how many of the losses were not finite.
        self.register_buffer("_counted", torch.zeros(2), persistent=False)
        # Of the last step, for the Finite callback: means of the loss terms, losses that were not finite on any rank,
        # names and norms of the gradients.
        self.last_terms: dict[str, Tensor] = {}
        self.bad_losses: Tensor = torch.zeros(())
        self.gradient_norms: tuple[list[str], Tensor] | None = None

    def _step(self, batch: dict) -> LossValue:
        window = batch["motion"].shape[1] // 2
        weight = torch.cat((batch["valid"] * batch["weight"][:, None]).split(window, 1))
        return self.loss(self.generator(batch, batch["history"]), weight)

    def on_train_batch_start(self, batch: dict, batch_idx: int) -> None:
        # Dropout then depends on (seed, step, rank) alone: a resumed run draws what the uninterrupted one drew.
        drawn = (self._seed * 1_000_003 + self.global_step * 1_009 + batch_idx) * 64 + self.global_rank
        torch.manual_seed(drawn)
        np.random.seed(drawn % 2**32)  # noqa: NPY002  # SpecAugment of transformers draws from numpy's global state

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        value = self._step(batch)
        loss = value.total.detach()
        self._counted += torch.stack((value.count.detach().to(loss.dtype), (~torch.isfinite(loss)).to(loss.dtype)))
        means = {f"train/{name}": mean for name, mean in value.terms.items()}
        means["train/loss"] = loss / value.count.clamp(min=1)
        self.last_terms = {name: mean.detach() for name, mean in means.items()}
        self.log("loss", means["train/loss"], prog_bar=True, logger=False)
        self.log_dict(means)
        # Lightning averages over ranks and accumulation steps; undo both, and divide by the true count below.
        return value.total * self.trainer.world_size * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        counted, self.bad_losses = self.trainer.strategy.reduce(self._counted.clone(), reduce_op="sum")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_div_(gradients, counted.clamp(min=1))
        self._counted.zero_()

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        """Clip by the norm of all gradients together, where a value is given; the norms are kept either way."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if gradient_clip_val and scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ValueError(
                "trainer.precision=16-mixed: a fused optimizer is given scaled gradients, which cannot be clipped; "
                "set optim.optimizer.fused=false, or trainer.precision=bf16-mixed"
            )
        named = [(name, p) for name, p in self.named_parameters() if p.grad is not None]
        by_parameter = norms([p.grad for _, p in named])
        self.gradient_norms = ([name for name, _ in named], by_parameter)
        if gradient_clip_val:
            norm = torch.linalg.vector_norm(by_parameter)
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)
            self.log("train/gradient_norm", norm)

    def validation_step(self, batch: dict, batch_idx: int) -> Tensor:
        """Logs `val/loss`; returns the sum of the losses of this batch."""
        value = self._step(batch)
        if value.count > 0:
            self.val_loss.update(value.total / value.count, value.count)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        return value.total

    def configure_optimizers(self) -> dict:
        optimizer = self._make_optimizer(self._parameter_groups())
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _parameter_groups(self) -> list:
        trained = [p for p in self.parameters() if p.requires_grad]
        if self._encoder_lr is None:
            return trained
        encoder = {id(p) for p in self.generator.encoder.parameters()}
        if not any(id(p) in encoder for p in trained):
            raise ValueError("optim.encoder_lr is set, but the encoder is frozen; encoder.frozen=false fine-tunes it")
        return [
            {"params": [p for p in trained if id(p) not in encoder]},
            {"params": [p for p in trained if id(p) in encoder], "lr": self._encoder_lr},
        ]

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["feature_spec"] = asdict(self.generator.encoder.spec)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        FeatureSpec(**checkpoint["feature_spec"]).require(self.generator.encoder.spec, "the configured encoder")
        if self._trainer is not None:  # resumed, not loaded for scoring
            self._keep_configured_rate(checkpoint)

    def _keep_configured_rate(self, checkpoint: dict) -> None:
        """Let the configured learning rate and schedule hold from here on; Lightning would take the saved ones.

        Nothing is touched where they are the same. Where a run is prolonged, its schedule has another end.
        """
        rates = [group["lr"] for group in self._make_optimizer(self._parameter_groups()).param_groups]
        settings = dict(vars(self._schedule)) if hasattr(self._schedule, "__dict__") else None
        for saved, optimizer in zip(checkpoint["lr_schedulers"], checkpoint["optimizer_states"], strict=True):
            schedules = [settings] * len(rates)
            if saved["base_lrs"] == rates and saved["lr_lambdas"] == schedules:
                continue
            factor = self._schedule(saved["last_epoch"])
            saved["lr_lambdas"] = schedules
            saved["base_lrs"] = rates
            saved["_last_lr"] = [rate * factor for rate in rates]
            for group, rate in zip(optimizer["param_groups"], rates, strict=True):
                group["initial_lr"] = rate
                group["lr"] = rate * factor
