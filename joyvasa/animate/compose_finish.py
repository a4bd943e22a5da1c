"""What follows the composed keypoints: retargeting, stitching, lip normalisation and the multiplier.

Shape suffixes: B rows, T frames, K keypoints; `...` is empty for a photo and T for a source video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.compose_source import Source
from joyvasa.motion import KEYPOINTS


class Retargeting(Protocol):
    """The three small networks of LivePortrait that look at keypoints alone (B rows)."""

    def stitch(self, source_BK3: Tensor, driving_BK3: Tensor) -> Tensor: ...

    def eye_delta(self, source_BK3: Tensor, ratios_B3: Tensor) -> Tensor: ...

    def lip_delta(self, source_BK3: Tensor, ratios_B2: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Deltas:
    """Offsets of keypoints (..., K, 3) or None: before stitching (retargeting) and after it (lip normalisation)."""

    before: Tensor | None
    after: Tensor | None


@dataclass(frozen=True)
class Finish:
    """What follows the formulas: retargeting, stitching, lip normalisation, the multiplier."""

    settings: Composition
    retargeting: Retargeting | None

    def __post_init__(self) -> None:
        wants = [name for name in ("stitching", "normalise_lip") if getattr(self.settings, name)]
        wants += ["retargeting"] * (self.settings.retargets and not self.settings.official_slips)
        if self.retargeting is None and wants:
            raise ValueError(f"{', '.join(wants)} without the stitching and retargeting network: load it or switch off")

    def notes(self, source: Source) -> tuple[str, ...]:
        if self.settings.normalise_lip and self.settings.relative and source.lip_ratio is None:
            return ("the lips were not normalised: there are no landmarks (a box, or a detector without them)",)
        return ()

    def deltas(self, source: Source) -> Deltas:
        """Raises ValueError where retargeting is asked for without landmarks."""
        settings = self.settings
        if settings.retargets and settings.official_slips:
            return Deltas(None, None)
        parts = [
            self._retarget(source, name, target)
            for name, target in (("eye", settings.eye_retargeting), ("lip", settings.lip_retargeting))
            if target is not None
        ]
        before = torch.stack(parts).sum(0) if parts else None
        normalise = settings.normalise_lip and settings.relative and settings.lip_retargeting is None
        if not normalise or source.lip_ratio is None:
            return Deltas(before, None)
        open_lips = (source.lip_ratio >= settings.lip_threshold)[..., None]
        return Deltas(before, self._retarget(source, "lip", 0.0) * open_lips)

    def _retarget(self, source: Source, part: str, target: float) -> Tensor:
        ratio = source.eye_ratio if part == "eye" else source.lip_ratio
        if ratio is None:
            raise ValueError(
                f"{part}_retargeting needs landmarks, and there are none (a box, or a plain detector); leave it out"
            )
        ratios = torch.cat([ratio, torch.full_like(ratio[..., :1], target)], -1)
        network = self.retargeting.eye_delta if part == "eye" else self.retargeting.lip_delta
        delta = network(source.keypoints.reshape(-1, KEYPOINTS, 3), ratios.reshape(-1, ratios.shape[-1]))
        return delta.reshape(source.keypoints.shape)

    def __call__(self, source: Source, driving_TK3: Tensor, deltas: Deltas) -> Tensor:
        still = self.settings.retargets and self.settings.official_slips and self.settings.relative
        own = source.keypoints.expand_as(driving_TK3)
        driving = own if still else driving_TK3
        if deltas.before is not None:
            driving = driving + deltas.before
        if self.settings.stitching:
            driving = self.retargeting.stitch(own, driving)
        if deltas.after is not None:
            driving = driving + deltas.after
        return own + (driving - own) * self.settings.multiplier
