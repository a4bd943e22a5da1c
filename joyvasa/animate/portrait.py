"""A photo made ready: whose face, where it is, which species, and the crop that a renderer works in.

Pictures are uint8 RGB (H, W, 3); transforms are (3, 3) float64, x right and y down, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from joyvasa.faces.choose import choose_face, said
from joyvasa.faces.crop import CropSpec, crop, crop_transform
from joyvasa.faces.face import Detector, Face, box_face, whole_image
from joyvasa.faces.species import SPECIES, decide, see_species
from joyvasa.io.image import read_picture

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Framing:
    """How a face is found and cut out.

    species: "auto", "human" or "animal". face: which, counted from the left from 1; None: the largest.
    box: (x, y, w, h) of the face in pixels of the file's picture, None to look for it.
    max_side: pixels; larger pictures are made smaller. crop: the cut around a face. In a video the face is looked for
    in every `detect_every`-th frame, and its path smoothed by a Gaussian of `smoothing_frames`.
    """

    species: str
    face: int | None
    box: Box | None
    max_side: int
    crop: CropSpec
    detect_every: int
    smoothing_frames: float

    def __post_init__(self) -> None:
        if self.species not in SPECIES:
            raise ValueError(f"species={self.species} (expected one of {', '.join(SPECIES)})")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo, its face, who found it, and what was found and done on the way (`notes`, one sentence each).

    scale: pixels of `picture` for one of the file's. cut: the file's size where an odd last row or column was left out.
    """

    name: str
    picture: np.ndarray
    species: str
    face: Face
    finder: str
    to_crop: np.ndarray
    crop: np.ndarray
    scale: float = 1.0
    notes: tuple[str, ...] = field(default=())
    cut: tuple[int, int] | None = None

    @property
    def facts(self) -> dict[str, str]:
        """For the record of a result."""
        box = boxed(self.face, self.scale)
        return {"image": self.name, "species": self.species, "detector": self.finder, "face": box}


def open_portrait(path: Path, framing: Framing, detector: Detector) -> Portrait:
    """Read a photo and frame its face.

    Raises ValueError or OSError naming the file: not a picture, no face, several against `face=`, a tiny one, or
    another species than asked for.
    """
    picture = read_picture(path, framing.max_side)
    species, face, seen = find_face(picture.pixels, picture.scale, framing, detector, str(path))
    to_crop = crop_transform(face, framing.crop)
    cut = crop(picture.pixels, to_crop, framing.crop.size)
    finder, notes = finder_of(face, detector), (*picture.notes, *seen)
    return Portrait(path.name, picture.pixels, species, face, finder, to_crop, cut, picture.scale, notes, picture.cut)


def finder_of(face: Face, detector: Detector) -> str:
    """The detector's name, or that the user gave the box or the picture was used whole."""
    return face.detector if face.detector in ("box", "whole") else detector.name


def boxed(face: Face, scale: float) -> str:
    """The face's box as it would be typed, in the file's pixels."""
    return ",".join(f"{value / scale:.0f}" for value in face.box)


def find_face(
    image: np.ndarray, scale: float, framing: Framing, detector: Detector, where: str
) -> tuple[str, Face, tuple[str, ...]]:
    """(species, face, notes) of a picture with `scale` pixels for one of the file's.

    A person's face is the one asked for; an animal's is given by a box, else the picture is used whole, as the
    reference does. Raises ValueError naming `where`.
    """
    seen = see_species(image, detector, scale)
    if framing.box is not None:
        # The place of the face is settled; what nobody recognises in it is taken as asked, else for a person.
        species = framing.species if framing.species != "auto" else "animal" if seen.animal else "human"
        return species, box_face(*framing.box, image, scale), ()
    try:
        species = decide(framing.species, seen)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if species == "animal":
        if framing.face is not None:
            raise ValueError(f"{where}: face={framing.face} is for people; an animal's face is marked by box=x,y,w,h")
        guessed = (f"species: animal ({seen.words}); species=human box=x,y,w,h if it is a person",)
        return species, whole_image(image), guessed if framing.species == "auto" else ()
    several = (f"{said(seen.faces, scale)}; the largest is taken, face=1 … {len(seen.faces)} takes another",)
    notes = several if len(seen.faces) > 1 and framing.face is None else ()
    return species, choose_face(seen.faces, framing.face, where, scale), notes


def scaled(to_crop: np.ndarray, size: int, new_size: int) -> np.ndarray:
    """Picture -> crop of `size` pixels, as picture -> crop of `new_size`: centres of pixels lie at integers."""
    ratio = new_size / size
    shift = (ratio - 1) / 2
    return np.array([[ratio, 0, shift], [0, ratio, shift], [0, 0, 1]]) @ to_crop
