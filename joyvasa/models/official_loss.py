"""The eight loss terms as JoyVASA computes them, means over the batch, and how its trainer adds them up.

B batch, N window frames, H history frames, L = H + N, T any of these, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypedDict, Unpack

import torch
from torch import Tensor, nn

from joyvasa.models.losses import LossValue, WindowPrediction, criterion_of, weights_of
from joyvasa.motion import EXP, HEAD

PUBLISHED = ("noise", "exp", "exp_vel", "exp_smooth", "head_angle", "head_vel", "head_smooth", "head_trans")
_SLIPPED = ("exp", "exp_vel", "exp_smooth")
_ABSENT_WHEN_EMPTY = ("head_vel", "head_smooth")
_REACH = 3  # frames on either side of a join that its bend and jerk need

Channels = slice | list[int]


class Mean(NamedTuple):
    """Mean over the frames that count, and how many they are; of none it is 0, so that no NaN enters a gradient."""

    value: Tensor  # ()
    count: Tensor  # ()


def regions(channels: int) -> tuple[list[int], slice]:
    """Channels of expression and of head in a motion of this width.

    What follows the head in a wider layout (73: emotion) counts as expression: the published `rot_repr` "emo".
    """
    every = range(channels)
    return [*every[EXP], *every[HEAD.stop :]], HEAD


def _mean(error_BTC: Tensor, mask_BT: Tensor) -> Mean:
    count = mask_BT.sum()
    return Mean((error_BTC.mean(-1) * mask_BT).sum() / count.clamp(min=1), count)


def _course(predicted_BTC: Tensor, true_BTC: Tensor, mask_BT: Tensor, criterion: Callable) -> list[Mean]:
    """Error of place, of velocity, and the acceleration predicted."""
    velocity = predicted_BTC.diff(dim=1)
    return [
        _mean(criterion(predicted_BTC - true_BTC), mask_BT),
        _mean(criterion(velocity - true_BTC.diff(dim=1)), mask_BT[:, 1:]),
        _mean(criterion(velocity.diff(dim=1)), mask_BT[:, 2:]),
    ]


def _transition(prediction_BLC: Tensor, history_BHC: Tensor, valid_BN: Tensor, criterion: Callable) -> Mean:
    """Bend (second difference) in two frames after the join, and jerk (third) in three, true frames before it."""
    frames = history_BHC.shape[1]
    if min(frames, valid_BN.shape[1]) < _REACH:
        raise ValueError(
            f"loss=official looks {_REACH} frames to both sides of a join (expected a history and a window of "
            f"{_REACH} or more), got a history of {frames} and a window of {valid_BN.shape[1]}; set data.history, "
            "data.window"
        )
    across = torch.cat([history_BHC[:, -_REACH:], prediction_BLC[:, frames : frames + _REACH]], 1)
    bend, jerk = across.diff(n=2, dim=1)[:, 1:3], across.diff(n=3, dim=1)
    bends, jerks = _mean(criterion(bend), valid_BN[:, :2]), _mean(criterion(jerk), valid_BN[:, :3])
    return Mean(bends.value + jerks.value, bends.count)


class Selection(TypedDict):
    """What is compared of a window, and how; see `published_terms`."""

    first: bool
    criterion: Callable[[Tensor], Tensor]
    valid_BN: Tensor
    constrain_history: bool
    exp: Channels
    head: Channels | None


def _means(prediction_BLC: Tensor, clean_BNC: Tensor, history_BHC: Tensor, **how: Unpack[Selection]) -> dict[str, Mean]:
    """What `published_terms` says, without its absent and undefined terms; nothing here waits for the device."""
    first, criterion, valid_BN, exp, head = (how[key] for key in ("first", "criterion", "valid_BN", "exp", "head"))
    frames = history_BHC.shape[1]
    predicted, true, mask = prediction_BLC[:, frames:], clean_BNC, valid_BN
    if not first:
        before = prediction_BLC[:, :frames] if how["constrain_history"] else history_BHC
        predicted, true = torch.cat([before, predicted], 1), torch.cat([history_BHC, clean_BNC], 1)
        # A row without a frame that counts fills up a batch: its history counts as little.
        counts_B1 = valid_BN.amax(1, keepdim=True) * float(how["constrain_history"])
        mask = torch.cat([counts_B1.expand(-1, frames), valid_BN], 1)
    means = [_mean(criterion(predicted - true), mask), *_course(predicted[..., exp], true[..., exp], mask, criterion)]
    if head is not None:
        means += _course(predicted[..., head], true[..., head], mask, criterion)
        if not first:
            means.append(_transition(prediction_BLC[..., head], history_BHC[..., head], valid_BN, criterion))
    return dict(zip(PUBLISHED, means, strict=False))


def published_terms(
    prediction_BLC: Tensor, clean_BNC: Tensor, history_BHC: Tensor, **how: Unpack[Selection]
) -> dict[str, Tensor]:
    """The terms of one window as `compute_loss_new` (JoyVASA, src/utils/common.py) gives them for target "sample".

    prediction: what the denoiser says of history and window. first: the window starts from the start tokens, and what
    is said of them is dropped. criterion: error -> cost, element by element. valid: 1 for frames that count, a row of
    zeros for an example that does not. constrain_history: what is said of the history is compared too (published
    `no_constrain_prev` reversed); else the true one stands in its place. exp, head: channels (see `regions`);
    head None: no head terms.

    Returns scalars by name. Of an empty selection exp_vel and exp_smooth are NaN; head_vel and head_smooth are left
    out, as is head_trans for a first window. Raises ValueError where history or window are shorter than 3 frames.
    """
    means = _means(prediction_BLC, clean_BNC, history_BHC, **how)
    return {
        name: mean.value if mean.count > 0 else torch.full_like(mean.value, torch.nan)
        for name, mean in means.items()
        if mean.count > 0 or name not in _ABSENT_WHEN_EMPTY
    }


def published_noise(prediction_BNC: Tensor, noise_BNC: Tensor, *, criterion: Callable, valid_BN: Tensor) -> Mean:
    """The one term `compute_loss_new` has where the prediction is not motion: its error in the target's own space."""
    return _mean(criterion(prediction_BNC - noise_BNC), valid_BN)


class OfficialLoss(nn.Module):
    """JoyVASA's loss over both windows: (first + second) / 2 of each term, head_trans of the second alone.

    slip: as its trainer (train.py) adds them up. There exp, exp_vel and exp_smooth of the sum so far are overwritten by
    the window's before the half is added: 1.5 times the second window, nothing of the first. constrain_history: what
    the denoiser says of the history is compared as well. A term of an empty selection adds nothing (under `slip` the
    published NaN of a first window is overwritten likewise). Where the target is not motion, the noise term is all.
    A weight of 0 switches a term off; a name that is no term, and a missing one, is an error.
    """

    def __init__(self, *, criterion: str, weights: dict[str, float], slip: bool, constrain_history: bool):
        super().__init__()
        self.criterion, self.weights = criterion_of(criterion), weights_of(PUBLISHED, weights)
        self.slip, self.constrain_history = slip, constrain_history

    def require(self, denoiser: nn.Module) -> None:
        """Raise ValueError where the denoiser says nothing of a history that is to be compared."""
        if self.constrain_history and not denoiser.tells_history:
            raise ValueError(
                "loss.constrain_history=true compares what the denoiser says of the history, and this one says "
                "nothing of it; use denoiser=decoder or loss.constrain_history=false"
            )

    def forward(self, view: WindowPrediction, weight_BN: Tensor) -> LossValue:
        """Rows of view and weight (1 for frames that count): all first windows, then all second ones.

        The total is the loss of the batch times the number of its examples, `count`. Each term is a mean over what this
        process counts in this batch, as published: where windows are cut, ranks and accumulation steps weigh as many
        examples each, not as many frames each, unlike with `MotionLoss`.
        """
        first, second = self._window(view, weight_BN, first=True), self._window(view, weight_BN, first=False)
        names = [name for name, weight in self.weights.items() if weight > 0 and name in second]
        terms = {name: self._joined(name, first, second) for name in names}
        count = torch.maximum(*weight_BN.amax(1).chunk(2)).sum()
        total = sum((self.weights[name] * value for name, value in terms.items()), torch.zeros_like(count))
        return LossValue({name: value.detach() for name, value in terms.items()}, total * count, count)

    def _window(self, view: WindowPrediction, weight_BN: Tensor, first: bool) -> dict[str, Mean]:
        half = len(weight_BN) // 2
        rows = slice(None, half) if first else slice(half, None)
        valid, criterion = weight_BN[rows], self.criterion
        if not view.predicts_motion:
            return {
                "noise": published_noise(view.prediction[rows], view.target[rows], criterion=criterion, valid_BN=valid)
            }
        before = view.history if view.history_prediction is None else view.history_prediction
        exp, head = regions(view.clean.shape[-1])
        return _means(
            torch.cat([before[rows], view.prediction[rows]], 1),
            view.clean[rows],
            view.history[rows],
            first=first,
            criterion=criterion,
            valid_BN=valid,
            constrain_history=self.constrain_history,
            exp=exp,
            head=head,
        )

    def _joined(self, name: str, first: dict[str, Mean], second: dict[str, Mean]) -> Tensor:
        if name == "head_trans":
            return second[name].value
        if self.slip and name in _SLIPPED:
            return 1.5 * second[name].value
        return (first[name].value + second[name].value) / 2
