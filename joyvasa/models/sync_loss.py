"""The loss of a generator with one term more: does a sync expert hear the voice in these lips?

B examples, N window frames, W frames of the expert's window, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from joyvasa.models.losses import MotionLoss, WindowPrediction
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.models.sync_expert_file import open_expert
from joyvasa.motion import CHANNELS


class SyncedLoss(MotionLoss):
    """MotionLoss and the term `sync`: 1 − cosine of the expert's embeddings of the implied motion and of the voice.

    The cost of a stretch of W frames stands at its last frame: of a clip that ends early, or is padded behind, only
    stretches that it fills count. It is a mean over stretches; both windows of an example are one course. The expert is
    fixed, is in no checkpoint, and teaches the motion alone. It is read from `expert` when it is first needed; an
    expert of another seed has to judge what was trained against it (`sync_expert.require_other_seed`).
    """

    def __init__(self, *, criterion: str, weights: dict[str, float], sync: float, expert: str | None):
        super().__init__(criterion=criterion, weights=weights)
        if sync <= 0:
            raise ValueError(f"loss.sync={sync}: expected a weight above 0; loss=motion is the loss without this term")
        self.sync, self.path = float(sync), expert
        self._expert: list[SyncExpert] = []  # in a list: a submodule would be trained, averaged and saved

    def require(self, denoiser: nn.Module) -> None:
        """Raise ValueError or FileNotFoundError where denoiser or expert do not serve."""
        super().require(denoiser)
        if denoiser.channels != CHANNELS:
            raise ValueError(f"loss=sync: motion of {denoiser.channels} channels (expected {CHANNELS})")
        self._opened(torch.device("cpu"))

    def _opened(self, device: torch.device) -> SyncExpert:
        if not self._expert:
            if self.path is None:
                raise ValueError("loss.expert= is missing: a run of experiment=sync_expert of its own seed")
            self._expert.append(open_expert(self.path).network.requires_grad_(False))
        return self._expert[0].to(device)

    def terms(self, view: WindowPrediction) -> dict[str, Tensor]:
        """Those of MotionLoss, and `sync` (2B, N)."""
        return super().terms(view) | {"sync": self._out_of_sync(view)}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the terms, (2B, N)."""
        known = {name: value for name, value in terms.items() if name != "sync"}
        return self.sync * terms["sync"] + (super().total(known) if known else 0.0)

    def _out_of_sync(self, view: WindowPrediction) -> Tensor:
        if view.spoken is None:
            raise ValueError(
                "loss=sync hears the voice itself: set data.features=null and one number for data.truncate_p"
            )
        expert = self._opened(view.clean.device)
        course = view.spoken.denormalise(torch.cat(view.clean_prediction.float().chunk(2), 1))
        with torch.no_grad():
            voice = expert.voice_embeddings(expert.encoder(view.spoken.audio))
        cost = 1 - (expert.lip_embeddings(course) * voice).sum(-1)
        frames, before = course.shape[1], expert.window - 1
        # The loss is divided by the number of all frames: this makes it a mean over the stretches.
        cost = nn.functional.pad(cost * (frames / cost.shape[1]), (before, 0))
        return torch.cat(cost.chunk(2, 1))
