"""A renderer with what stands around the face: the photo it is pasted into, the video it takes part in.

A stage plays motion (T, 70) in LivePortrait's space on a photo (`film`) or over a video (`dub`) and yields uint8 RGB
frames (H, W, 3) of one size, one by one, so that memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import cv2
import numpy as np
import torch

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.footage import Shot
from joyvasa.animate.portrait import Portrait, scaled
from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer, estimate_neutral
from joyvasa.faces.crop import invert
from joyvasa.faces.paste import Paster
from joyvasa.motion import CHANNELS, EXP, HEAD

PUPPET_OF = {"human": "person", "animal": "cat"}
PLURAL_OF = {"human": "people", "animal": "animals"}
INSET = 0.26  # of the puppet's side, for the photo in its corner
MARGIN = 1 / 32
OVAL_CENTRE, OVAL_RADII = (0.5, 0.45), (0.33, 0.4)  # of the puppet's head, in sides of its picture


class Stage(Protocol):
    """`note`: what it is, for the user. `untrained`: the picture comes from random weights. `facts` go into a film's
    metadata. A composition says how the motion is laid on the face. `dub` yields a shot of opacity 0 as it was filmed.
    """

    untrained: bool
    note: str

    def facts(self, species: str) -> dict[str, str]: ...

    def notes(self, species: str) -> tuple[str, ...]: ...

    def shows_whole(self, species: str) -> bool:
        """Whether the video of a photo is the whole photo, in its size."""
        ...

    def film(self, portrait: Portrait, motion_TC: np.ndarray, composition: Composition) -> Iterator[np.ndarray]: ...

    def dub(
        self, shots: Iterable[Shot], species: str, motion_TC: np.ndarray, composition: Composition
    ) -> Iterator[np.ndarray]: ...


class PuppetStage:
    """A drawn face in the place of the photo's: shows the motion without any weights.

    size: pixels of a side. A photo becomes a film of the puppet with the photo in its corner; over a video the puppet
    covers the face that is followed, and takes its place, size and lean from it.
    """

    untrained = False

    def __init__(self, *, size: int):
        self.size = size
        self.note = "puppet: a drawn face that shows the motion, not the person"
        self._renderer = PuppetRenderer()

    def facts(self, species: str) -> dict[str, str]:
        return {"render": "puppet", "puppet": PUPPET_OF[species]}

    def notes(self, species: str) -> tuple[str, ...]:
        return ()

    def shows_whole(self, species: str) -> bool:
        return False

    def film(self, portrait: Portrait, motion_TC: np.ndarray, composition: Composition) -> Iterator[np.ndarray]:
        neutral = estimate_neutral(motion_TC)
        puppet = self._renderer.prepare(PuppetPortrait(PUPPET_OF[portrait.species], self.size, neutral=neutral))
        side = round(self.size * INSET)
        inset = cv2.resize(portrait.crop, (side, side), interpolation=cv2.INTER_AREA)
        border = max(2, self.size // 128)
        inset = cv2.copyMakeBorder(inset, *[border] * 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        start = self.size - round(self.size * MARGIN) - len(inset)
        for frame in self._renderer.render(puppet, as_asked(motion_TC, neutral, composition)):
            frame[start : start + len(inset), start : start + len(inset)] = inset
            yield frame

    def dub(
        self, shots: Iterable[Shot], species: str, motion_TC: np.ndarray, composition: Composition
    ) -> Iterator[np.ndarray]:
        neutral = estimate_neutral(motion_TC)
        still = as_asked(motion_TC, neutral, composition)
        still[:, HEAD] = neutral[HEAD]  # the head moves as the video's does
        puppet = self._renderer.prepare(PuppetPortrait(PUPPET_OF[species], self.size, label="", neutral=neutral))
        mask = oval(self.size)
        for shot, face in zip(shots, self._renderer.render(puppet, still), strict=True):
            if shot.opacity <= 0:
                yield shot.frame
                continue
            to_frame = invert(scaled(shot.to_crop, shot.size, self.size))
            painted = Paster(shot.frame.shape, to_frame, mask).paste(shot.frame, face)
            yield shot.faded(shot.frame, painted)


class SpeciesStage:
    """A stage for each species, where one of them lacks what the other has.

    Args:
        stages: species -> its stage.
        lacking: species -> why it has the lesser stage and which command adds what is missing; a note of its videos.
        asked: the species that is asked for at the start, or "auto"; the announcement (`note`) is about it.
    """

    def __init__(self, stages: Mapping[str, Stage], lacking: Mapping[str, str], asked: str):
        self._stages = stages
        self._lacking = lacking
        self.untrained = any(stage.untrained for stage in stages.values())
        announced = [asked] if asked in stages else list(stages)
        lines: list[str] = []
        for species in announced:
            line = f"{stages[species].note}, for {PLURAL_OF[species]}"
            if species in lacking:
                line += f" ({lacking[species]})"
            lines.append(line)
        self.note = "; ".join(lines)

    def facts(self, species: str) -> dict[str, str]:
        return self._stages[species].facts(species)

    def notes(self, species: str) -> tuple[str, ...]:
        fallback = (f"drawn by the puppet: {self._lacking[species]}",) if species in self._lacking else ()
        return (*self._stages[species].notes(species), *fallback)

    def shows_whole(self, species: str) -> bool:
        return self._stages[species].shows_whole(species)

    def film(self, portrait: Portrait, motion_TC: np.ndarray, composition: Composition) -> Iterator[np.ndarray]:
        return self._stages[portrait.species].film(portrait, motion_TC, composition)

    def dub(
        self, shots: Iterable[Shot], species: str, motion_TC: np.ndarray, composition: Composition
    ) -> Iterator[np.ndarray]:
        return self._stages[species].dub(shots, species, motion_TC, composition)


def as_asked(motion_TC: np.ndarray, neutral_C: np.ndarray, composition: Composition) -> np.ndarray:
    """The motion (T, C) with what lies outside the regions at rest, and the parts' amplitudes about the neutral."""
    motion, neutral = torch.from_numpy(motion_TC), torch.from_numpy(neutral_C)
    moved = torch.zeros(CHANNELS, dtype=torch.bool)
    moved[EXP] = composition.moved_keypoints().expand(-1, 3).flatten()
    moved[HEAD] = composition.moves_head
    return composition.amplitude.apply(torch.where(moved, motion, neutral), neutral).numpy()


def oval(size: int) -> np.ndarray:
    """Mask (size, size) float32 of the puppet's head with a soft edge: its shoulders stay out of the video."""
    middle = (round(OVAL_CENTRE[0] * size), round(OVAL_CENTRE[1] * size))
    radii = (round(OVAL_RADII[0] * size), round(OVAL_RADII[1] * size))
    mask = cv2.ellipse(np.zeros((size, size), np.float32), middle, radii, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), size / 64)
