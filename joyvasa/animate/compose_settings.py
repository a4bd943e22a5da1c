"""What a user can set about how a motion is laid on a portrait; compose.py does it.

Shape suffixes: C channels, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite

import torch
from torch import Tensor

from joyvasa.motion import BROWS, CHANNELS, EYE_KEYPOINTS, EYES, HEAD, KEYPOINTS, LIP_KEYPOINTS, LIPS, channels_of

REGIONS = ("all", "exp", "pose", "lip", "eyes")
EXPRESSION_FRIENDLY, POSE_FRIENDLY, AUTO = "expression-friendly", "pose-friendly", "auto"
DRIVING = (AUTO, EXPRESSION_FRIENDLY, POSE_FRIENDLY)
HUMAN, ANIMAL = "human", "animal"
SPECIES = (HUMAN, ANIMAL)

# Keypoints and axes that carry expression alone; the others follow the head, and a video keeps its own (LivePortrait's
# pipeline for source videos).
WHOLLY_EXPRESSIVE = (*BROWS, *LIP_KEYPOINTS, *EYE_KEYPOINTS)
PARTLY_EXPRESSIVE = {3: (1,), 4: (1,), 5: (2,), 8: (2,), 9: (1, 2)}


@dataclass(frozen=True)
class Amplitude:
    """Factors of what each part does since the motion's first frame: 0 holds it still, 1 leaves the motion as it is.

    head: rotation, scale and translation. Keypoints that belong to none of these follow the motion unchanged.
    """

    lips: float
    eyes: float
    brows: float
    head: float

    def __post_init__(self) -> None:
        negative = {name: value for name, value in asdict(self).items() if not 0 <= value < inf}
        if negative:
            raise ValueError(f"amplitude {negative} (expected a number of 0 or more; 1 leaves the motion as it is)")

    def apply(self, motion_TC: Tensor, first_C: Tensor) -> Tensor:
        """Motion (..., C) with the departures from `first_C` multiplied; bit for bit the same where a factor is 1."""
        gain = motion_TC.new_ones(CHANNELS)
        for channels, factor in ((LIPS, self.lips), (EYES, self.eyes), (channels_of(BROWS), self.brows)):
            gain[channels] = factor
        gain[HEAD] = self.head
        return torch.lerp(first_C.expand_as(motion_TC), motion_TC, gain.expand_as(motion_TC))


@dataclass(frozen=True)
class Composition:
    """How a motion is laid on a portrait. The formulas are those of the reference pipelines (JoyVASA's
    src/live_portrait_wmg_pipeline.py and its animal twin, after LivePortrait's).

    region: what the motion moves, one or several of `REGIONS`, as a sequence or joined by + ("lip+eyes"). "pose" is
        the head: rotation, translation and scale.
    driving: "expression-friendly" lays the difference to the first frame, scaled by the sizes of the two faces, on the
        photo; "pose-friendly" uses the composed keypoints as they are; "auto" is the reference's habit, the former
        for an animal and the latter for a person. Without effect on a source video.
    relative: without it neither expression-friendly scaling nor lip normalisation apply (the reference's formulas are
        relative to the first frame either way).
    multiplier: factor of all keypoints' way from the photo's.
    normalise_lip: close the lips of a photo whose lip ratio is `lip_threshold` or more. Needs landmarks.
    stitching: let the stitching network move the shoulders' keypoints back.
    eye_retargeting, lip_retargeting: the opening (ratio of height to width, 0 is shut) that the photo's eyes or lips
        are brought to before they move, None to leave them. Needs landmarks.
    official_slips: do as the reference does where it departs from its own intent: with retargeting and relative
        motion nothing moves at all, without relative motion nothing is retargeted; the region "eyes" moves nothing;
        scale and translation follow the motion in every region.
    amplitude: factors by part of the face.
    """

    region: Sequence[str] | str
    driving: str
    relative: bool
    multiplier: float
    normalise_lip: bool
    lip_threshold: float
    stitching: bool
    eye_retargeting: float | None
    lip_retargeting: float | None
    official_slips: bool
    amplitude: Amplitude

    def __post_init__(self) -> None:
        """Raises ValueError for a region, driving option or target that there is not."""
        unknown = self.regions - set(REGIONS)
        if unknown or not self.regions:
            raise ValueError(f"region {sorted(unknown) or 'missing'} (expected one or several of {', '.join(REGIONS)})")
        if self.driving not in DRIVING:
            raise ValueError(f"driving {self.driving!r} (expected one of {', '.join(DRIVING)})")
        if not isfinite(self.multiplier):
            raise ValueError(f"multiplier {self.multiplier} (expected a number)")
        for name in ("eye_retargeting", "lip_retargeting"):
            target = getattr(self, name)
            if target is not None and not 0 <= target <= 1:
                raise ValueError(f"{name} {target} (expected a ratio of height to width, 0 to 1, or null)")

    @property
    def regions(self) -> frozenset[str]:
        given = self.region.replace(",", "+").split("+") if isinstance(self.region, str) else self.region
        return frozenset(name.strip() for name in given if name.strip())

    @property
    def retargets(self) -> bool:
        return self.eye_retargeting is not None or self.lip_retargeting is not None

    @property
    def moves_head(self) -> bool:
        return bool(self.regions & {"all", "pose"})

    @property
    def moves_expression(self) -> bool:
        return bool(self.regions & {"all", "exp"})

    def moved_keypoints(self) -> Tensor:
        """Which keypoints take the motion's expression, bool (K, 1)."""
        moved = torch.zeros(KEYPOINTS, 1, dtype=torch.bool)
        if self.moves_expression:
            moved[:] = True
        if "lip" in self.regions:
            moved[list(LIP_KEYPOINTS)] = True
        if "eyes" in self.regions and not self.official_slips:
            moved[list(EYE_KEYPOINTS)] = True
        return moved

    def expressive_axes(self) -> Tensor:
        """What a video takes of the motion's expression, bool (K, 3): `moved_keypoints` where expressive."""
        axes = torch.zeros(KEYPOINTS, 3, dtype=torch.bool)
        axes[list(WHOLLY_EXPRESSIVE)] = True
        for keypoint, carrying in PARTLY_EXPRESSIVE.items():
            axes[keypoint, list(carrying)] = True
        return axes & self.moved_keypoints()

    def scales_by_size(self, species: str) -> bool:
        """Whether a photo of this species is driven the expression-friendly way. An animal always scales relatively."""
        friendly = EXPRESSION_FRIENDLY if species == ANIMAL else POSE_FRIENDLY
        driving = friendly if self.driving == AUTO else self.driving
        return driving == EXPRESSION_FRIENDLY and (self.relative or species == ANIMAL)
