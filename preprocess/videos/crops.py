"""The squares of a followed face -> what is cut out of its frames. T frames; squares as in `records`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from joyvasa.faces.crop import CropSpec, crop, crop_transform
from joyvasa.faces.face import Face
from joyvasa.faces.track import smooth
from preprocess.videos.records import FaceTrack, Piece, Unusable

STILL, FOLLOWED = "still", "followed"
SLOWNESS = (128, 64, 32, 16, 8, 4)  # frames: deviations of the Gaussian along a followed crop's path, tried in turn


def squares_of(track: FaceTrack, piece: Piece) -> np.ndarray:
    """(T, 4) of the kept frames a piece is made from. Raises ValueError where the track does not hold them all."""
    if not track.start <= piece.start < piece.stop <= track.stop:
        raise ValueError(
            f"piece of frames [{piece.start}, {piece.stop}) (expected inside its track's [{track.start}, {track.stop}))"
        )
    return track.square_T4[piece.start - track.start : piece.stop - track.start]


def path_of(squares_T4: np.ndarray, still: float) -> tuple[np.ndarray, str]:
    """The squares that a piece is cut by, (T, 4), and whether they stand STILL or are FOLLOWED.

    One square, of the medians, for all frames where that will do: through a crop that follows the face its moves across
    the picture and towards the camera would vanish from the motion; the reference cuts a driving video by one mean box,
    too. A face whose centre moves, or whose side changes, by more than the share `still` of the side would leave that
    crop: it is followed, as slowly as keeps it inside, so that what shakes is the head and not the crop.
    """
    middle = np.repeat(np.median(squares_T4, axis=0)[None], len(squares_T4), axis=0)
    if _holds(middle, squares_T4, still):
        return middle, STILL
    slow = (smooth(squares_T4, frames) for frames in SLOWNESS)
    return next((path for path in slow if _holds(path, squares_T4, still)), squares_T4), FOLLOWED


def _holds(path_T4: np.ndarray, squares_T4: np.ndarray, still: float) -> bool:
    """Whether crops along the path keep the face inside, in every frame."""
    reach_T = still * path_T4[:, 2]
    moved_T = np.linalg.norm(squares_T4[:, :2] - path_T4[:, :2], axis=1)
    return bool((moved_T <= reach_T).all() and (np.abs(squares_T4[:, 2] - path_T4[:, 2]) <= reach_T).all())


def transform_of(square_4: np.ndarray, spec: CropSpec) -> np.ndarray:
    """Frame -> crop, (3, 3) float64: see joyvasa.faces.crop."""
    x, y, side, roll_deg = (float(number) for number in square_4)
    box = (x - side / 2, y - side / 2, side, side)
    return crop_transform(Face(box, roll_deg, 1.0, "box", square=(x, y, side)), spec)


def crops_of(frames: Iterable[np.ndarray], path_T4: np.ndarray, spec: CropSpec, px: int) -> Iterator[np.ndarray]:
    """Every frame's crop, uint8 (px, px, 3); `spec.size` is not looked at.

    Raises Unusable("damaged") where there are fewer frames than squares.
    """
    spec, following = replace(spec, size=px), iter(frames)
    for number, square in enumerate(path_T4):
        frame = next(following, None)
        if frame is None:
            raise Unusable("damaged", f"{number} frames could be read (expected {len(path_T4)}); export it again")
        yield crop(frame, transform_of(square, spec), px)
