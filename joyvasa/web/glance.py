"""A first look at an upload: the picture, smaller, with the faces that were found, and what will be done with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from joyvasa.faces.choose import left_to_right
from joyvasa.faces.face import Detector, Face
from joyvasa.io.image import read_picture
from joyvasa.io.listing import is_video
from joyvasa.io.video_reader import probe_video, read_frames

SIDE_PX = 640  # of the picture shown
LINE_PX = 3
FRAME_COLOUR, INK_COLOUR = (34, 132, 245), (255, 255, 255)
MARK_IT = "click on two opposite corners of the face"


@dataclass(frozen=True, eq=False)
class Glance:
    """picture: uint8 RGB (H, W, 3), faces framed. words: for the visitor. to_file: factor from its pixels to those of
    the file, in which a box is given. video: whether it is the first frame of one."""

    picture: np.ndarray
    words: str
    to_file: float
    video: bool


def glance(path: Path, detector: Detector, max_side: int) -> Glance:
    """Look at a photo, or at a video's first frame, in the size the film will be made in (`max_side`).

    Raises ValueError or OSError naming the file.
    """
    video = is_video(path)
    if video:
        pixels = next(iter(read_frames(path, max_side=max_side)))
        shrunk = pixels.shape[1] / probe_video(path).width
    else:
        picture = read_picture(path, max_side)
        pixels, shrunk = picture.pixels, picture.scale
    faces = left_to_right(detector.detect(pixels))
    small = min(1.0, SIDE_PX / max(pixels.shape))
    shown = cv2.resize(pixels, None, fx=small, fy=small, interpolation=cv2.INTER_AREA) if small < 1 else pixels.copy()
    for number, face in enumerate(faces, start=1):
        _frame(shown, face, small, str(number) if len(faces) > 1 else "")
    return Glance(shown, _say(len(faces), video), 1 / (small * shrunk), video)


def box_between(one: tuple[float, float], other: tuple[float, float], to_file: float) -> str:
    """Two corners clicked in a glance -> "x,y,w,h" in pixels of the file."""
    (left, right), (top, bottom) = (sorted((a * to_file, b * to_file)) for a, b in zip(one, other, strict=True))
    return f"{left:.0f},{top:.0f},{right - left:.0f},{bottom - top:.0f}"


def _say(faces: int, video: bool) -> str:
    where = "in the first frame" if video else "in the picture"
    if not faces:
        return (
            f"No person's face was found {where}, so this is taken for an animal and used whole. "
            f"If there is a face, {MARK_IT}."
        )
    if faces == 1:
        return f"One face was found {where}. If the frame is wrong, {MARK_IT}."
    return f"{faces} faces were found {where}. The largest will speak, unless you give a number or {MARK_IT}."


def _frame(shown: np.ndarray, face: Face, scale: float, label: str) -> None:
    x, y, width, height = (round(value * scale) for value in face.box)
    cv2.rectangle(shown, (x, y), (x + width, y + height), FRAME_COLOUR, LINE_PX, cv2.LINE_AA)
    if label:
        cv2.rectangle(shown, (x, y), (x + 13 * len(label) + 10, y + 26), FRAME_COLOUR, cv2.FILLED)
        at = (x + 5, y + 20)
        cv2.putText(shown, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, INK_COLOUR, 2, cv2.LINE_AA)
