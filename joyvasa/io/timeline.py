"""Decoding films by PyAV: when each frame is shown, and the frames from any of them on.

Frames are numbered in the order in which they are shown. Not by decord: it decodes ahead of a slow reader until the
whole film is in memory, and where groups of pictures are open, as in films of phones, it finds wrong frames.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.io.colour import SdrConverter, colour_note, tags_of
from joyvasa.io.deinterlace import DEINTERLACED, Decoded, deinterlaced, field_order_of, is_interlaced
from joyvasa.motion import FPS

NO_FILMS = ("concat", "hls", "dash", "image2")  # FFmpeg's formats that name or look for other files, and pictures
PICTURES = "_pipe"  # how FFmpeg's formats of single pictures end
INDEXED = ("mov", "mp4", "matroska", "webm")  # elsewhere times in the file lead to wrong frames: they are counted
UNINDEXED = ("vp8",)  # a packet of its may hold a frame that is never shown
COVER_PICTURE = 1024  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
NEIGHBOURS = 1  # of a frame on either side, at which deinterlacing looks
LEAD_FRAMES = 16  # the most by which frames are stored out of the order in which they are shown
GUESSED_FRAMES = 4  # at the start of an MPEG film cut out of another, for which FFmpeg may guess times
# Without an index, FFmpeg takes a clock that was set back for one whose 33 bits overflowed, and adds them: a day.
STILL_SECONDS = 600.0  # from one frame to the next, above which that is what happened
WIDEST = 4  # a pixel's width by its height, or the inverse, above which a file is not believed
NEARLY_SQUARE = 0.01  # as encoders state it that round the sides of scaled frames; not worth resampling
MISSING_SECONDS = 1.0  # before the end that a Matroska file states, from which it counts as cut off
MISSING_FRAMES = 2  # that an AVI's header may count too many: frames that only say "the same again" are not decoded
# How films begin: a file that begins so and cannot be opened has lost its index, or the rest of its head.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # mp4 and mov, behind 4 bytes of length
MPEG_HEAD = b"\x00\x00\x01\xba"
HEADS = (b"\x1aE\xdf\xa3", b"RIFF", b"FLV", MPEG_HEAD, b"0&\xb2u")  # mkv, avi, flv, mpg, wmv


class Damaged(ValueError):
    """A film that is cut off or broken inside."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """When frames are shown. shown: int64 (frames,), rising, in `time_base`; timed: False where the file has no times
    and frames are only counted; seekable: whether a frame can be found by its time; fps: as the file says, or None;
    width, height: as shown, upright and of square pixels; rotation: degrees counter-clockwise; aspect: a stored pixel's
    width by its height, before that turn; notes: what the first frame shows to be done to the pixels (tone-mapping,
    deinterlacing), in words, empty for an ordinary film."""

    shown: np.ndarray
    time_base: Fraction
    timed: bool
    seekable: bool
    fps: Fraction | None
    width: int
    height: int
    rotation: int
    aspect: Fraction
    has_sound: bool
    notes: tuple[str, ...] = ()

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
        container = av.open(os.path.abspath(path), format=_format_by_content(path))
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


def _format_by_content(path: Path) -> str | None:
    """The format where FFmpeg would believe the ending of the name more than the content; None leaves it to FFmpeg."""
    with path.open("rb") as file:
        return "mpeg" if file.read(len(MPEG_HEAD)) == MPEG_HEAD else None


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
    if stream.codec_context is None:
        raise ValueError(f"{path}: no decoder for its picture track; convert the film to h264, or export it again")
    return stream


def timeline(path: Path) -> Timeline:
    """Read the times of all frames: from the index of mp4, mov, mkv and webm, else by decoding the film once.

    Frames before the first that can be decoded, in a film cut out of another, do not count.
    Raises as `opened` and `picture_track`, and Damaged for a film that is cut off or whose clock jumps back.
    """
    with opened(path) as container:
        stream = picture_track(container, path)
        seekable = any(name in INDEXED for name in container.format.name.split(","))
        seekable = seekable and stream.codec_context.name not in UNINDEXED
        times = _packet_times(container, stream, path) if seekable else _frame_times(container, stream, path)
        timed = bool(times) and None not in times
        first, notes = _first_frame(path)
        if timed and first.pts is not None:
            times = [time for time in times if time >= first.pts]
        aspect = _aspect(stream)
        width, height = _width_shown(first.width, aspect), first.height
        if first.rotation % 180 == 90:
            width, height = height, width
        return Timeline(
            shown=np.array(_in_order(times, seekable) if timed else range(len(times)), np.int64),
            time_base=stream.time_base,
            timed=timed,
            seekable=seekable and timed,
            fps=stream.average_rate,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            aspect=aspect,
            has_sound=container.streams.best("audio") is not None,
            notes=notes,
        )


def first_frame(path: Path):
    """PyAV's first frame of a film that is opened anew. Raises as `timeline`."""
    return _first_frame(path)[0]


def _first_frame(path: Path) -> tuple[Any, tuple[str, ...]]:
    """PyAV's, and what is done to it, of a film opened anew: where clocks overflow or edits repeat, no seek finds it.
    Raises as `timeline`."""
    with opened(path) as container:
        stream = picture_track(container, path)
        tags = tags_of(stream.codec_context)  # before decoding, which may forget what the container says
        frame = next(container.decode(stream), None)
        if frame is None:
            raise Damaged(f"{path}: the picture track holds no frame; export or download it again")
        notes = [DEINTERLACED] if is_interlaced(frame, field_order_of(stream.codec_context)) else []
        note = colour_note(tags_of(frame, tags))
        if note is not None:
            notes.append(note)
        return frame, tuple(notes)


def _in_order(times: list[int], seekable: bool) -> list[int]:
    """Of two frames with one time, one is shown; where frames can only be counted, both stay."""
    return sorted(set(times) if seekable else times)


def _check_clock(stamps: list[int | None], tick: Fraction, lead: int, still: float, path: Path) -> None:
    """Raises Damaged where times of stored frames go back behind one stored more than `lead` frames before, or ahead by
    more than `still` seconds. Not by decoded frames: decoders give some too late behind a hole in the film."""
    known = np.array([stamp for stamp in stamps if stamp is not None], np.int64)
    latest = np.maximum.accumulate(known)
    back = np.flatnonzero(known[lead + 1 :] < latest[: -lead - 1]) + lead + 1
    ahead = np.flatnonzero(np.diff(latest) * float(tick) > still) + 1
    if len(back) or len(ahead):
        first = int(np.union1d(back, ahead)[0])
        at, how = float((latest[first - 1] - known[0]) * tick), "back" if first in back else "far ahead"
        reason = f"the clock jumps {how} at {at:.1f} s, as in files joined byte by byte"
        raise Damaged(f"{path}: damaged: {reason}; remux it, or join its parts with ffmpeg -f concat")


def _aspect(stream) -> Fraction:
    """Of a pixel, as container or codec say; 1 where they say nothing, something absurd, or nearly 1."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not 1 / WIDEST <= aspect <= WIDEST or abs(aspect - 1) <= NEARLY_SQUARE:
        return Fraction(1)
    return aspect


def _width_shown(width: int, aspect: Fraction) -> int:
    """Always the width changes, as in FFmpeg, to the nearest even number; what is square stays as it is."""
    return width if aspect == 1 else 2 * max(1, round(width * aspect / 2))


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
    _check_clock(times, stream.time_base, LEAD_FRAMES, math.inf, path)
    return times


def _frame_times(container, stream, path: Path) -> list[int | None]:
    """Of the decoded frames, in the order of showing; of an AVI, where each has but a number, in none to rely on.

    Where a recording was ended inside a frame, those that are broken for it do not count.
    """
    times, stored, broken, lost = [], [], [], False
    stream.thread_count = 1  # by slices, FFmpeg mends without a word
    for packet in container.demux(stream):
        stored.append(packet.dts)
        lost = lost or packet.is_corrupt
        for frame in packet.decode():
            broken += [len(times)] if lost or frame.is_corrupt else []
            times.append(frame.pts)
    if container.format.name != "avi":
        _check_clock(stored, stream.time_base, GUESSED_FRAMES, STILL_SECONDS, path)
    elif len(times) < stream.frames - MISSING_FRAMES:
        raise Damaged(f"{path}: damaged: {len(times)} frames (expected {stream.frames}); export or download it again")
    return times[: next((at for at in broken if at >= max(1, len(times) - LEAD_FRAMES)), None)]


def frames_since(
    path: Path, times: Timeline, start: int, *, threads: int = 0, tell: Callable[[str], None] | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """(number, frame) from frame `start` on, uint8 RGB (H, W, 3), as shown: upright, pixels square, deinterlaced, of
    standard dynamic range. threads: of the decoder, 0 all there are. tell: called with a note of what is done to a
    frame, the first time that it is done.

    Raises Damaged naming the file and the place: for a frame of the index that the decoder does not give, and for a
    broken one, whose tears those behind it inherit. HEVC, VP8 and VP9 tell only of frames that they cannot decode.
    """
    import av

    shown, at, wanted = times.shown, -1, start
    with opened(path) as container:
        stream = picture_track(container, path)
        converter = SdrConverter(tags_of(stream.codec_context), threads)
        stream.thread_type, stream.thread_count = "AUTO", threads
        if times.seekable and start > LEAD_FRAMES + NEIGHBOURS:
            container.seek(int(shown[start - LEAD_FRAMES - NEIGHBOURS]), stream=stream)
        frames = deinterlaced(_told(container.demux(stream)), field_order_of(stream.codec_context), threads)
        told: set[str] = set()
        while wanted < len(shown):
            try:
                decoded = next(frames, None)
            except av.FFmpegError as error:
                raise Damaged(f"{path}: damaged behind frame {at} ({error.strerror}); export it again") from error
            if decoded is None:
                at = len(shown)
            else:
                at = int(np.searchsorted(shown, decoded.pts)) if times.seekable else at + 1
            if at > wanted:
                raise Damaged(f"{path}: damaged: frame {wanted} of {len(shown)} is missing; export it again")
            if decoded.broken:
                raise Damaged(f"{path}: damaged: the picture breaks at {times.since[at]:.2f} s; export it again")
            if at == wanted:
                _tell(decoded, converter, told, tell)
                image = _square(converter.convert(decoded.frame), times.aspect)
                yield at, np.ascontiguousarray(np.rot90(image, decoded.rotation // 90))
                wanted += 1


def _tell(decoded: Decoded, converter: SdrConverter, told: set[str], tell: Callable[[str], None] | None) -> None:
    """Pass on what is done to this frame, where it was not yet `told`."""
    if tell is None:
        return
    for note in (DEINTERLACED if decoded.interlaced else None, converter.note(decoded.frame)):
        if note is not None and note not in told:
            told.add(note)
            tell(note)


def _told(packets: Iterable) -> Iterator[tuple[Any, bool]]:
    """(PyAV's frame, whether the decoder mended it or the container lost something before it)."""
    lost = False
    for packet in packets:
        lost = lost or packet.is_corrupt
        for frame in packet.decode():
            yield frame, lost or frame.is_corrupt


def _square(image: np.ndarray, aspect: Fraction) -> np.ndarray:
    """As stored -> with square pixels."""
    import cv2

    if aspect == 1:
        return image
    size = _width_shown(image.shape[1], aspect), image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if aspect > 1 else cv2.INTER_AREA)
