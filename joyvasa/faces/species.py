"""Whether a picture shows a person or an animal, so that the right networks are used or the mismatch is named.

People are seen by the detector. For animals there is only OpenCV's pair of cascades for cats. They see some dogs and
some people too, and miss many animals: what they see is told, but whether a person was seen decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from joyvasa.faces.choose import said
from joyvasa.faces.face import Detector, Face, overlap
from joyvasa.faces.haar import SAME_FACE, WORKING_PX, boxes, cascade, resized

SPECIES = ("auto", "human", "animal")


@dataclass(frozen=True, eq=False)
class Seen:
    """What a picture shows.

    faces: people's faces, large to small. animal: "cat-like", or None where no animal was recognised, which says
    little. words: all of it, for the user. scale: pixels of the picture looked at for one of the file's, in which words
    and boxes to type are given.
    """

    faces: tuple[Face, ...]
    animal: str | None
    words: str
    scale: float = 1.0

    @property
    def human(self) -> Face | None:
        """The largest of the people's faces."""
        return self.faces[0] if self.faces else None


def see_species(image: np.ndarray, detector: Detector, scale: float = 1.0) -> Seen:
    """Look at a uint8 RGB (H, W, 3) picture for people and for cats."""
    faces = tuple(detector.detect(image))
    animal = "cat-like" if _sees_cat(image) else None
    people = f"{said(faces, scale)} of a person" if faces else "no person's face"
    words = f"{people}, by {detector.name}; {'a' if animal else 'no'} cat-like face, by haar"
    return Seen(faces, animal, words, scale)


def decide(species: str, seen: Seen) -> str:
    """ "human" or "animal". `auto` is human where a person's face was seen, and animal otherwise.

    Raises ValueError for "human" without a person's face and for "animal" with one that is not cat-like, saying what
    was seen and how to have it nevertheless (a given box is not looked at again), and for another word than SPECIES.
    """
    if species not in SPECIES:
        raise ValueError(f"species={species} (expected one of {', '.join(SPECIES)})")
    if species == "auto":
        return "human" if seen.human else "animal"
    if species == "human" and not seen.human:
        raise ValueError(
            f"species=human, but seen: {seen.words}; if it is an animal, species=animal; if it is a person, "
            "mark the face: species=human box=x,y,w,h (pixels, from brows to chin)"
        )
    if species == "animal" and seen.human and not seen.animal:
        x, y, w, h = (round(number / seen.scale) for number in seen.human.box)
        raise ValueError(
            f"species=animal, but seen: {seen.words}; if it is a person, species=human; if it is an animal, mark its "
            f"face: species=animal box=x,y,w,h (for example box={x},{y},{w},{h})"
        )
    return species


def _sees_cat(image: np.ndarray) -> bool:
    """Both cat cascades in one place: each alone also fires on patterns."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small, _ = resized(grey, min(max(*grey.shape, WORKING_PX[0]), WORKING_PX[1]))
    one, other = (_faces(boxes(cascade(name), small), "haar") for name in ("frontalcatface", "frontalcatface_extended"))
    return any(overlap(first, second) >= SAME_FACE for first in one for second in other)


def _faces(found: Sequence[tuple[int, int, int, int]], name: str) -> list[Face]:
    return [Face(box, 0.0, 1.0, name) for box in found]
