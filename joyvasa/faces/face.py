"""A face in a picture: where it is, who saw it, and the two ways to do without a detector.

Pictures are uint8 RGB (H, W, 3); x runs right, y down, in pixels; box is (x, y, w, h) with its upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

EDGE_PX = 2  # by which scaled sides are rounded and odd ones cut
SMALLEST_PX = 60  # of a face's shorter side: below, the networks' 256 pixels are mostly interpolated


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    box: (x, y, w, h) in pixels, in the convention of `detector`: `crop.py` knows what each one frames.
    roll_deg: how far the head leans; positive where it is turned clockwise as seen in the picture.
    score: the detector's own number, comparable between faces of one detector alone.
    detector: "insightface", "haar", "box" (given by the user) or "whole" (the picture is the crop).
    landmarks: (N, 2) pixels, N one of crop.LANDMARK_COUNTS, or None.
    square: (centre x, centre y, side) from brows to chin, leaning by roll_deg, where it is known better than from the
    landmarks or the box: smoothed over time by track.py.
    """

    box: tuple[float, float, float, float]
    roll_deg: float
    score: float
    detector: str
    landmarks: np.ndarray | None = None
    square: tuple[float, float, float] | None = None

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        return self.box[2] * self.box[3]

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle of the box."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2


class Detector(Protocol):
    """Finds faces. `name` goes into the record of a result; `note` says why this one, for the user."""

    name: str
    note: str

    def detect(self, image: np.ndarray) -> list[Face]:
        """Faces of a uint8 RGB (H, W, 3) picture, large to small; an empty list where there is none."""
        ...


def check_image(image: np.ndarray, where: str) -> None:
    """Raises ValueError for anything but a uint8 (H, W, 3) array with pixels in it."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{where}: picture is {image.dtype} {image.shape} (expected uint8 RGB (H, W, 3))")


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    (x, y, w, h), (x2, y2, w2, h2) = one.box, other.box
    common = max(0.0, min(x + w, x2 + w2) - max(x, x2)) * max(0.0, min(y + h, y2 + h2) - max(y, y2))
    return common / (one.area + other.area - common) if common else 0.0


def box_face(x: float, y: float, width: float, height: float, image: np.ndarray, scale: float = 1.0) -> Face:
    """The face a user marked with `box=x,y,w,h` in the file's pixels: from the brows to the chin and from ear to ear.

    scale: pixels of `image` for one of the file's; up to EDGE_PX that rounding put outside of it are cut off.
    Raises ValueError for a box that is not wholly inside the picture, or smaller than SMALLEST_PX in `image`.
    """
    check_image(image, "box")
    given = f"box={x:g},{y:g},{width:g},{height:g}"
    if not np.isfinite([x, y, width, height]).all() or width <= 0 or height <= 0:
        raise ValueError(f"{given}: expected box=x,y,w,h in pixels with w and h above 0")
    rows, columns = image.shape[:2]
    corners = np.array([x, y, x + width, y + height]) * scale
    inside = np.clip(corners, 0, [columns, rows, columns, rows])
    if np.abs(corners - inside).max() > EDGE_PX:
        size = f"{columns / scale:.0f} x {rows / scale:.0f}"
        raise ValueError(f"{given} leaves the picture of {size} pixels; expected it wholly inside")
    left, top, right, bottom = (float(number) for number in inside)
    if min(right - left, bottom - top) < SMALLEST_PX:
        larger = "give a larger picture" if scale == 1 else "keep the picture larger with animate.max_side="
        raise ValueError(
            f"{given} is too small (expected at least {SMALLEST_PX / scale:.0f} pixels each way); mark the face from "
            f"brows to chin, or {larger}"
        )
    return Face((left, top, right - left, bottom - top), 0.0, 1.0, "box")


def whole_image(image: np.ndarray) -> Face:
    """The picture itself as the crop: for animals and for pictures that are cropped already."""
    check_image(image, "whole picture")
    rows, columns = image.shape[:2]
    return Face((0.0, 0.0, float(columns), float(rows)), 0.0, 1.0, "whole")
