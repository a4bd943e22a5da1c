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
PICTURES = "_pipe"  # how FFmpeg's formats of single pictures end
INDEXED = ("mov", "mp4", "matroska", "webm")  # elsewhere times in the file lead to wrong frames: they are counted
UNINDEXED = ("vp8",)  # a packet of its may hold a frame that is never shown
COVER_PICTURE = 1024  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
FINEST_FPS = 1001  # average frame rates are brought to fractions of no larger denominator
LEAD_FRAMES = 16  # the most by which frames are stored out of the order in which they are shown
LARGEST_SLIP = 0.6  # frames from its place at a constant rate, above which the rate counts as variable
MISSING_SECONDS = 1.0  # before the end that a Matroska file states, from which it counts as cut off
MISSING_FRAMES = 2  # that an AVI's header may count too many: frames that only say "the same again" are not decoded
# How films begin: a file that begins so and cannot be opened has lost its index, or the rest of its head.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # mp4 and mov, behind 4 bytes of length
HEADS = (b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"\x00\x00\x01\xba", b"0&\xb2u")  # mkv, avi, flv, mpg, wmv


class Damaged(ValueError):
    """A film that is cut off or broken inside."""


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

    @property
    def since(self) -> np.ndarray:
        """Seconds from the first frame to each, float64 (frames,); without times: by the stated rate."""
        if self.timed:
            return (self.shown - self.shown[0]) * float(self.time_base)
        return np.arange(len(self.shown)) / float(self.fps or FPS)

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last, which is shown as long as the median one."""
        since = self.since
        return float(since[-1] + (np.median(np.diff(since)) if len(since) > 1 else 1 / float(self.fps or FPS)))

    def plan(self) -> tuple[Fraction, np.ndarray, bool]:
        """(fps, index (frames,) of the frame shown at each moment of a constant rate, whether the film's is variable).

        The stated rate stands where every frame is within LARGEST_SLIP of its place. Else the mean rate is taken, and
        frames are repeated or left out, so that picture and sound stay together.
        """
        count = len(self.shown)
        whole = np.arange(count)
        if count == 1 or not self.timed:
            return self.fps or Fraction(FPS), whole, False
        since = self.since
        if self.fps and np.abs(since * float(self.fps) - whole).max() <= LARGEST_SLIP:
            return self.fps, whole, False
        seconds = self.seconds
        fps = Fraction(count / seconds).limit_denominator(FINEST_FPS)
        moments = (np.arange(max(1, round(seconds * float(fps)))) + 0.5) / float(fps)
        index = np.searchsorted(since, moments, side="right") - 1
        return fps, index, not np.array_equal(index, whole)


@contextmanager
def opened(path: Path) -> Iterator:
    """A PyAV container. Raises FileNotFoundError; ValueError naming the file for what is no film or sound; Damaged for
    one that is cut off, and where FFmpeg stops inside the `with` block."""
    import av

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such video file; check the path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); export or download it again")
    try:
        # An absolute path: FFmpeg takes what stands before a colon in "take 1:2.mp4" for a protocol.
        container = av.open(os.path.abspath(path))
    except av.FFmpegError as error:
        if _begins_like_a_film(path):
            raise Damaged(f"{path}: damaged: its index or head is missing ({error.strerror}); export again") from error
        raise ValueError(f"{path}: no video or sound, or damaged ({error.strerror}); export it again") from error
    with container:
        names = container.format.name.split(",")
        if any(name in NO_FILMS or name.endswith(PICTURES) for name in names):
            raise ValueError(f"{path}: reads as {container.format.long_name}; give a video or sound file")
        try:
            yield container
        except av.FFmpegError as error:
            raise Damaged(f"{path}: no video or sound, or damaged ({error.strerror}); export it again") from error


def _begins_like_a_film(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(8)
    return head[4:] in BOXES or head.startswith(HEADS)


def picture_track(container, path: Path):
    """The stream with the picture. Raises ValueError for a sound file, with or without a cover; Damaged for a file in
    which no track is left."""
    stream = container.streams.best("video")
    if stream is None and container.streams.best("audio") is None and _begins_like_a_film(path):
        raise Damaged(f"{path}: no picture track, nor any other: cut off; export or download it again")
    if stream is None or int(stream.disposition) & COVER_PICTURE:
        raise ValueError(f"{path}: no picture track (it reads as {container.format.long_name}); give a video")
    return stream


def timeline(path: Path) -> Timeline:
    """Read the times of all frames: from the index of mp4, mov, mkv and webm, else by decoding the film once.

    Frames before the first that can be decoded, in a film cut out of another, do not count.
    Raises as `opened` and `picture_track`, and Damaged for a film that is cut off.
    """
    with opened(path) as container:
        stream = picture_track(container, path)
        seekable = any(name in INDEXED for name in container.format.name.split(","))
        seekable = seekable and stream.codec_context.name not in UNINDEXED
        times = _packet_times(container, stream, path) if seekable else _frame_times(container, stream, path)
        timed = bool(times) and None not in times
        container.seek(0)
        first = next(container.decode(stream), None)
        if first is None or not times:
            raise Damaged(f"{path}: the picture track holds no frame; export or download it again")
        if timed and first.pts is not None:
            times = [time for time in times if time >= first.pts]
        turned = first.rotation % 180 == 90
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return Timeline(
            shown=np.array(_in_order(times, seekable) if timed else range(len(times)), np.int64),
            time_base=stream.time_base,
            timed=timed,
            seekable=seekable and timed,
            fps=stream.average_rate,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            has_sound=container.streams.best("audio") is not None,
        )


def _in_order(times: list[int], seekable: bool) -> list[int]:
    """Of two frames with one time, one is shown; where frames can only be counted, both stay."""
    return sorted(set(times) if seekable else times)


def _packet_times(container, stream, path: Path) -> list[int | None]:
    """Of the frames to show, in the order of the file; all tracks are read, to see where the file ends."""
    whole, times, end = 0, [], 0.0
    for packet in container.demux():
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.stream.time_base))
        if packet.stream_index == stream.index:
            whole += packet.size > 0 and not packet.is_corrupt
            if packet.size and not packet.is_discard:
                times.append(packet.pts)
    # stream.frames counts frames that an edit list hides; mov's index holds those that have to come.
    listed = len(stream.index_entries) if "mov" in container.format.name else stream.frames
    expected = max(listed, len(times))
    if whole < expected:
        raise Damaged(f"{path}: damaged: {whole} whole frames (expected {expected}); export or download it again")
    stated = (container.duration or 0) / 1e6  # FFmpeg's AV_TIME_BASE
    if "matroska" in container.format.name and end < stated - MISSING_SECONDS:
        raise Damaged(f"{path}: damaged: it ends at {end:.1f} s (expected {stated:.1f} s); export or download it again")
    return times


def _frame_times(container, stream, path: Path) -> list[int | None]:
    times = [frame.pts for frame in container.decode(stream)]
    if container.format.name == "avi" and len(times) < stream.frames - MISSING_FRAMES:
        raise Damaged(f"{path}: damaged: {len(times)} frames (expected {stream.frames}); export or download it again")
    return times


def frames_since(path: Path, times: Timeline, start: int, *, threads: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """(number, frame) from frame `start` on, uint8 RGB (H, W, 3), upright. threads: of the decoder, 0 all there are.

    Raises Damaged naming the file and the place, for a frame of the index that the decoder does not give too.
    """
    import av

    shown, at, wanted = times.shown, -1, start
    with opened(path) as container:
        stream = picture_track(container, path)
        stream.thread_type, stream.thread_count = "AUTO", threads
        if times.seekable:
            container.seek(int(shown[max(0, start - LEAD_FRAMES)]), stream=stream)
        frames = container.decode(stream)
        while wanted < len(shown):
            try:
                frame = next(frames, None)
            except av.FFmpegError as error:
                raise Damaged(f"{path}: damaged behind frame {at} ({error.strerror}); export it again") from error
            at = len(shown) if frame is None else int(np.searchsorted(shown, frame.pts)) if times.seekable else at + 1
            if at > wanted:
                raise Damaged(f"{path}: damaged: frame {wanted} of {len(shown)} is missing; export it again")
            if at == wanted:
                yield at, np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
                wanted += 1


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
