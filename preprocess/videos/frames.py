"""The frames of a film that are worked on: their times, and the pictures, from any of them on, with flat memory."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from joyvasa.io.files import named_in_utf8
from joyvasa.io.timeline import Damaged, Timeline, frames_since
from joyvasa.io.video_reader import shrunk, size_within
from joyvasa.io.video_sound import heard_between
from preprocess.report import reason_of
from preprocess.videos.probe import timeline_of
from preprocess.videos.records import Unusable
from preprocess.videos.settings import Decoding

THREADS = 1  # of the decoder: there is a process for every core
SLACK = 0.1  # above the limit of frames a second, as its share, that counts as the limit still
NEAR = 32  # kept frames that are decoded and thrown away rather than sought
RECENT = 4  # kept frames held for a reader that goes back a little: pieces share the frames at their borders
STAMP = re.compile(r"\[\d\d:\d\d:\d\d\] \S+: ")  # the time of day, in decord's messages
MUTE_SECONDS = 0.1  # of picture without sound at an end of the film that nobody minds: encoders fill up their frames
DECORD, PYAV = "decord", "pyav"

LONGER_SECONDS = 0.5  # of audio without picture at an end of the video, which nobody minds: it costs no frame


def open_frames(path: Path, decoding: Decoding) -> Frames:
    """The kept frames of a film. Raises Unusable: damaged, not_video, unreadable, no_sound."""
    timeline = timeline_of(path)
    try:
        return Frames(path, decoding, timeline, heard_between(path))
    except Damaged as error:
        raise Unusable("damaged", f"the sound: {reason_of(error, path)}") from error


def stride(fps: float, limit: float) -> int:
    """Every which frame is kept so that no more than about `limit` a second are."""
    return max(1, math.ceil(fps / limit - SLACK))


class Frames:
    """times: float64 (T,) seconds from the first picture, rising, of the kept frames. begin, duration: seconds from
    there to the start of the first one and to the end of the last one. width, height: as read. decoder: "decord" or
    "pyav", why: why not decord ("" where it is).
    notes: what is done to the pixels (tone-mapping, deinterlacing); what only later frames need is added when they are
    read.

    decord is taken only where its first picture is PyAV's to the bit, so that either may read on for the other.
    Of a rate above decoding.fps_limit every second, third, ... frame is kept. Where the sound begins later than the
    picture or ends earlier, by more than MUTE_SECONDS, only frames shown while there is sound are kept: a face that
    speaks to padding would teach silence. lengths: notes for the report where they differ; edges: what the kept frames
    begin and end with, in words. heard: (begin, end) of the sound, None where that is not known.
    One that is read on from where it was read last decodes no frame twice. Pixels do not depend on where that starts.
    """

    def __init__(self, path: Path, decoding: Decoding, timeline: Timeline, heard: tuple[float, float] | None):
        self.path, self._timeline, self._max_side = path, timeline, decoding.max_side
        since, self.duration = timeline.since, timeline.seconds
        rising = np.flatnonzero(np.diff(since, prepend=-1.0) > 0)
        kept = rising[:: stride(len(rising) / self.duration, decoding.fps_limit)]
        begin, end = _sounding(self.duration, heard)
        self.begin = begin
        self.lengths = _unequal(self.duration, heard)
        self.edges = _edges(self.duration, begin, end)
        self._kept = kept[(since[kept] >= begin) & (since[kept] < end)]
        self.times, self.duration = since[self._kept], end
        self.width, self.height = size_within(timeline.width, timeline.height, decoding.max_side)
        self.why = why_not_decord(path, timeline, decoding.decord_mb)
        self.notes: list[str] = list(timeline.notes)  # what is changed while reading; see Journal.note
        self._idle: _Cursor | None = None

    @property
    def decoder(self) -> str:
        return PYAV if self.why else DECORD

    def __len__(self) -> int:
        return len(self.times)

    def read(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Kept frames [start, stop), uint8 RGB (H, W, 3), upright, their pixels square.

        Raises Unusable "damaged" naming the second."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"{self.path}: frames [{start}, {stop}) (expected within [0, {len(self)}))")
        cursor, self._idle = self._idle, None
        if cursor is None or not cursor.reaches(start, self._timeline.seekable and self.decoder == PYAV):
            cursor = _Cursor(self._from(start), start)
        for index in range(start, stop):
            yield cursor.frame(index)
        self._idle = cursor

    def close(self) -> None:
        """Let go of the open film and of the frames held; reading again opens it again."""
        self._idle = None

    def _from(self, start: int) -> Iterator[np.ndarray]:
        """Kept frames from `start` on; where decord fails halfway, PyAV goes on from there."""
        if self.decoder == DECORD:
            try:
                for image in self._by_decord(start):
                    yield shrunk(image, self._max_side)
                    start += 1
                return
            except RuntimeError as error:  # it decodes ahead: at which frame it notices is chance
                self.why = f"decord stopped inside it: {error}"
        yield from self._by_pyav(start)

    def _by_decord(self, start: int) -> Iterator[np.ndarray]:
        """From the film's start on, without a seek: decord's go wrong where groups of pictures are open."""
        frames = _decord_frames(_decord(self.path))
        at = -1
        for wanted in self._kept[start:].tolist():
            while at < wanted:
                image = next(frames)
                at += 1
            yield image.asnumpy()

    def _by_pyav(self, start: int) -> Iterator[np.ndarray]:
        try:
            first = int(self._kept[start])
            for at, image in frames_since(self.path, self._timeline, first, threads=THREADS, tell=self._note):
                if at == self._kept[start]:
                    yield shrunk(image, self._max_side)
                    start += 1
                    if start == len(self):
                        return
        except Damaged as error:
            second = self.times[min(start, len(self) - 1)]
            raise Unusable("damaged", f"broken inside at {second:.1f} s: {reason_of(error, self.path)}") from error

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _sounding(duration: float, heard: tuple[float, float] | None) -> tuple[float, float]:
    """Seconds between which the film has picture and sound. Raises Unusable("no_sound") where it never has both."""
    begin, end = heard or (0.0, duration)
    begin = begin if begin > MUTE_SECONDS else 0.0
    end = end if end < duration - MUTE_SECONDS else duration
    if end - begin <= MUTE_SECONDS:
        place = f"from {begin:.2f} to {end:.2f} s of a picture of {duration:.2f} s"
        raise Unusable("no_sound", f"picture and sound are never there at once: sound {place}; remux it")
    return begin, end


def _edges(duration: float, begin: float, end: float) -> tuple[str, str]:
    """What the frames that are kept begin and end with, in words."""
    first = "the start of the audio" if begin > 0 else "the start of the video"
    last = "the end of the audio" if end < duration else "the end of the video"
    return first, last


def _unequal(duration: float, heard: tuple[float, float] | None) -> list[str]:
    """Notes for the report where picture and audio do not begin or end together: what both cover is used."""
    if heard is None:
        return []
    begin, end = heard
    notes = []
    if begin > MUTE_SECONDS:
        notes.append("the audio begins after the picture: the picture before it is not used")
    if begin < -LONGER_SECONDS:
        notes.append("the audio begins before the picture: the audio before it is not used")
    if end < duration - MUTE_SECONDS:
        notes.append("the audio ends before the picture: the picture after it is not used")
    if end > duration + LONGER_SECONDS:
        notes.append("the audio goes on after the picture: the audio after it is not used")
    return notes


class _Cursor:
    """A film that is being read: the next kept frame it gives is `at`; the last few given are still there."""

    def __init__(self, frames: Iterator[np.ndarray], at: int):
        self.frames, self.at = frames, at
        self.recent: deque[np.ndarray] = deque(maxlen=RECENT)

    def reaches(self, start: int, seekable: bool) -> bool:
        """Whether going on to `start` is better than to begin anew."""
        return self.at - len(self.recent) <= start and (not seekable or start - self.at <= NEAR)

    def frame(self, index: int) -> np.ndarray:
        while self.at <= index:
            self.recent.append(next(self.frames))
            self.at += 1
        return self.recent[index - self.at]


def why_not_decord(path: Path, timeline: Timeline, most_mb: float) -> str:
    """Why decord is not trusted with this film, "" where it is: it holds all of a film that is read slowly, and what it
    says of the frames has to be what the index says."""
    held_mb = len(timeline.shown) * timeline.width * timeline.height * 3 / 1e6
    if held_mb > most_mb:
        return f"its frames are {held_mb:.0f} MB, more than decoding.decord_mb={most_mb}"
    if timeline.rotation:
        return f"it is turned by {timeline.rotation} degrees"
    if timeline.aspect != 1:  # decord gives frames as stored
        return f"its pixels are not square: {timeline.aspect.numerator} wide by {timeline.aspect.denominator} high"
    if timeline.notes:  # decord gives frames as stored
        return f"its frames are converted: {'; '.join(timeline.notes)}"
    if not timeline.seekable:  # of an MPEG transport stream decord gives the last frames first
        return "its container has no index of the frames"
    try:
        return _difference(path, timeline)
    except Damaged as error:
        return f"PyAV finds it damaged, of which decord says nothing: {reason_of(error, path)}"
    except ImportError as error:
        return f"decord is not installed ({error})"
    except (RuntimeError, UnicodeError) as error:
        return f"decord refused it: {_plain(error, path)}"


def _difference(path: Path, timeline: Timeline) -> str:
    """Between decord's film and the index's: frames, times, size, first picture; "" where there is none.

    Raises Damaged: decord mends broken frames without a word, so all are decoded once by PyAV (0.3 s for 200 of 512 x
    512, and the films that decord is given are short).
    """
    reader = _decord(path)
    first, count = next(_decord_frames(reader)).asnumpy(), len(reader)
    if count != len(timeline.shown):
        return f"decord counts {count} frames, the index {len(timeline.shown)}"
    starts, since = reader.get_frame_timestamp(list(range(count)))[:, 0], timeline.since
    if count > 1 and np.abs(starts - starts[0] - since).max() > np.diff(since).min() / 2:
        return "decord's times are not those of the index"
    notes: list[str] = []
    frames = frames_since(path, timeline, 0, threads=THREADS, tell=notes.append)
    _, expected = next(frames)
    if first.shape != expected.shape:
        return f"decord reads frames of {first.shape[1]} x {first.shape[0]}, not {timeline.width} x {timeline.height}"
    if not np.array_equal(first, expected):
        return "decord's first picture is another one"
    deque(frames, maxlen=0)
    return f"some of its frames are converted: {'; '.join(notes)}" if notes else ""


def _decord(path: Path):
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    with named_in_utf8(path) as name:
        return decord.VideoReader(str(name), num_threads=THREADS)


def _decord_frames(reader) -> Iterator:
    """Its frames one after another. Raises RuntimeError where it fails and behind the last."""
    import decord

    while True:
        try:
            yield reader.next()
        except (StopIteration, decord.DECORDError) as error:
            raise RuntimeError(_plain(error)) from error


def _plain(error: Exception, path: Path | None = None) -> str:
    """The first line of decord's message, the same on every machine and at any hour."""
    text = STAMP.sub("", str(error).strip()).split("\n")[0] or type(error).__name__
    return text if path is None else text.replace(str(path.absolute()), "the file")
