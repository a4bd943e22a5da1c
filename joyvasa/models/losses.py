"""Named loss terms of a predicted window, one number per frame, so that any mask and any count can follow.

B batch, T frames, H history, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from joyvasa.motion import EXP, HEAD, LIPS

TERMS = (
    "noise",
    "exp",
    "exp_vel",
    "exp_smooth",
    "head_angle",
    "head_vel",
    "head_smooth",
    "head_trans",
    "lips",
    "join",
    "voice",
)
_REACH = 3  # frames of history that velocities and accelerations at a join need


@dataclass(frozen=True)
class Spoken:
    """The voice of B examples, (B, 640 x 2T) samples of both windows, and what takes normalised motion back."""

    audio: Tensor
    denormalise: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class WindowPrediction:
    """What a loss sees: the denoiser's output beside its target, and the clean motion that output implies."""

    prediction: Tensor  # (B, T, C) in the space of the target
    target: Tensor  # (B, T, C)
    clean_prediction: Tensor  # (B, T, C) normalised motion
    clean: Tensor  # (B, T, C)
    history: Tensor  # (B, H, C) true motion before the window
    has_history: Tensor  # (B,) 0 for a window that starts from the learned start tokens
    from_voice: Tensor | None  # (B, T, C) the denoiser's linear reading of the voice alone, where it has one
    history_prediction: Tensor | None  # (B, H, C) what the denoiser says of the frames before, where it does
    predicts_motion: bool  # whether the target's space is that of motion
    spoken: Spoken | None = None  # the voice of these windows, where it is at hand


@dataclass(frozen=True)
class LossValue:
    """Minimised is total / (sum of `count` over ranks and accumulation steps); terms are means over this batch."""

    terms: dict[str, Tensor]
    total: Tensor
    count: Tensor


def l1(error: Tensor) -> Tensor:
    return error.abs()


def l2(error: Tensor) -> Tensor:
    return error.square()


CRITERIA = {"l1": l1, "l2": l2}


def criterion_of(name: str) -> Callable[[Tensor], Tensor]:
    """error -> cost, element by element, by its configured name. Raises ValueError for another name."""
    if name not in CRITERIA:
        raise ValueError(f"loss.criterion={name}: choose from {', '.join(CRITERIA)}")
    return CRITERIA[name]


def weights_of(terms: Sequence[str], weights: dict[str, float]) -> dict[str, float]:
    """A weight for each term, in the order of the terms. Raises ValueError naming unknown and missing ones."""
    unknown, missing = set(weights) - set(terms), set(terms) - set(weights)
    if unknown or missing:
        raise ValueError(f"loss.weights: unknown terms {sorted(unknown)}, missing {sorted(missing)}")
    return {name: float(weights[name]) for name in terms}


def _joined(motion_BTC: Tensor, view: WindowPrediction) -> Tensor:
    """The window behind the last true frames, so that differences reach across the join."""
    history = view.history[:, -_REACH:]
    missing = _REACH - history.shape[1]
    if missing > 0:
        history = torch.cat([motion_BTC[:, :1].detach().expand(-1, missing, -1), history], 1)
    return torch.cat([history, motion_BTC], 1)


class MotionLoss(nn.Module):
    """Weighted sum of named terms; the first eight after JoyVASA's `compute_loss_new` (src/utils/common.py).

    noise: error in the target's space, all channels. exp, head_angle, lips: error of the implied motion in these
    channels. *_vel: error of its first difference. *_smooth: its second difference, pulled to zero. head_trans, join:
    error of the second difference of the head, of all channels, in the first two frames after a join; the mean over
    these frames alone. Differences count within the window, and across the join where there is a history. voice: error
    of the linear reading of the lips from the voice alone, which teaches a speech encoder directly what the diffusion
    teaches it slowly. A weight of 0 switches a term off; a name that is no term is an error.
    """

    def __init__(self, *, criterion: str, weights: dict[str, float]):
        super().__init__()
        self.criterion, self.weights = criterion_of(criterion), weights_of(TERMS, weights)

    def require(self, denoiser: nn.Module) -> None:
        """Raise ValueError where the denoiser does not give what a term needs."""
        if self.weights["voice"] > 0 and not denoiser.reads_voice:
            raise ValueError("loss.weights.voice: this denoiser reads no motion from the voice alone; set it to 0")

    def terms(self, view: WindowPrediction) -> dict[str, Tensor]:
        """Term name -> error of each frame (B, T), mean over channels. Terms of weight 0 are left out."""
        predicted, true = _joined(view.clean_prediction, view), _joined(view.clean, view)
        frames = view.clean.shape[1]
        inside = torch.ones(len(true), frames, device=true.device)
        first = 1 - view.has_history[:, None]
        vel_ok, smooth_ok = inside.clone(), inside.clone()
        vel_ok[:, :1] -= first
        smooth_ok[:, :2] -= first
        join = torch.zeros_like(inside)
        # The loss is divided by the number of all frames of both windows: this makes it a mean over the join's frames.
        join[:, :2] = view.has_history[:, None] * frames

        def mean(error: Tensor, region: slice | list[int]) -> Tensor:
            return self.criterion(error[:, -frames:, region]).mean(-1)

        velocity, velocity_error = predicted.diff(dim=1), (predicted - true).diff(dim=1)
        compute = {
            "noise": lambda: mean(view.prediction - view.target, slice(None)),
            "exp": lambda: mean(predicted - true, EXP),
            "exp_vel": lambda: mean(velocity_error, EXP) * vel_ok,
            "exp_smooth": lambda: mean(velocity.diff(dim=1), EXP) * smooth_ok,
            "head_angle": lambda: mean(predicted - true, HEAD),
            "head_vel": lambda: mean(velocity_error, HEAD) * vel_ok,
            "head_smooth": lambda: mean(velocity.diff(dim=1), HEAD) * smooth_ok,
            "head_trans": lambda: mean(velocity_error.diff(dim=1), HEAD) * join,
            "lips": lambda: mean(predicted - true, LIPS),
            "join": lambda: mean(velocity_error.diff(dim=1), slice(None)) * join,
            "voice": lambda: mean(view.from_voice.float() - view.clean, LIPS),
        }
        return {name: compute[name]() for name, weight in self.weights.items() if weight > 0}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the terms, (B, T)."""
        return sum(self.weights[name] * value for name, value in terms.items())

    def forward(self, view: WindowPrediction, weight_BT: Tensor) -> LossValue:
        """Sum over the frames that count, weight 1, and their number."""
        terms, count = self.terms(view), weight_BT.sum()
        means = {name: (value.detach() * weight_BT).sum() / count.clamp(min=1) for name, value in terms.items()}
        return LossValue(means, (self.total(terms) * weight_BT).sum(), count)
