"""The squares of a followed face -> what is cut out of its frames. T frames; squares as in `records`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from joyvasa.faces.crop import CropSpec, crop, crop_transform
from joyvasa.faces.face import Face
from preprocess.videos.records import FaceTrack, Piece, Unusable

STILL, FOLLOWED = "still", "followed"


def squares_of(track: FaceTrack, piece: Piece) -> np.ndarray:
    """(T, 4) of the kept frames a piece is made from. Raises ValueError where the track does not hold them all."""
    if not track.start <= piece.start < piece.stop <= track.stop:
        raise ValueError(
            f"piece of frames [{piece.start}, {piece.stop}) (expected inside its track's [{track.start}, {track.stop}))"
        )
    return track.square_T4[piece.start - track.start : piece.stop - track.start]


def path_of(squares_T4: np.ndarray, still: float) -> tuple[np.ndarray, str]:
    """The squares that a piece is cut by, (T, 4), and whether they stand STILL or are FOLLOWED.

    One square, of the medians, for all frames: through a crop that follows the face its moves across the picture and
    towards the camera would vanish from the motion; the reference cuts a driving video by one mean box, too. A face
    whose centre moves, or whose side changes, by more than the share `still` of the median side would leave that crop:
    it is followed, and the caller says so.
    """
    middle = np.median(squares_T4, axis=0)
    reach = still * middle[2]
    moved = np.linalg.norm(squares_T4[:, :2] - middle[:2], axis=1).max()
    if moved <= reach and np.abs(squares_T4[:, 2] - middle[2]).max() <= reach:
        return np.repeat(middle[None], len(squares_T4), axis=0), STILL
    return squares_T4, FOLLOWED


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
