"""Films in: what a file holds, its frames with flat memory, forwards and backwards, and its own sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from joyvasa.decoding import Timeline, frames_since, opened, timeline

CHUNK_BYTES = 64_000_000  # of frames held while a film is played backwards: 81 of 512 x 512, 10 of 1080p
MOST_CHANNELS = 2


@dataclass(frozen=True)
class VideoInfo:
    """width, height: pixels as shown (upright). fps, frames: as `read_frames` gives them, at a constant rate.

    variable: the file's own rate is not constant. rotation: degrees counter-clockwise by which frames were turned.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    has_sound: bool
    rotation: int
    variable: bool


class VideoReader:
    """Frames of a film, uint8 RGB (H, W, 3), upright, at a constant rate: one after another, a few in memory.

    The longer side is brought to at most `max_side` pixels by averaging areas, both sides even. Every pass opens the
    file anew; a frame that is shown twice is one array.
    Raises FileNotFoundError, or ValueError naming the file: empty, no film, no picture, damaged (and where).
    """

    def __init__(self, path: Path | str, *, max_side: int | None = None):
        self.path, self.max_side = Path(path), max_side
        self._times = timeline(self.path)
        fps, self._order, variable = self._times.plan()
        self.info = _info(self._times, fps, len(self._order), variable)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.frames(0, len(self))

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Frames [start, stop)."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"{self.path}: frames [{start}, {stop}) (expected within [0, {len(self)}))")
        wanted = self._order[start:stop]
        times = {index: len(list(group)) for index, group in groupby(wanted.tolist())}
        if not times:
            return
        first, last = int(wanted[0]), int(wanted[-1])
        for index, frame in enumerate(frames_since(self.path, self._times, first), start=first):
            if index in times:
                small = _shrunk(frame, self.max_side)
                for _ in range(times[index]):
                    yield small
            if index == last:
                return
        raise ValueError(f"{self.path}: damaged: frame {last} of {len(self._times.shown)} is missing; export it again")


def probe_video(path: Path | str) -> VideoInfo:
    """What the film holds, from its index and its first frame. Raises as `VideoReader`."""
    times = timeline(Path(path))
    fps, order, variable = times.plan()
    return _info(times, fps, len(order), variable)


def read_frames(path: Path | str, *, max_side: int | None = None) -> Iterator[np.ndarray]:
    """The frames of `VideoReader`."""
    return iter(VideoReader(path, max_side=max_side))


@dataclass(frozen=True, eq=False)
class Sound:
    """samples: float32 (N, 1 or 2 channels) in [-1, 1] at `rate` Hz; the first is heard with the film's first frame."""

    samples: np.ndarray
    rate: int


def load_sound(path: Path | str) -> Sound:
    """The sound of a film or sound file at its own rate; more than two channels are mixed to two.

    Raises FileNotFoundError, or ValueError naming the file: no sound track, no samples, damaged.
    """
    import av

    path, rate, late, samples = Path(path), 0, 0.0, bytearray()
    with opened(path) as container:
        track, picture = container.streams.best("audio"), container.streams.best("video")
        if track is None:
            raise ValueError(f"{path}: no sound track (it reads as {container.format.long_name})")
        channels = min(track.channels, MOST_CHANNELS)
        to_float = av.AudioResampler(format="flt", layout={1: "mono", 2: "stereo"}[channels])
        for frame in container.decode(track):
            if not rate:
                rate = frame.sample_rate
                begin = picture.start_time * picture.time_base if picture and picture.start_time else 0
                late = float(frame.pts * frame.time_base - begin) if picture and frame.pts is not None else 0.0
            for piece in to_float.resample(frame):
                samples += piece.to_ndarray().tobytes()
    if not samples:
        raise ValueError(f"{path}: the sound track holds no samples; export or download it again")
    heard = np.clip(np.frombuffer(samples, np.float32).reshape(-1, channels), -1, 1)
    shift = round(late * rate)  # sound that begins after the picture, or before it
    return Sound(np.pad(heard, ((max(shift, 0), 0), (0, 0)))[max(-shift, 0) :], rate)


def ping_pong(frames: int, wanted: int) -> np.ndarray:
    """`wanted` indices (wanted,) into `frames` frames: to the end, back to the start, and so on; no end comes twice.

    Raises ValueError where there is no frame to take.
    """
    if frames < 1 or wanted < 0:
        raise ValueError(f"{wanted} frames from a film of {frames} (expected some from at least one)")
    if frames == 1:
        return np.zeros(wanted, np.int64)
    place = np.arange(wanted) % (2 * frames - 2)
    return np.minimum(place, 2 * frames - 2 - place)


class PingPongReader:
    """`wanted` pairs (index, frame) of a film, forwards and backwards as `ping_pong` says, with flat memory, once.

    Backwards it is read in chunks of CHUNK_BYTES. A context manager; `reader` is its VideoReader. Raises the same.
    """

    def __init__(self, path: Path | str, wanted: int, *, max_side: int | None = None):
        self.reader = VideoReader(path, max_side=max_side)
        self.wanted = wanted
        self._pairs = self._paired(ping_pong(len(self.reader), wanted))

    def __enter__(self) -> PingPongReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._pairs.close()  # the film that is open, should the caller stop halfway

    def __len__(self) -> int:
        return self.wanted

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return self._pairs

    def _paired(self, order: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        while start < len(order):
            steps = np.diff(order[start:])
            backwards = len(steps) > 0 and steps[0] < 0
            turns = np.flatnonzero(steps >= 0 if backwards else steps < 0)
            stop = start + 1 + int(turns[0]) if len(turns) else len(order)
            yield from self._run(order[start:stop], backwards)
            start = stop

    def _run(self, order: np.ndarray, backwards: bool) -> Iterator[tuple[int, np.ndarray]]:
        """A run of rising or falling indices (a one-frame film: all 0)."""
        if order[0] == order[-1]:
            frame = next(self.reader.frames(int(order[0]), int(order[0]) + 1))
            yield from ((int(index), frame) for index in order)
        elif not backwards:
            yield from zip(order.tolist(), self.reader.frames(int(order[0]), int(order[-1]) + 1), strict=True)
        else:
            width, height = _size(self.reader.info.width, self.reader.info.height, self.reader.max_side)
            size = max(1, CHUNK_BYTES // (3 * width * height))
            for first in range(0, len(order), size):
                chunk = order[first : first + size]
                frames = list(self.reader.frames(int(chunk[-1]), int(chunk[0]) + 1))
                yield from zip(chunk.tolist(), reversed(frames), strict=True)


def _info(times: Timeline, fps: Fraction, frames: int, variable: bool) -> VideoInfo:
    size, seconds = (times.width, times.height), float(frames / fps)
    return VideoInfo(*size, fps, frames, seconds, times.has_sound, times.rotation, variable)


def _size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """As it is where small enough, else with both sides even and the longer one at most `max_side`."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    share = max_side / max(width, height) / 2
    return 2 * max(1, int(width * share)), 2 * max(1, int(height * share))


def _shrunk(frame: np.ndarray, max_side: int | None) -> np.ndarray:
    import cv2

    height, width = frame.shape[:2]
    size = _size(width, height, max_side)
    return frame if size == (width, height) else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
