"""How far eyes and lips are open, from LivePortrait's 203 landmarks (src/utils/retargeting_utils.py).

A ratio is a height over a width, so it depends neither on the size of the face nor on its roll.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-6  # pixels; the official file's, so that a width of 0 gives a number
LANDMARKS = 203
# (upper, lower) over (corner, corner).
LEFT_EYE = (6, 18, 0, 12)
RIGHT_EYE = (30, 42, 24, 36)
LIPS = (90, 102, 48, 66)


def eye_ratio(landmarks: np.ndarray) -> np.ndarray:
    """(..., 203, 2) landmarks -> (..., 2): left and right eye as in the picture. Raises ValueError for other shapes."""
    return np.stack([_ratio(landmarks, LEFT_EYE), _ratio(landmarks, RIGHT_EYE)], axis=-1)


def lip_ratio(landmarks: np.ndarray) -> np.ndarray:
    """(..., 203, 2) landmarks -> (..., 1). Raises ValueError for other shapes."""
    return _ratio(landmarks, LIPS)[..., None]


def _ratio(landmarks: np.ndarray, points: tuple[int, int, int, int]) -> np.ndarray:
    landmarks = np.asarray(landmarks)
    if landmarks.ndim < 2 or landmarks.shape[-2:] != (LANDMARKS, 2):
        raise ValueError(f"landmarks of shape {landmarks.shape} (expected (..., {LANDMARKS}, 2))")
    upper, lower, first, second = (landmarks[..., point, :] for point in points)
    return np.linalg.norm(upper - lower, axis=-1) / (np.linalg.norm(first - second, axis=-1) + EPSILON)
