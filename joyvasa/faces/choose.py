"""Which of several faces is meant."""

from __future__ import annotations

from collections.abc import Sequence

from joyvasa.faces.face import SMALLEST_PX, Face


def left_to_right(faces: Sequence[Face]) -> list[Face]:
    """The order in which `face=k` counts, from 1: by the middles of the boxes."""
    return sorted(faces, key=lambda face: face.centre)


def choose_face(faces: Sequence[Face], wanted: int | None, where: str, scale: float = 1.0) -> Face:
    """The face number `wanted` from the left, counted from 1; None: the largest.

    scale: pixels of the picture looked at for one of the file's.

    Raises ValueError, naming `where`: no face at all, fewer than asked for, or one smaller than SMALLEST_PX.
    """
    if not faces:
        raise ValueError(
            f"{where}: no face found; mark it with box=x,y,w,h (pixels, from brows to chin), or give a picture in "
            "which it looks towards the camera"
        )
    if wanted is None:
        face = max(faces, key=lambda each: each.area)
    elif 1 <= wanted <= len(faces):
        face = left_to_right(faces)[wanted - 1]
    else:
        raise ValueError(
            f"{where}: face={wanted}, but {said(faces, scale)} (expected 1 to {len(faces)}, from the left)"
        )
    if min(face.box[2:]) < SMALLEST_PX:
        advice = "give a larger picture of it" if scale == 1 else "animate.max_side= keeps the picture larger"
        raise ValueError(
            f"{where}: the face is {min(face.box[2:]):.0f} pixels wide (expected at least {SMALLEST_PX}); {advice}"
        )
    return face


def said(faces: Sequence[Face], scale: float = 1.0) -> str:
    """How many faces, and where, from left to right: "2 faces found (100x100 at 10,20; 80x80 at 300,40)".

    In the file's pixels, of which the boxes are `scale` times.
    """
    places = "; ".join(
        "{2:.0f}x{3:.0f} at {0:.0f},{1:.0f}".format(*(number / scale for number in face.box))
        for face in left_to_right(faces)
    )
    return f"{len(faces)} face{'s' if len(faces) > 1 else ''} found ({places})" if faces else "no face found"
