"""Putting a rendered crop back into its picture, within the face's region alone.

Official: paste_back of src/utils/crop.py, which warps and blends the whole picture in float64.
"""

from __future__ import annotations

import cv2
import numpy as np

from joyvasa.faces.crop import corners, move_points, warp

BORDER = 1 / 32  # of the crop's side: the width of its soft edge
COVERED = 1 - 1e-4  # a weight that is 1 but for rounding


def paste_mask(size: int, border: float = BORDER) -> np.ndarray:
    """(size, size) float32: 1 inside, falling to 0 along every edge over `border` of the side.

    The fall is half a cosine wave, whose ends have no kink that the eye would see as a line.
    """
    if not 0 <= border <= 0.5:
        raise ValueError(f"border of {border} of the side (expected 0 to 0.5)")
    pixels = np.arange(size)
    from_edge = np.minimum(pixels, size - 1 - pixels)
    rise = np.clip(from_edge / max(border * size, 1.0), 0, 1)
    edge = (1 - np.cos(np.pi * rise)) / 2
    return (edge[:, None] * edge[None, :]).astype(np.float32)


class Paster:
    """Pastes crops at one place of frames of one size; cheap enough to be made anew for every frame of a video.

    frame_shape: (H, W, 3) or (H, W) of the frames. crop_to_frame: (3, 3), the inverse of `crop.crop_transform`.
    mask: (S, S) float32 weight of the crop, of the crops' own size.
    """

    def __init__(self, frame_shape: tuple[int, ...], crop_to_frame: np.ndarray, mask: np.ndarray) -> None:
        self.shape = tuple(frame_shape[:2])
        self.size = mask.shape
        height, width = self.size
        points = move_points(corners(width, height), crop_to_frame)
        limits = (self.shape[1], self.shape[0])
        x0, y0 = (int(edge) for edge in np.clip(np.floor(points.min(axis=0)), 0, limits))
        x1, y1 = (int(edge) for edge in np.clip(np.ceil(points.max(axis=0)) + 1, 0, limits))
        self.region = (slice(y0, y1), slice(x0, x1))
        self._extent = (x1 - x0, y1 - y0)
        self._to_region = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], np.float64) @ crop_to_frame
        self.empty = x1 <= x0 or y1 <= y0  # the face lies outside the frame
        shrinks = np.hypot(*crop_to_frame[:2, :2]).min() < 1  # pixels of the edge are averaged with those beside it
        if not self.empty:
            self._weight = warp(mask, self._to_region, *self._extent)
            self._rest = 1 - self._weight
            # Zeros from beyond the crop, the faster way, darken its edge unless the weight is 0 there.
            soft = not any(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) and not shrinks
            self._border = cv2.BORDER_CONSTANT if soft else cv2.BORDER_REPLICATE
            self._inside = _inside(self._weight)

    def paste(self, frame: np.ndarray, crop: np.ndarray) -> np.ndarray:
        """A copy of frame, uint8 (H, W, 3), with the uint8 (S, S, 3) crop in its place.

        Raises ValueError for another size of either.
        """
        if frame.shape != (*self.shape, 3) or crop.shape != (*self.size, 3):
            raise ValueError(
                f"frame {frame.shape} and crop {crop.shape} (expected {(*self.shape, 3)} and {(*self.size, 3)})"
            )
        result = frame.copy()
        if not self.empty:
            placed = warp(crop, self._to_region, *self._extent, border=self._border)
            place, behind = result[self.region], frame[self.region]
            rows, columns = self._inside
            place[rows, columns] = placed[rows, columns]
            for part in (
                np.s_[: rows.start],
                np.s_[rows.stop :],
                np.s_[rows, : columns.start],
                np.s_[rows, columns.stop :],
            ):
                if place[part].size:
                    place[part] = cv2.blendLinear(placed[part], behind[part], self._weight[part], self._rest[part])
        return result


def _inside(weight: np.ndarray) -> tuple[slice, slice]:
    """A rectangle of rows and columns in which the crop covers the frame wholly, empty where none is found.

    Of rectangles about the middle the largest whose corners are covered: enough for a mask that is flat inside.
    """
    height, width = weight.shape
    for share in np.arange(0.98, 0.3, -0.04):
        low = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
        rows, columns = slice(low[0], height - low[0]), slice(low[1], width - low[1])
        inner = weight[rows, columns]
        if inner.size and inner[[0, 0, -1, -1], [0, -1, 0, -1]].min() > COVERED:
            return (rows, columns) if inner.min() > COVERED else (slice(0, 0), slice(0, 0))
    return slice(0, 0), slice(0, 0)
