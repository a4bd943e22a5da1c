"""A clip in memory and a clip on disk: slices of motion and audio are read by seek from tars, without unpacking.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from joyvasa.io.files import OUT_OF_FILES, out_of_files
from joyvasa.io.flac import count_flac_samples, decode_flac
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME, check_motion

MOTION, AUDIO, META, TRUTH = "motion.npy", "flac", "json", "truth/npy"
NPY_HEADER_BYTES = 128
OPEN_SHARDS = 64
AGAIN = "rerun python -m preprocess for this dataset"


class DatasetError(ValueError):
    """A dataset that cannot be used: one sentence saying the file, what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Clip:
    """One talking clip in memory.

    motion (T, 70) float32 un-normalised; audio (640 T,) float32, 16 kHz, in [-1, 1]; meta: what KEY.json holds, with
    at least `speaker` and `split`; truth (T, 70): the part of the motion that audio determines, where known; features
    (T, W): those of a frozen speech encoder that heard the whole clip, where asked for. render: members of the render/
    group by ending (see joyvasa.data.shard_writer), where the clip was made from a picture.
    """

    key: str
    motion: np.ndarray
    audio: np.ndarray
    meta: dict[str, Any]
    truth: np.ndarray | None = None
    features: np.ndarray | None = None
    render: dict[str, bytes] | None = None


class Member(NamedTuple):
    """Where the bytes of one tar member lie."""

    shard: str
    offset: int
    size: int


class _Shard:
    """A tar open for reading at any offset; `pread` keeps no position, so forked workers can share it."""

    def __init__(self, path: str):
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


_open_shard = lru_cache(maxsize=OPEN_SHARDS)(_Shard)


def forget_open_shards() -> None:
    """Close the kept descriptors, so that a rewritten folder is not read through those of the old files."""
    _open_shard.cache_clear()


@lru_cache(maxsize=4096)
def _npy_layout(head: bytes) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype and start of the data of an .npy file in C order, from its first bytes."""
    stream = BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f".npy version {version} (expected (1, 0))")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran:
        raise ValueError("array in Fortran order (expected C order)")
    return shape, dtype, stream.tell()


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A clip on disk: `frames` long, each member readable without the others, motion and audio by slice."""

    key: str
    split: str
    frames: int
    speaker: str
    members: dict[str, Member]

    def motion(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames [start, stop) of the motion, (T, 70) float32. Raises DatasetError naming clip and shard."""
        return self._rows(MOTION, start, stop)

    def truth(self) -> np.ndarray | None:
        """The audio-determined part of the motion (T, 70), or None where it is unknown."""
        return self._rows(TRUTH, 0, None) if TRUTH in self.members else None

    def audio(self, start_frame: int = 0, stop_frame: int | None = None) -> np.ndarray:
        """The samples of frames [start, stop), (640 T,) float32. Raises DatasetError naming clip and shard."""
        start_frame, stop_frame = self._bounds(start_frame, stop_frame)
        start, stop = start_frame * SAMPLES_PER_FRAME, stop_frame * SAMPLES_PER_FRAME
        expected = self.frames * SAMPLES_PER_FRAME
        data = self._bytes(AUDIO)
        try:
            stored = count_flac_samples(data)
            audio = decode_flac(data, min(start, stored), min(stop, stored))
        except ValueError as error:
            raise self._error(f"unreadable FLAC ({error})", AUDIO) from error
        if stored != expected:
            raise self._error(f"{stored:,} audio samples for {self.frames} frames (expected {expected:,})", AUDIO)
        if len(audio) != stop - start:
            raise self._error(f"FLAC gives {len(audio):,} of samples [{start:,}, {stop:,})", AUDIO)
        return audio

    def block(self, name: str, shape: tuple[int, ...], dtype: np.dtype, start: int, stop: int) -> np.ndarray:
        """Entries [start, stop) along the first axis of an array member known to be of this shape and type.

        Raises DatasetError naming clip and shard where the member has another size.
        """
        entry = dtype.itemsize * math.prod(shape[1:])
        size, expected = self.members[name].size, NPY_HEADER_BYTES + shape[0] * entry
        if size != expected:
            raise self._error(f".{name} has {size:,} bytes (expected {expected:,}, {dtype} {shape})", name)
        data = self._bytes(name, NPY_HEADER_BYTES + start * entry, (stop - start) * entry)
        return np.frombuffer(data, dtype).reshape(stop - start, *shape[1:])

    def meta(self) -> dict[str, Any]:
        """What KEY.json holds."""
        try:
            return json.loads(self._bytes(META))
        except json.JSONDecodeError as error:
            raise self._error(f"unreadable JSON ({error})", META) from error

    def stored(self, name: str) -> bytes:
        """A member as it is stored, like `render/jpg`. Raises KeyError where the clip has none of this name."""
        return self._bytes(name)

    def load(self) -> Clip:
        """The whole clip but for its cached features and pictures."""
        return Clip(self.key, self.motion(), self.audio(), self.meta(), self.truth())

    def _error(self, problem: str, name: str) -> DatasetError:
        return DatasetError(f"clip {self.key} in {self.members[name].shard}: {problem}; {AGAIN}")

    def _bounds(self, start: int, stop: int | None) -> tuple[int, int]:
        stop = self.frames if stop is None else stop
        if not 0 <= start < stop <= self.frames:
            raise ValueError(f"clip {self.key}: frames [{start}, {stop}) lie outside its {self.frames} frames")
        return start, stop

    def _bytes(self, name: str, skip: int = 0, size: int | None = None) -> bytes:
        shard, offset, whole = self.members[name]
        size = whole - skip if size is None else min(size, whole - skip)
        try:
            data = os.pread(_open_shard(shard).descriptor, size, offset + skip)
        except OSError as error:
            if error.errno in OUT_OF_FILES:  # nothing is wrong with the dataset; data workers lose what caused it
                raise OSError(error.errno, out_of_files(error), shard) from error
            raise self._error(f"the shard cannot be read ({error.strerror})", name) from error
        if len(data) != size:
            raise self._error(f"the shard ends early ({len(data):,} of {size:,} bytes of .{name})", name)
        return data

    def _rows(self, name: str, start: int, stop: int | None) -> np.ndarray:
        start, stop = self._bounds(start, stop)
        try:
            shape, dtype, data_start = _npy_layout(self._bytes(name, 0, NPY_HEADER_BYTES))
        except DatasetError:
            raise
        except ValueError as error:
            raise self._error(f"unreadable .{name} ({error})", name) from error
        if shape != (self.frames, CHANNELS) or dtype != np.float32:
            raise self._error(
                f".{name} is {dtype} of shape {shape} (expected float32 ({self.frames}, {CHANNELS}))", name
            )
        row = CHANNELS * dtype.itemsize
        data = self._bytes(name, data_start + start * row, (stop - start) * row)
        try:
            return check_motion(np.frombuffer(data, dtype).reshape(-1, CHANNELS).copy(), f"frames {start} to {stop}")
        except ValueError as error:
            raise self._error(str(error), name) from error
