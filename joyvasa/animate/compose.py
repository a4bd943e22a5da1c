"""Motion laid on a portrait: the driving keypoints that the warping network gets, for people and animals.

    x = s (canonical @ R + exp) + t

where R, exp, s and t are the portrait's own, changed by what the motion does since its first frame; see
compose_settings.py for what can be set. The lips of a person take the motion's expression itself, so that the photo's
smile does not stay on the speaking mouth.

Shape suffixes: T frames, C channels, K keypoints.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from joyvasa.animate.compose_finish import Finish, Retargeting
from joyvasa.animate.compose_settings import ANIMAL, SPECIES, Composition
from joyvasa.animate.compose_source import Source, expression, lip_keypoints, motion_multiplier, place, turned
from joyvasa.motion import LIP_KEYPOINTS, SCALE, TRANSLATION


class Composer:
    """Lays a motion on a photo, chunk by chunk.

    first_C: the motion's first frame, to which everything is relative. `notes` says what was asked for and left out.
    Raises ValueError where the settings need a network or landmarks that are not there.
    """

    def __init__(
        self,
        source: Source,
        first_C: Tensor,
        *,
        settings: Composition,
        species: str,
        retargeting: Retargeting | None,
    ):
        if species not in SPECIES:
            raise ValueError(f"species {species!r} (expected one of {', '.join(SPECIES)})")
        self.source, self.first, self.species = source, first_C.to(source.motion), species
        self.finish = Finish(settings, retargeting)
        self.settings, self.notes = settings, self.finish.notes(source)
        self.moved = settings.moved_keypoints().to(source.motion.device)
        absolute = settings.moves_expression and species != ANIMAL
        self.absolute = lip_keypoints(absolute, source.motion.device)
        self.deltas = self.finish.deltas(source)
        self.initial, self.size = None, 1.0
        if settings.scales_by_size(species):
            self.initial = self._displace(self.first[None])
            self.size = motion_multiplier(source.keypoints, self.initial[0])

    def __call__(self, motion_TC: Tensor | np.ndarray) -> Tensor:
        """Driving keypoints (T, K, 3) of some frames of the motion (T, C)."""
        motion = torch.as_tensor(motion_TC).to(self.source.motion)
        driving = self._displace(self.settings.amplitude.apply(motion, self.first))
        if self.initial is not None:
            driving = (driving - self.initial) * self.size + self.source.keypoints
        return self.finish(self.source, driving, self.deltas)

    def _displace(self, motion_TC: Tensor) -> Tensor:
        source, head = self.source.motion, self.settings.moves_head
        shifts = head or self.settings.official_slips
        rotation = turned(self.source, motion_TC, self.first) if head else self.source.rotation
        exp = expression(self.source, motion_TC, self.first, self.moved, self.absolute)
        scale, translation = source[SCALE], source[TRANSLATION]
        # An animal keeps its size: the reference says so, the motion being that of a person in another crop.
        if shifts and self.species != ANIMAL:
            scale = scale * (motion_TC[:, SCALE] / self.first[SCALE])
        if shifts:
            translation = translation + (motion_TC[:, TRANSLATION] - self.first[TRANSLATION])
        return place(self.source.canonical, rotation, exp, scale, translation)


class VideoComposer:
    """Lays a motion on the frames of a video, chunk by chunk: each frame is the source of itself.

    Scale and translation stay the video's, the rotation too unless the region has the head (the motion's turn is then
    added). Lips take the motion's expression itself, for a mouth that already speaks must not speak twice; other
    keypoints of the region add the motion's change to the video's. After LivePortrait's pipeline for source videos, in
    which lips are relative.
    """

    def __init__(self, first_C: Tensor, *, settings: Composition, retargeting: Retargeting | None):
        self.first, self.settings, self.finish = first_C, settings, Finish(settings, retargeting)
        self.moved = settings.expressive_axes()
        self.absolute = lip_keypoints(bool(self.moved[list(LIP_KEYPOINTS)].any()), first_C.device)

    def notes(self, source: Source) -> tuple[str, ...]:
        """What the settings ask for and these frames cannot give."""
        return self.finish.notes(source)

    def __call__(self, source_T: Source, motion_TC: Tensor | np.ndarray) -> Tensor:
        """Driving keypoints (T, K, 3) of as many frames of video and motion. Raises ValueError for other counts."""
        motion = torch.as_tensor(motion_TC).to(source_T.motion)
        if len(motion) != len(source_T.motion):
            raise ValueError(f"{len(motion)} frames of motion for {len(source_T.motion)} of video (expected as many)")
        first, device = self.first.to(source_T.motion), source_T.motion.device
        motion = self.settings.amplitude.apply(motion, first)
        rotation = turned(source_T, motion, first) if self.settings.moves_head else source_T.rotation
        exp = expression(source_T, motion, first, self.moved.to(device), self.absolute.to(device))
        own = source_T.motion
        driving = place(source_T.canonical, rotation, exp, own[:, SCALE], own[:, TRANSLATION])
        return self.finish(source_T, driving, self.finish.deltas(source_T))
