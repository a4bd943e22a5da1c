"""Filters for the head of a generated motion: scale, translation, pitch, yaw, roll. The expression stays as it is.

All look backwards only. After JoyVASA's `smooth_` (src/utils/filter.py).

T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from joyvasa.motion import HEAD


class Smoothing(Protocol):
    """Un-normalised motion (T, C) float32 -> motion of the same shape, the argument left as it was."""

    def __call__(self, motion_TC: np.ndarray) -> np.ndarray: ...


def _with_head(motion_TC: np.ndarray, head: np.ndarray) -> np.ndarray:
    smoothed = motion_TC.copy()
    smoothed[:, HEAD] = head
    return smoothed


class NoSmoothing:
    """The motion as it was generated."""

    def __call__(self, motion_TC: np.ndarray) -> np.ndarray:
        return motion_TC


class ExponentialAverage:
    """y[0] = x[0], y[t] = weight x[t] + (1 - weight) y[t - 1]."""

    def __init__(self, *, weight: float):
        if not 0 < weight <= 1:
            raise ValueError(f"generation.smoothing.weight={weight} (expected 0 < weight <= 1; 1 changes nothing)")
        self.weight = weight

    def __call__(self, motion_TC: np.ndarray) -> np.ndarray:
        head = motion_TC[:, HEAD].copy()
        for frame in range(1, len(head)):
            head[frame] = self.weight * head[frame] + (1 - self.weight) * head[frame - 1]
        return _with_head(motion_TC, head)


class _Running:
    """A statistic of each channel over the last `frames` frames, at the beginning of those there are."""

    statistic: Callable

    def __init__(self, *, frames: int):
        if frames < 1:
            raise ValueError(f"generation.smoothing.frames={frames} (expected 1 or more; 1 changes nothing)")
        self.frames = frames

    def __call__(self, motion_TC: np.ndarray) -> np.ndarray:
        head = np.pad(motion_TC[:, HEAD].astype(np.float64), ((self.frames - 1, 0), (0, 0)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(head, self.frames, axis=0)
        return _with_head(motion_TC, self.statistic(windows, axis=-1))


class RunningMedian(_Running):
    """Takes out single outlying frames and leaves the rest almost as it is."""

    statistic = staticmethod(np.nanmedian)


class RunningMean(_Running):
    """Late by (frames - 1) / 2 frames."""

    statistic = staticmethod(np.nanmean)
