"""Cached speech features: the column groups `features/<digest>/` of a dataset folder, chosen and read by slice.

    KEY.npy          whole clip: (rows, W); windows on a start grid: (windows, rows of a window, W)
    KEY.scale.npy    int8 alone: float32, one a row; a feature is its integer times that

A row is a feature: one or two a motion frame, by the group's rate. Windows begin every `grid` frames; what a window
hears behind the end of the clip is silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from joyvasa.data.clips import ClipEntry, DatasetError
from joyvasa.data.shards import FEATURES, DatasetInfo
from joyvasa.features import FeatureSpec
from joyvasa.motion import FPS

VALUES, SCALES = "npy", "scale.npy"
INT8_MAX = 127


@dataclass(frozen=True)
class FeatureGroup:
    """A column group of features, W wide. What is read is as stored: `features`, and `feature_scale` where int8."""

    name: str
    spec: FeatureSpec
    width: int

    @property
    def per_frame(self) -> int:
        """Rows a motion frame."""
        return round(self.spec.rate_hz / FPS)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.spec.dtype)

    def starts(self, frames: int) -> range:
        """First frames of the windows stored of a clip: all that a pair can begin with, two at least."""
        window, step = self.spec.window_frames, self.spec.grid
        return range(0, max(frames - window, window) + 1, step)

    def shape(self, frames: int) -> tuple[int, ...]:
        """Of KEY.npy of a clip of so many frames."""
        if self.spec.grid is None:
            return frames * self.per_frame, self.width
        return len(self.starts(frames)), self.spec.window_frames * self.per_frame, self.width

    def rows(self, entry: ClipEntry, start: int, stop: int) -> dict[str, np.ndarray]:
        """The features of frames [start, stop) of a clip that was heard whole."""
        return self._read(entry, start * self.per_frame, stop * self.per_frame)

    def windows(self, entry: ClipEntry, starts: Sequence[int]) -> dict[str, np.ndarray]:
        """The features of the windows beginning there, one behind the other."""
        places = [start // self.spec.grid for start in starts]
        read = [self._read(entry, place, place + 1) for place in places]
        return {name: np.concatenate([window[name][0] for window in read]) for name in read[0]}

    def clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, W) float32, one a motion frame, of a clip that was heard whole."""
        read = self.rows(entry, 0, entry.frames)
        values = read["features"].astype(np.float32)
        if "feature_scale" in read:
            values *= read["feature_scale"][:, None]
        return values.reshape(entry.frames, self.per_frame, -1).mean(1)

    def _read(self, entry: ClipEntry, start: int, stop: int) -> dict[str, np.ndarray]:
        shape = self.shape(entry.frames)
        read = {"features": entry.block(f"{self.name}/{VALUES}", shape, self.dtype, start, stop)}
        if self.spec.dtype == "int8":
            scales = np.dtype(np.float32)
            read["feature_scale"] = entry.block(f"{self.name}/{SCALES}", shape[:-1], scales, start, stop)
        return read

    def stored(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """float32 features (..., W) as the group stores them, by member."""
        if self.spec.dtype != "int8":
            return {VALUES: values.astype(self.dtype)}
        scale = np.maximum(np.abs(values).max(-1) / INT8_MAX, np.finfo(np.float32).tiny).astype(np.float32)
        return {VALUES: np.rint(values / scale[..., None]).astype(np.int8), SCALES: scale}

    def description(self) -> dict[str, Any]:
        """What dataset.json says of the group."""
        windows = "" if self.spec.grid is None else "windows, "
        members = {VALUES: f"{self.spec.dtype} ({windows}rows, {self.width}), {self.spec.rate_hz:g} rows a second"}
        if self.spec.dtype == "int8":
            members[SCALES] = f"float32 ({windows}rows,): an integer times this is the feature"
        return members | {"spec": asdict(self.spec), "width": self.width}

    def check_pairs(self, entries: Sequence[ClipEntry], *, short: str, truncated: bool, by_window: bool) -> None:
        """Raise ValueError where examples would need features of audio that no encoder was given."""
        if by_window or truncated and self.spec.grid:
            raise ValueError(
                f"data.truncate_p with {self.name}: no features of a voice that ends inside its window are there; "
                "set data.truncate_p=0, or data.features=null to encode while training"
            )
        least = 2 * (self.spec.window_frames or 0)
        brief = sum(entry.frames < least for entry in entries)
        if short == "repeat" and brief:
            raise ValueError(
                f"data.short=repeat with {self.name}: {brief} clips are shorter than {least} frames, and no features "
                "of a repeated voice are there; set data.short=pad or reject"
            )


def feature_groups(dataset: DatasetInfo) -> list[FeatureGroup]:
    """The groups of cached features that a dataset has."""
    return [
        FeatureGroup(name, FeatureSpec(**said["spec"]), said["width"])
        for name, said in dataset.groups.items()
        if name.startswith(FEATURES)
    ]


def misfit(group: FeatureGroup, encoder: FeatureSpec, window: Any) -> str:
    """What keeps a group from standing for an encoder with these training windows; empty where it can."""
    reasons = encoder.differences(group.spec.as_heard())
    if group.spec.grid:
        if window != group.spec.window_frames:
            reasons.append(f"data.window: {window}, features are of windows of {group.spec.window_frames}")
        elif window % group.spec.grid:
            reasons.append(f"windows start every {group.spec.grid} frames, which {window} is no multiple of")
    return "; ".join(reasons)


def find_group(dataset: DatasetInfo, asked: str | None, encoder: FeatureSpec, window: Any) -> FeatureGroup | None:
    """The group that `data.features` means: None for null; `auto` the one that fits, else one by name or digest.

    Raises ValueError for a fine-tuned encoder, a group of another encoder (saying what differs), none, or several.
    """
    if asked is None:
        return None
    if encoder.weights_sha256 is None:
        raise ValueError(
            f"data.features={asked}: encoder {encoder.encoder} is trained with the model, so its features change from "
            "step to step; set encoder.frozen=true, or data.features=null"
        )
    groups = {group.name: group for group in feature_groups(dataset)}
    make = f"python -m preprocess source=shards input={dataset.folder} features={encoder.encoder}"
    if asked != "auto":
        group = groups.get(asked) or groups.get(FEATURES + asked)
        if group is None:
            known = ", ".join(groups) or "none"
            raise DatasetError(f"{dataset.folder}: no features {asked!r} (there are: {known}); make them: {make}")
        if reason := misfit(group, encoder, window):
            raise ValueError(f"{dataset.folder / group.name}: features of another kind ({reason}); {make}")
        return group
    reasons = {name: misfit(group, encoder, window) for name, group in groups.items()}
    fitting = [name for name, reason in reasons.items() if not reason]
    if len(fitting) > 1:
        raise ValueError(f"{dataset.folder}: {len(fitting)} groups fit; give data.features={' or '.join(fitting)}")
    if not fitting:
        found = "".join(f"\n    {name}: {reason}" for name, reason in reasons.items())
        raise ValueError(f"{dataset.folder}: no features of this encoder are cached; make them: {make}{found}")
    return groups[fitting[0]]


def voice_group(dataset: DatasetInfo, asked: str | None, encoder: FeatureSpec) -> FeatureGroup | None:
    """The group from which whole clips can be sampled, if `data.features` asks for any: the one named, else the first
    that fits."""
    if asked is None or encoder.weights_sha256 is None:
        return None
    fitting = [g for g in feature_groups(dataset) if g.spec.grid is None and not misfit(g, encoder, None)]
    named = [group for group in fitting if group.name.removeprefix(FEATURES) == asked.removeprefix(FEATURES)]
    return next(iter(named or fitting), None)
