"""The official statistics file (`motion_template.pkl`, also spelt `motion_templete.pkl`) <-> `MotionStats`.

A dictionary of arrays named `<statistic>_<field>`, for example `std_exp` (63,): mean, std (of the population), max, min
and abs_max of scale, R, t, exp, pitch, yaw, roll, lip and eyes. Official: src/prepare_data/04_gen_template.py.

Shape suffixes: T frames, C channels, N values of a field.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from joyvasa.io.files import replacing
from joyvasa.motion import (
    CHANNELS,
    EXP,
    PITCH,
    ROLL,
    SCALE,
    TRANSLATION,
    YAW,
    MotionStats,
    check_motion,
    euler_to_matrix,
)
from joyvasa.unpickle import load_pickle

TEMPLATES = ("motion_template.pkl", "motion_templete.pkl")  # the published code writes the second spelling
STATISTICS = ("mean", "std", "max", "min", "abs_max")
CHANNELS_OF = {
    "scale": SCALE,
    "t": TRANSLATION,
    "exp": EXP,
    "pitch": slice(PITCH, PITCH + 1),
    "yaw": slice(YAW, YAW + 1),
    "roll": slice(ROLL, ROLL + 1),
}
FIELDS = ("scale", "R", "t", "exp", "pitch", "yaw", "roll", "lip", "eyes")  # in the order of the official file


class Ratios(NamedTuple):
    """How far eyes and mouth are open, by landmarks: eyes (T, 2) and lip (T, 1) float32."""

    eyes: np.ndarray
    lip: np.ndarray


def rotations(motion_TC: np.ndarray) -> np.ndarray:
    """Rotation (T, 3, 3) float32 of each frame, `motion.euler_to_matrix` computed in double precision."""
    angles = (torch.from_numpy(np.asarray(motion_TC[:, channel], np.float64)) for channel in (PITCH, YAW, ROLL))
    return euler_to_matrix(*angles).numpy().astype(np.float32)


class _Moments:
    """Mean, population deviation and extremes of values (T, N), clip after clip (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.frames = 0

    def add(self, values_TN: np.ndarray) -> None:
        values = np.asarray(values_TN, np.float64)
        low, high, mean = values.min(0), values.max(0), values.mean(0)
        squares = np.square(values - mean).sum(0)
        if self.frames == 0:
            self.frames, self.low, self.high, self.mean, self.squares = len(values), low, high, mean, squares
            return
        frames, gap = self.frames + len(values), mean - self.mean
        self.squares += squares + gap**2 * self.frames * len(values) / frames
        self.mean += gap * len(values) / frames
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.frames = frames

    def statistics(self) -> dict[str, np.ndarray]:
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        std = np.sqrt(self.squares / self.frames)
        values = (self.mean, std, self.high, self.low, largest)
        return {name: value.astype(np.float32) for name, value in zip(STATISTICS, values, strict=True)}


def template_of(motions: Iterable[np.ndarray], ratios: tuple[np.ndarray, np.ndarray] | None) -> dict[str, np.ndarray]:
    """The official dictionary, float32, over all frames of all motions (T, 70), each read once.

    ratios: (eyes (T, 2), lip (T, 1)) of the LAST clip, which is all the official file covers, or None where they are
    unknown: then the ten lip and eyes entries are left out of the 45. R is the rotation of the angles, (9,).
    Raises ValueError for no motion and for one that `check_motion` refuses.
    """
    moments = {field: _Moments() for field in (*CHANNELS_OF, "R")}
    for number, motion in enumerate(motions):
        motion = check_motion(motion, f"clip {number}")
        for field, channels in CHANNELS_OF.items():
            moments[field].add(motion[:, channels])
        moments["R"].add(rotations(motion).reshape(-1, 9))
    if moments["R"].frames == 0:
        raise ValueError("no clip to take the template's statistics from; give at least one motion")
    for field, values in zip(("eyes", "lip"), ratios or (), strict=ratios is not None):
        moments[field] = _Moments()
        moments[field].add(values)
    of = {field: moments[field].statistics() for field in FIELDS if field in moments}
    return {f"{name}_{field}": of[field][name] for name in STATISTICS for field in of}


def template_from_stats(stats: MotionStats) -> dict[str, np.ndarray]:
    """What the official inference reads of a template, from our statistics: 30 arrays, without R, lip and eyes."""
    low, high = stats.min.numpy(), stats.max.numpy()
    rows = (stats.mean.numpy(), stats.std.numpy(), high, low, np.maximum(np.abs(low), np.abs(high)))
    return {
        f"{name}_{field}": row[channels].astype(np.float32)
        for name, row in zip(STATISTICS, rows, strict=True)
        for field, channels in CHANNELS_OF.items()
    }


def read_template(path: Path | str) -> MotionStats:
    """The statistics of an official template; `low` and `high`, which it lacks, are its min and max.

    Raises FileNotFoundError, or ValueError naming the file: not such a dictionary, entries missing or of another
    shape, values that are not finite, a negative deviation, a minimum above its maximum.
    """
    return stats_of_template(load_pickle(path), str(path))


def stats_of_template(template: Any, where: str) -> MotionStats:
    """`read_template` of the dictionary itself; `where` names it in errors."""
    if not isinstance(template, dict):
        raise ValueError(f"{where}: holds {type(template).__name__} (expected the dictionary of a motion template)")
    needed = [f"{name}_{field}" for name in STATISTICS[:4] for field in CHANNELS_OF]
    missing = [key for key in needed if key not in template]
    if missing:
        raise ValueError(f"{where}: no motion template, it lacks {', '.join(missing)}")
    rows = {name: np.empty(CHANNELS, np.float32) for name in STATISTICS[:4]}
    for key in needed:
        name, _, field = key.partition("_")
        rows[name][CHANNELS_OF[field]] = _values(template[key], CHANNELS_OF[field], f"{where}: {key}")
    if (rows["std"] < 0).any() or (rows["min"] > rows["max"]).any():
        raise ValueError(f"{where}: a deviation below 0, or a minimum above its maximum; make the template again")
    mean, std, high, low = (torch.from_numpy(rows[name]) for name in STATISTICS[:4])
    return MotionStats(mean, std, low, high, low.clone(), high.clone())


def _values(value: Any, channels: slice, where: str) -> np.ndarray:
    values, expected = np.asarray(value), channels.stop - channels.start
    if values.dtype.kind not in "fiu" or values.size != expected or not np.isfinite(values).all():
        raise ValueError(f"{where} is {values.dtype} of shape {values.shape} (expected {expected} finite numbers)")
    return values.reshape(-1)


def write_template(path: Path | str, template: dict[str, np.ndarray]) -> None:
    """Pickle a template, under a temporary name until it is whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(pickle.dumps(template))
