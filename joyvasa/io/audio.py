"""Recordings in: any audio file, or the audio of a video, as samples.

`open_audio` is the one way in which the project opens audio: the motion, the audio of the video that is written,
preprocessing, evaluation and the page all read what it gives. `load_audio` and `load_sound` hold it in memory,
`joyvasa.io.video_sound` reads it beside the frames of a video.

FFmpeg decodes (PyAV), libsndfile what FFmpeg refuses. `survey_audio` looks at all of a recording to decide which track
is read, how its channels are mixed, and how long it is. Pauses by the time stamps of the file are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr

from joyvasa.io.audio_clock import Clock, in_place, joined
from joyvasa.io.audio_mix import Mix
from joyvasa.io.audio_survey import LOUDEST, AudioFacts, survey_audio
from joyvasa.io.audio_tracks import Broken, NoDecoder, NoSound, Piece, decode_soundfile, decode_track
from joyvasa.io.flac import PCM_SCALE, decode_flac, encode_flac, pcm16
from joyvasa.io.timeline import COVER_PICTURE, first_frame, opened
from joyvasa.motion import SAMPLE_RATE, SAMPLES_PER_FRAME

__all__ = [
    "LOUDEST",
    "PCM_SCALE",
    "AudioFacts",
    "AudioReader",
    "NoDecoder",
    "NoSound",
    "Sound",
    "decode_flac",
    "encode_flac",
    "fit_frames",
    "load_audio",
    "load_sound",
    "open_audio",
    "pcm16",
    "read_audio",
    "survey_audio",
]

MOST_CHANNELS = 2


@dataclass(frozen=True, eq=False)
class Sound:
    """samples: float32 in [-1, 1] at `rate` Hz, (N,) from `read_audio`, (N, 1 or 2 channels) from `load_sound`.
    notes: what is to be said of the recording, each a sentence with the file's name."""

    samples: np.ndarray
    rate: int
    notes: tuple[str, ...] = ()


class AudioReader:
    """A recording that is open. facts: what was found out about it."""

    def __init__(self, facts: AudioFacts, pieces: Iterator[Piece], clock: Clock):
        self.facts = facts
        self._pieces = pieces
        self._clock = clock

    def blocks(self, rate: int, channels: int) -> Iterator[np.ndarray]:
        """The samples, once, float32 (n, channels) within [-1, 1] at `rate` Hz; channels: 1 or 2. Memory is flat."""
        mixed = (
            (piece.stamp, piece.rate, self._mix(piece).apply(piece.samples_NC, channels)) for piece in self._pieces
        )
        return _resampled(joined(in_place(mixed, self._clock)), rate, channels)

    def mono_blocks(self) -> Iterator[np.ndarray]:
        """The samples as a speech encoder hears them: (n,) at 16 kHz."""
        for block in self.blocks(SAMPLE_RATE, 1):
            yield block[:, 0]

    def _mix(self, piece: Piece) -> Mix:
        return self.facts.mixes.get(piece.layout) or Mix()


@contextmanager
def open_audio(path: Path | str, *, align: bool = False, bounded: bool = True) -> Iterator[AudioReader]:
    """Open a recording, or the audio of a video.

    Args:
        path: any file that FFmpeg or libsndfile can read.
        align: True: sample 0 is heard with the video's first frame; silence stands before audio that begins later, and
            audio before that frame is left out. False: sample 0 is the first sample of the track. Without video both
            are the same.
        bounded: leave out pauses by time stamps that are too long to be believed. False for readers that stop at the
            end of the video.

    Yields:
        A reader. Its pauses are as long as the time stamps say.

    Raises:
        FileNotFoundError; NoSound for no audio track or no samples; NoDecoder naming the track; Damaged; ValueError for
        what is no audio, NaN, or samples far beyond full scale. All name the file.
    """
    path = Path(path)
    facts = survey_audio(path)
    origin = _first_frame_seconds(path) if align and facts.track is not None else None
    clock = Clock(origin, restarts=facts.chained, bounded=bounded)
    if facts.track is None:
        pieces = decode_soundfile(path)
    else:
        pieces = decode_track(path, facts.track, Broken())
    with closing(pieces):
        yield AudioReader(facts, pieces, clock)


def _first_frame_seconds(path: Path) -> Fraction | None:
    """When the video's first frame is shown, by the file's clock; None for a file without video."""
    with opened(path) as container:
        stream = container.streams.best("video")
        if stream is None or int(stream.disposition) & COVER_PICTURE:
            return None
        start = Fraction((stream.start_time or 0) * stream.time_base)
        decodable = stream.codec_context is not None
    if not decodable:
        return start
    frame = first_frame(path)
    return Fraction(0) if frame.pts is None else frame.pts * frame.time_base


def read_audio(path: Path | str) -> Sound:
    """A recording as a speech encoder hears it, with notes: mono, 16 kHz, (samples,). Raises as `open_audio`."""
    sound = load_sound(path, align=False, rate=SAMPLE_RATE, channels=1)
    return Sound(sound.samples[:, 0], sound.rate, sound.notes)


def load_audio(path: Path | str) -> np.ndarray:
    """Audio of a file, whatever its container, rate and channels -> (samples,) float32 in [-1, 1], 16 kHz mono.

    Channels are mixed as `choose_mix` says, the rate is changed by soxr HQ. Memory beyond the result is a few blocks,
    so hours are fine. `read_audio` gives the notes too.

    Raises:
        FileNotFoundError, or ValueError naming the file: not audio, no audio track, no samples, not finite.
    """
    return read_audio(path).samples


def load_sound(
    path: Path | str,
    *,
    align: bool = True,
    seconds: float | None = None,
    rate: int | None = None,
    channels: int | None = None,
) -> Sound:
    """The audio of a video or audio file; more than two channels are mixed to two. It is held in memory once.

    Args:
        path: of the file.
        align: as in `open_audio`; False begins where `load_audio` begins.
        seconds: where to stop; None: at the end.
        rate: Hz; None keeps the file's own.
        channels: 1 or 2; None keeps the file's own, at most 2.

    Raises:
        As `open_audio`.
    """
    with open_audio(path, align=align, bounded=not align or seconds is None) as audio:
        facts = audio.facts
        rate = rate or facts.rate
        channels = channels or min(facts.channels, MOST_CHANNELS)
        most = math.inf if seconds is None else math.ceil(seconds * rate)
        expected = min(most, math.ceil(facts.seconds * rate) + 1)
        size = channels * np.dtype(np.float32).itemsize
        held = bytearray(size * int(expected))  # whole at once: growing may copy it
        count = 0
        for block in audio.blocks(rate, channels):
            part = np.ascontiguousarray(block[: int(min(len(block), most - count))], np.float32)
            held[size * count : size * (count + len(part))] = memoryview(part.reshape(-1).view(np.uint8))
            count += len(part)
            if count >= most:
                break
    samples = np.frombuffer(held, np.float32)[: count * channels].reshape(-1, channels)
    return Sound(samples, rate, facts.notes)


def fit_frames(audio: np.ndarray) -> tuple[np.ndarray, int]:
    """Audio (samples,) -> (audio padded with zeros to frames * 640 samples, frames = ceil(samples / 640))."""
    frames = -(-len(audio) // SAMPLES_PER_FRAME)
    return np.pad(audio, (0, frames * SAMPLES_PER_FRAME - len(audio))), frames


def _resampled(blocks: Iterable[tuple[int, np.ndarray]], rate: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks (rate in Hz, (n, channels)) -> blocks at `rate` within [-1, 1]; the rate of the blocks may change."""
    stream = None
    before = None
    for own_rate, block in blocks:
        if own_rate != before:
            if stream is not None:
                yield _clipped(stream.resample_chunk(np.empty((0, channels), np.float32), last=True), channels)
            stream = None
            if own_rate != rate:
                stream = soxr.ResampleStream(own_rate, rate, channels, dtype="float32", quality="HQ")
            before = own_rate
        if stream is not None:
            block = stream.resample_chunk(np.ascontiguousarray(block))
        yield _clipped(block, channels)
    if stream is not None:
        yield _clipped(stream.resample_chunk(np.empty((0, channels), np.float32), last=True), channels)


def _clipped(block: np.ndarray, channels: int) -> np.ndarray:
    return np.clip(block, -1.0, 1.0).reshape(-1, channels)
