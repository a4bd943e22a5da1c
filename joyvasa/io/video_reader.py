"""Films in: what a file holds, and its frames with flat memory, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from joyvasa.io.timeline import Timeline, frames_since, timeline
from joyvasa.motion import FPS

CHUNK_BYTES = 64_000_000  # of frames held while a film is played backwards: 81 of 512 x 512, 10 of 1080p
FINEST_FPS = 1001  # average frame rates are brought to fractions of no larger denominator
LARGEST_SLIP = 0.6  # frames from its place at a constant rate, above which the rate counts as variable


@dataclass(frozen=True)
class VideoInfo:
    """width, height: pixels as shown (upright, square). fps, frames: as `read_frames` gives them, at a constant rate.

    variable: the file's own rate is not constant. rotation: degrees counter-clockwise by which frames were turned.
    notes: what the first frame shows to be done to the pixels, as of Timeline.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    has_sound: bool
    rotation: int
    variable: bool
    notes: tuple[str, ...] = ()


class VideoReader:
    """Frames of a film, uint8 RGB (H, W, 3), upright, their pixels square, deinterlaced and of standard dynamic range,
    at a constant rate: one after another, a few in memory.

    `notes` says what was done to the pixels; what only later frames need is added when they are read.

    The longer side is brought to at most `max_side` pixels by averaging areas, both sides even. Every pass opens the
    file anew; a frame that is shown twice is one array.
    Raises FileNotFoundError, or ValueError naming the file: empty, no film, no picture, damaged (and where).
    """

    def __init__(self, path: Path | str, *, max_side: int | None = None):
        self.path, self.max_side = Path(path), max_side
        self._times = timeline(self.path)
        fps, self._order, variable = constant_rate(self._times)
        self.info = _info(self._times, fps, len(self._order), variable)
        self.notes: list[str] = list(self.info.notes)

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
        for index, frame in frames_since(self.path, self._times, first, tell=self._note):
            if index in times:
                small = shrunk(frame, self.max_side)
                for _ in range(times[index]):
                    yield small
            if index == last:
                return

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def constant_rate(times: Timeline) -> tuple[Fraction, np.ndarray, bool]:
    """(fps, index (frames,) of the frame shown at each moment of that rate, whether the film's own is variable).

    The stated rate stands where every frame is within LARGEST_SLIP of its place. Else the mean rate is taken, and
    frames are repeated or left out, so that picture and sound stay together.
    """
    count = len(times.shown)
    whole = np.arange(count)
    if count == 1 or not times.timed:
        return times.fps or Fraction(FPS), whole, False
    since = times.since
    if times.fps and np.abs(since * float(times.fps) - whole).max() <= LARGEST_SLIP:
        return times.fps, whole, False
    seconds = times.seconds
    fps = Fraction(count / seconds).limit_denominator(FINEST_FPS)
    moments = (np.arange(max(1, round(seconds * float(fps)))) + 0.5) / float(fps)
    index = np.searchsorted(since, moments, side="right") - 1
    return fps, index, not np.array_equal(index, whole)


def size_within(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """As it is where small enough, else with both sides even and the longer one at most `max_side`."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    share = max_side / max(width, height) / 2
    return 2 * max(1, int(width * share)), 2 * max(1, int(height * share))


def shrunk(frame: np.ndarray, max_side: int | None) -> np.ndarray:
    """The frame at the size of `size_within`, areas averaged."""
    import cv2

    height, width = frame.shape[:2]
    size = size_within(width, height, max_side)
    return frame if size == (width, height) else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def probe_video(path: Path | str) -> VideoInfo:
    """What the film holds, from its index and its first frame. Raises as `VideoReader`."""
    times = timeline(Path(path))
    fps, order, variable = constant_rate(times)
    return _info(times, fps, len(order), variable)


def read_frames(path: Path | str, *, max_side: int | None = None) -> Iterator[np.ndarray]:
    """The frames of `VideoReader`."""
    return iter(VideoReader(path, max_side=max_side))


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
            width, height = size_within(self.reader.info.width, self.reader.info.height, self.reader.max_side)
            size = max(1, CHUNK_BYTES // (3 * width * height))
            for first in range(0, len(order), size):
                chunk = order[first : first + size]
                frames = list(self.reader.frames(int(chunk[-1]), int(chunk[0]) + 1))
                yield from zip(chunk.tolist(), reversed(frames), strict=True)


def _info(times: Timeline, fps: Fraction, frames: int, variable: bool) -> VideoInfo:
    size, seconds = (times.width, times.height), float(frames / fps)
    return VideoInfo(*size, fps, frames, seconds, times.has_sound, times.rotation, variable, times.notes)
