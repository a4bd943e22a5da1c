"""Clip -> training example: two consecutive windows and every number drawn for them, as pure functions.

The history of the second window is the tail of the first. All that is random derives from (seed, epoch, example id).

Shape suffixes: N window frames, T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from joyvasa.data.clips import ClipEntry, DatasetError
from joyvasa.data.feature_groups import FeatureGroup
from joyvasa.data.keyed import generator
from joyvasa.motion import CHANNELS

Mode = Literal["random", "begin", "end"]
Short = Literal["repeat", "pad", "reject"]
MODES, SHORTS = ("random", "begin", "end"), ("repeat", "pad", "reject")
WINDOWS = 2


@dataclass(frozen=True)
class WindowSpec:
    """Frames of a window and of the history it sees: fixed numbers, or (low, high) drawn uniformly for each batch.

    The history comes out of the window before, so it is never longer than the window drawn.
    """

    window: int | Sequence[int]
    history: int | Sequence[int]

    def __post_init__(self) -> None:
        for name, least in (("window", 2), ("history", 0)):
            low, high = _range(getattr(self, name))
            if not least <= low <= high:
                raise ValueError(f"{name}={low} to {high} frames (expected {least} <= low <= high); set data.{name}")
            object.__setattr__(self, name, low if low == high else (low, high))

    @property
    def longest(self) -> int:
        """The largest window that can be drawn, frames."""
        return _range(self.window)[1]

    def draw(self, seed: int, epoch: int, batch: int) -> tuple[int, int]:
        """(window, history) frames of the global batch of this number, the same on every rank."""
        rng = generator(seed, epoch, "window", batch)
        window, history = (int(rng.integers(low, high + 1)) for low, high in map(_range, (self.window, self.history)))
        return window, min(history, window)


def _range(value: int | Sequence[int]) -> tuple[int, int]:
    low, high = (value, value) if isinstance(value, int) else value
    return int(low), int(high)


@dataclass(frozen=True)
class Crop:
    """How an example is cut from a clip.

    mode: where the pair starts. short: what becomes of a clip shorter than the pair: `repeat` tiles motion and audio
    and counts repeated frames as valid, as the official recipe does; `pad` holds the last frame over silence with
    valid = 0; `reject` leaves the clip out. truncate_p: probability that the pair ends early (see `cut_end`), or two
    of them: that each window ends early by itself, as published (see `cut_windows`).
    """

    mode: Mode
    short: Short
    truncate_p: float | tuple[float, float]

    def __post_init__(self) -> None:
        chances = self.truncate_p if self.by_window else (self.truncate_p,)
        right = len(chances) in (1, WINDOWS) and all(0 <= chance <= 1 for chance in chances)
        if self.mode not in MODES or self.short not in SHORTS or not right:
            raise ValueError(f"{self} (expected mode in {MODES}, short in {SHORTS}, truncate_p one or two in [0, 1])")

    @property
    def by_window(self) -> bool:
        """Whether each window is cut by itself."""
        return not isinstance(self.truncate_p, (int, float))


@dataclass(frozen=True)
class Example:
    """Two consecutive windows of N frames and the numbers drawn for them.

    motion (2N, C) un-normalised, audio (640 * 2N,) in [-1, 1], valid (2N,) 1 where a frame counts, noise (2N, C)
    standard normal, step_u (2,) and drop_u (2,) uniform in [0, 1): for each window the diffusion step and guidance
    dropout; all float32. weight: 0 for the repeats that fill an epoch's last batch, else 1. end (2,): frame at which
    each window is to be cut, where windows are cut by themselves; motion and audio are whole then. Where features are
    cached they stand for the audio: features (2N r, W) as stored, r rows a frame, and feature_scale (2N r,) of int8.
    """

    key: str
    draw: int
    motion: np.ndarray
    audio: np.ndarray | None
    features: np.ndarray | None
    feature_scale: np.ndarray | None
    valid: np.ndarray
    noise: np.ndarray
    step_u: np.ndarray
    drop_u: np.ndarray
    weight: float
    end: np.ndarray | None


def pair_start(frames: int, window: int, rng: np.random.Generator, mode: Mode, grid: int = 1) -> int:
    """First frame of a pair of windows in a clip: uniform over all places, the begin or the end; 0 in a short clip.

    Places are the multiples of `grid` frames.
    """
    places = max(frames - WINDOWS * window, 0) // grid + 1
    # Drawn in every mode, so that the draws after it do not depend on the mode.
    random = int(rng.random() * places)
    return {"random": random, "begin": 0, "end": places - 1}[mode] * grid


def cut_end(valid_frames: int, rng: np.random.Generator, truncate_p: float) -> int:
    """Truncation augmentation: with probability p the voice ends at a uniform frame of either window.

    Returns the number of frames that remain, in [1, valid_frames]; all frames after it, the second window's included,
    become invalid and silent, as behind the end of a recording.
    """
    chance, place = rng.random(2)
    return 1 + int(place * (valid_frames - 1)) if chance < truncate_p else valid_frames


def cut_windows(window: int, rng: np.random.Generator, truncate_p: tuple[float, float]) -> np.ndarray:
    """Frames that remain of each window, (2,): with its probability uniform in [1, window - 1], else all."""
    chance, place = rng.random((2, WINDOWS))
    return np.where(chance < truncate_p, 1 + (place * (window - 1)).astype(np.int64), window)


def fill(by_frame: np.ndarray, frames: int, short: Short, silent: bool) -> np.ndarray:
    """Bring the frames of a clip shorter than the pair to so many: repeated, or the last one held, or zeros behind."""
    if short == "repeat":
        return np.resize(by_frame, (frames, *by_frame.shape[1:]))
    missing = [(0, frames - len(by_frame)), *[(0, 0)] * (by_frame.ndim - 1)]
    return np.pad(by_frame, missing, mode="constant" if silent else "edge")


def read_pair(
    entry: ClipEntry,
    *,
    window: int,
    crop: Crop,
    seed: int,
    epoch: int,
    draw: int,
    weight: float = 1.0,
    features: FeatureGroup | None = None,
) -> Example:
    """Example number `draw` of a clip in this epoch, reading only the frames it needs, of audio or cached features.

    Behind the end of a voice is silence; where the clip was encoded as a whole, its last feature is held there. Raises
    DatasetError naming the clip if it is broken, or too short under short="reject".
    """
    frames = WINDOWS * window
    if entry.frames < frames and crop.short == "reject":
        raise DatasetError(f"clip {entry.key}: {entry.frames} frames (expected {frames}); set short to repeat or pad")
    grid = features.spec.grid if features else None
    rng = generator(seed, epoch, entry.key, draw)
    start = pair_start(entry.frames, window, rng, crop.mode, grid or 1)
    stop = min(start + frames, entry.frames)
    rows = {"motion": entry.motion(start, stop)}
    if features is None:
        rows["audio"] = entry.audio(start, stop)
    elif grid is None:
        rows |= features.rows(entry, start, stop)
    valid_frames = frames if crop.short == "repeat" else stop - start
    if stop - start < frames:
        rows = _fill_all(rows, stop - start, stop - start, frames, crop.short)
    at, ends = np.arange(frames), None
    if crop.by_window:
        ends = cut_windows(window, rng, crop.truncate_p)
        valid = (at < valid_frames) & (at % window < ends.repeat(window))
    else:
        end = cut_end(valid_frames, rng, crop.truncate_p)
        valid = at < end
        if end < valid_frames:
            # The last frame is held: zeros would be a motion far from any face.
            rows = _fill_all(rows, end, frames, frames, "pad")
    if grid is not None:
        rows |= features.windows(entry, (start, start + window))
    _require_finite(entry.key, rows)
    step_u, drop_u = rng.random((2, WINDOWS), dtype=np.float32)
    return Example(
        key=entry.key,
        draw=draw,
        motion=rows["motion"],
        audio=rows.get("audio"),
        features=rows.get("features"),
        feature_scale=rows.get("feature_scale"),
        valid=valid.astype(np.float32),
        noise=rng.standard_normal((frames, CHANNELS), dtype=np.float32),
        step_u=step_u,
        drop_u=drop_u,
        weight=weight,
        end=ends,
    )


def _require_finite(key: str, rows: dict[str, np.ndarray]) -> None:
    """Raise DatasetError naming the array of a clip that holds NaN or infinity.

    The loss would not always show it: the normaliser limits what is far from the mean.
    """
    for name, array in rows.items():
        # Integers cannot be anything else; this takes a tenth of the time that drawing the noise takes.
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            at = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(1)))
            raise DatasetError(
                f"clip {key}: {name} is not finite, first at row {at} of a window that was read; remove or re-extract "
                "this clip"
            )


def _fill_all(rows: dict[str, np.ndarray], keep: int, frames: int, total: int, short: Short) -> dict[str, np.ndarray]:
    """The first `keep` of `frames` frames of each array, whatever its rows a frame, brought to `total` frames."""
    filled = {}
    for name, array in rows.items():
        by_frame = array.reshape(frames, -1, *array.shape[1:])[:keep]
        filled[name] = fill(by_frame, total, short, silent=name == "audio").reshape(-1, *array.shape[1:])
    return filled


def usable(entries: Sequence[ClipEntry], spec: WindowSpec, short: Short) -> tuple[list[ClipEntry], dict[str, int]]:
    """The clips that can give examples, sorted by key, and how many were skipped for which reason.

    Under short="reject" a clip must hold two windows of the greatest length that can be drawn.
    """
    least = WINDOWS * spec.longest if short == "reject" else 1
    kept = sorted((entry for entry in entries if entry.frames >= least), key=lambda entry: entry.key)
    rejected = len(entries) - len(kept)
    return kept, {f"shorter than {least} frames": rejected} if rejected else {}
