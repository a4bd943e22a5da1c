"""From a face to the square picture that the networks see, and back.

A transform is a (3, 3) float64 matrix that takes (x, y, 1) of the picture to (x, y, 1) of the crop; its inverse takes
the crop back. The convention is LivePortrait's (src/utils/crop.py): the square around the landmarks in the head's own
axes, enlarged `scale` times and shifted along those axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, radians, sin

import cv2
import numpy as np

from joyvasa.faces.face import Face, check_image


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """How much of the picture a crop shows.

    scale: side of the crop over side of the face's square (brows to chin, ear to ear). vx, vy: shift of the crop's
    centre in its own sides, right and down. size: pixels of the crop. rotate: whether the head is put upright.
    """

    scale: float
    vx: float
    vy: float
    size: int
    rotate: bool

    def __post_init__(self) -> None:
        if self.scale <= 0 or self.size < 1:
            raise ValueError(f"crop of scale {self.scale} and size {self.size} (expected both above 0)")


# src/config/crop_config.py: for the picture to be animated, and for a video that drives.
OFFICIAL_CROP = CropSpec(scale=2.3, vx=0.0, vy=-0.125, size=512, rotate=True)
DRIVING_CROP = CropSpec(scale=2.2, vx=0.0, vy=-0.1, size=512, rotate=False)


@dataclass(frozen=True, eq=False)
class FaceSquare:
    """The square from brows to chin: its centre (2,) and side in pixels, and how far it leans, clockwise."""

    centre: np.ndarray
    side: float
    roll_deg: float


# Points whose mean is (left eye, right eye, mouth), left as in the picture: parse_pt2_from_pt* of the official file.
_PARTS: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    5: ((0,), (1,), (3, 4)),
    68: ((36, 39), (42, 45), (48, 54)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
}
LANDMARK_COUNTS = tuple(_PARTS)

# detector -> (of the box's width, of its height, downwards in heights): the side of the square is the larger of the
# first two. "haar" is the mean over eight people of what dense landmarks gave beside the cascade's box (side 0.75 to
# 0.88, shift 0.10 to 0.19). SCRFD's box begins at the hairline. A user's box is the square itself.
_BOX_TO_SQUARE = {"haar": (0.82, 0.82, 0.13), "insightface": (1.0, 0.77, 0.115), "box": (1.0, 1.0, 0.0)}


def landmark_axis(landmarks: np.ndarray, where: str) -> np.ndarray:
    """Unit vector (2,) from between the eyes to the mouth; straight down where both coincide.

    Raises ValueError for another number of points than LANDMARK_COUNTS.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in _PARTS:
        raise ValueError(f"{where}: landmarks of shape {points.shape} (expected (N, 2) with N of {LANDMARK_COUNTS})")
    left, right, mouth = (points[list(part)].mean(axis=0) for part in _PARTS[len(points)])
    down = mouth - (left + right) / 2
    length = np.linalg.norm(down)
    return down / length if length > 1e-3 else np.array([0.0, 1.0])


def face_square(face: Face) -> FaceSquare:
    """The square around a face: its own, else from its landmarks, else from its box by its detector's convention.

    Raises ValueError for a face of unknown convention without landmarks, and for a wrong number of landmarks.
    """
    if face.square is not None:
        return FaceSquare(np.array(face.square[:2]), face.square[2], face.roll_deg)
    if face.landmarks is not None:
        points = np.asarray(face.landmarks, dtype=np.float64)
        down = landmark_axis(points, face.detector)
        axes = np.array([[down[1], -down[0]], down])  # rows: the head's right and down
        turned = points @ axes.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        roll_deg = float(np.degrees(np.arctan2(axes[0, 1], axes[0, 0])))
        return FaceSquare((low + high) / 2 @ axes, float((high - low).max()), roll_deg)
    if face.detector not in _BOX_TO_SQUARE:
        raise ValueError(
            f"face of detector {face.detector!r} without landmarks: what its box frames is not known "
            f"(expected one of {', '.join(_BOX_TO_SQUARE)})"
        )
    of_width, of_height, shift = _BOX_TO_SQUARE[face.detector]
    width, height = face.box[2:]
    roll = radians(face.roll_deg)
    centre = np.array(face.centre) + shift * height * np.array([-sin(roll), cos(roll)])
    return FaceSquare(centre, max(of_width * width, of_height * height), face.roll_deg)


def crop_transform(face: Face, spec: CropSpec) -> np.ndarray:
    """Picture -> crop, (3, 3) float64.

    A whole picture (`face.whole_image`) is stretched to the crop, as the reference does without cropping; otherwise
    the transform is a similarity (_estimate_similar_transform_from_pts of the official file). Raises as `face_square`.
    """
    if face.detector == "whole":
        across, along = spec.size / face.box[2], spec.size / face.box[3]
        # Centres of pixels are at integers here, so that equal sizes give the identity.
        return np.array([[across, 0, (across - 1) / 2], [0, along, (along - 1) / 2], [0, 0, 1]], dtype=np.float64)
    square = face_square(face)
    roll = radians(square.roll_deg)
    right, down = np.array([cos(roll), sin(roll)]), np.array([-sin(roll), cos(roll)])
    side = square.side * spec.scale
    if not side > 0:
        raise ValueError(f"face of {face.detector} has side {square.side} pixels (expected above 0): {face.box}")
    centre = square.centre + (right * spec.vx + down * spec.vy) * side
    linear = spec.size / side * (np.array([right, down]) if spec.rotate else np.eye(2))
    transform = np.eye(3)
    transform[:2, :2] = linear
    transform[:2, 2] = spec.size / 2 - linear @ centre
    return transform


def invert(transform: np.ndarray) -> np.ndarray:
    """Picture -> crop into crop -> picture, and the other way round."""
    return np.linalg.inv(transform)


def move_points(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(N, 2) points through a (3, 3) transform."""
    return np.asarray(points, dtype=np.float64) @ transform[:2, :2].T + transform[:2, 2]


def crop(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (size, size, 3); black where the crop leaves the picture, as in the reference."""
    check_image(image, "crop")
    return warp(image, transform, size, size)


def warp(
    image: np.ndarray, transform: np.ndarray, width: int, height: int, *, border: int = cv2.BORDER_CONSTANT
) -> np.ndarray:
    """Bilinear warp of (H, W) or (H, W, C); outside is zero, or with cv2.BORDER_REPLICATE the nearest pixel.

    Where the result is less than half as large, the source is averaged over whole blocks of pixels first: bilinear
    alone would skip pixels and flicker.
    """
    scale = hypot(*transform[:2, 0]), hypot(*transform[:2, 1])  # of the picture's own axes
    blocks = [max(1, int(1 / each)) for each in scale]
    if max(blocks) > 1:
        x0, y0, x1, y1 = _needed(transform, width, height, image.shape)
        if x1 <= x0 or y1 <= y0:
            return np.zeros((height, width, *image.shape[2:]), image.dtype)
        right, below = (x0 - x1) % blocks[0], (y0 - y1) % blocks[1]  # to whole blocks
        part = cv2.copyMakeBorder(image[y0:y1, x0:x1], 0, below, 0, right, cv2.BORDER_REPLICATE)
        small_size = part.shape[1] // blocks[0], part.shape[0] // blocks[1]
        image = cv2.resize(part, small_size, interpolation=cv2.INTER_AREA)
        middle = x0 + (blocks[0] - 1) / 2, y0 + (blocks[1] - 1) / 2
        transform = transform @ np.array([[blocks[0], 0, middle[0]], [0, blocks[1], middle[1]], [0, 0, 1]])
    return cv2.warpAffine(image, transform[:2], (width, height), flags=cv2.INTER_LINEAR, borderMode=border)


def corners(width: float, height: float) -> np.ndarray:
    """(4, 2) corners of a picture, at the outer edges of its pixels."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5


def _needed(transform: np.ndarray, width: int, height: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) of the source that a result of this size shows, with two pixels of it around."""
    margin = 2 * max(1.0, *(1 / hypot(*transform[:2, axis]) for axis in (0, 1)))
    points = move_points(corners(width, height), invert(transform))
    low, high = np.floor(points.min(axis=0) - margin), np.ceil(points.max(axis=0) + margin)
    (x0, y0), (x1, y1) = np.clip(low, 0, (shape[1], shape[0])), np.clip(high, 0, (shape[1], shape[0]))
    return int(x0), int(y0), int(x1), int(y1)
