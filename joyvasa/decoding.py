"""Decoding films by PyAV: when each frame is shown, and the frames from any of them on.

Frames are numbered in the order in which they are shown. Not by decord: it decodes ahead of a slow reader until the
whole film is in memory, and where groups of pictures are open, as in films of phones, it finds wrong frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from joyvasa.motion import FPS

NO_FILMS = ("concat", "hls", "dash", "image2")  # FFmpeg's formats that name or look for other files, and pictures
INDEXED = ("mov", "mp4", "matroska", "webm")  # elsewhere times in the file lead to wrong frames: they are counted
COVER_PICTURE = 1024  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
FINEST_FPS = 1001  # average frame rates are brought to fractions of no larger denominator
LEAD_FRAMES = 16  # the most by which frames are stored out of the order in which they are shown
LARGEST_SLIP = 0.6  # frames from its place at a constant rate, above which the rate counts as variable


@dataclass(frozen=True, eq=False)
class Timeline:
    """When frames are shown. shown: int64 (frames,), rising, in `time_base`; timed: False where the file has no times
    and frames are only counted; seekable: whether a frame can be found by its time; fps: as the file says, or None;
    rotation: degrees counter-clockwise."""

    shown: np.ndarray
    time_base: Fraction
    timed: bool
    seekable: bool
    fps: Fraction | None
    width: int
    height: int
    rotation: int
    has_sound: bool

    def plan(self) -> tuple[Fraction, np.ndarray, bool]:
        """(fps, index (frames,) of the frame shown at each moment of a constant rate, whether the film's is variable).

        The stated rate stands where every frame is within LARGEST_SLIP of its place. Else the mean rate is taken, and
        frames are repeated or left out, so that picture and sound stay together.
        """
        count = len(self.shown)
        whole = np.arange(count)
        if count == 1 or not self.timed:
            return self.fps or Fraction(FPS), whole, False
        since = (self.shown - self.shown[0]) * float(self.time_base)
        if self.fps and np.abs(since * float(self.fps) - whole).max() <= LARGEST_SLIP:
            return self.fps, whole, False
        seconds = since[-1] + float(np.median(np.diff(since)))
        fps = Fraction(count / seconds).limit_denominator(FINEST_FPS)
        moments = (np.arange(max(1, round(seconds * float(fps)))) + 0.5) / float(fps)
        index = np.searchsorted(since, moments, side="right") - 1
        return fps, index, not np.array_equal(index, whole)


@contextmanager
def opened(path: Path) -> Iterator:
    """A PyAV container. Raises FileNotFoundError, or ValueError naming the file for whatever FFmpeg cannot read."""
    import av

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such video file; check the path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); export or download it again")
    try:
        # An absolute path: FFmpeg takes what stands before a colon in "take 1:2.mp4" for a protocol.
        with av.open(os.path.abspath(path)) as container:
            if any(name in NO_FILMS for name in container.format.name.split(",")):
                raise ValueError(f"{path}: reads as {container.format.long_name}; give a video or sound file")
            yield container
    except av.FFmpegError as error:
        raise ValueError(f"{path}: no video or sound, or damaged ({error.strerror}); export it again") from error


def picture_track(container, path: Path):
    """The stream with the picture. Raises ValueError for a sound file, with or without a cover."""
    stream = container.streams.best("video")
    if stream is None or int(stream.disposition) & COVER_PICTURE:
        raise ValueError(f"{path}: no picture track (it reads as {container.format.long_name}); give a video")
    return stream


def timeline(path: Path) -> Timeline:
    """Read the times of all frames: from the index of mp4, mov, mkv and webm, else by decoding the film once.

    Raises as `opened`, and ValueError for a film that is cut off.
    """
    with opened(path) as container:
        stream = picture_track(container, path)
        seekable = any(name in INDEXED for name in container.format.name.split(","))
        times = _packet_times(container, stream, path) if seekable else [f.pts for f in container.decode(stream)]
        timed = None not in times
        container.seek(0)
        first = next(container.decode(stream), None)
        if first is None or not times:
            raise ValueError(f"{path}: the picture track holds no frame; export or download it again")
        turned = first.rotation % 180 == 90
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return Timeline(
            shown=np.array(sorted(times) if timed else range(len(times)), np.int64),
            time_base=stream.time_base,
            timed=timed,
            seekable=seekable and timed,
            fps=stream.average_rate,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            has_sound=container.streams.best("audio") is not None,
        )


def _packet_times(container, stream, path: Path) -> list[int | None]:
    whole, times = 0, []
    for packet in container.demux(stream):
        whole += packet.size > 0 and not packet.is_corrupt
        if packet.size and not packet.is_discard:
            times.append(packet.pts)
    expected = max(stream.frames, len(times))
    if whole < expected:
        raise ValueError(f"{path}: damaged: {whole} whole frames (expected {expected}); export or download it again")
    return times


def frames_since(path: Path, times: Timeline, start: int) -> Iterator[np.ndarray]:
    """Frames from `start` on, uint8 RGB (H, W, 3), upright. Raises ValueError naming the file and the damaged place."""
    import av

    shown, at = times.shown, -1
    with opened(path) as container:
        stream = picture_track(container, path)
        stream.thread_type = "AUTO"
        if times.seekable:
            container.seek(int(shown[max(0, start - LEAD_FRAMES)]), stream=stream)
        frames = container.decode(stream)
        while True:
            try:
                frame = next(frames, None)
            except av.FFmpegError as error:
                raise ValueError(f"{path}: damaged behind frame {at} ({error.strerror}); export it again") from error
            if frame is None:
                return
            at = int(np.searchsorted(shown, frame.pts)) if times.seekable else at + 1
            if at >= start:
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
