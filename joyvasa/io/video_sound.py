"""The sound of a film as a speech encoder hears it: 16 kHz mono, whose sample 0 is heard with the first picture.

Every piece is heard when its time stamp says: gaps become silence and overlaps are cut, so that nothing drifts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from joyvasa.io.audio import mono_pieces, pcm16, resampled
from joyvasa.io.timeline import Damaged, first_frame, opened
from joyvasa.motion import SAMPLE_RATE

JITTER_SECONDS = 0.01  # by which sound may be stamped beside its place: stamps of Matroska are whole milliseconds
BLOCK = 65_536  # samples that are worked on at once
WINDOW, HOP = SAMPLE_RATE * 25 // 1000, SAMPLE_RATE // 100  # samples of a level
SILENCE_DB = -120.0
LOUDEST_TENTH = 90  # percentile of the levels: pauses say nothing of how loud a voice is


class NoSound(ValueError):
    """A film without a sound track, or with one that holds no samples."""


@dataclass(frozen=True, eq=False)
class FilmSound:
    """rate (Hz), channels: of the film's own track. blocks: float32 (samples,) at 16 kHz, all channels averaged."""

    rate: int
    channels: int
    blocks: Iterator[np.ndarray]


@contextmanager
def film_sound(path: Path) -> Iterator[FilmSound]:
    """The film's sound from its first picture on; memory is flat.

    Sound before the first picture is left out, silence put before sound that begins later.
    Raises NoSound; Damaged; ValueError for what is no film, NaN, or samples far beyond full scale. All name the file.
    """
    origin = _origin(path)
    with opened(path) as container:
        track = container.streams.best("audio")
        if track is None:
            raise NoSound(f"{path}: no sound track; a voice is needed")
        frames = decoded(container, track, path)
        first = next(frames, None)
        if first is None:
            raise NoSound(f"{path}: the sound track holds no samples; export it again")
        placed = in_place(mono_pieces(chain([first], frames)), origin)
        yield FilmSound(first.sample_rate, first.layout.nb_channels, resampled(joined(placed), path))


def _origin(path: Path) -> Fraction:
    """Seconds of the film's first picture, by the file's clock."""
    picture = first_frame(path)
    return Fraction(0) if picture.pts is None else picture.pts * picture.time_base


def heard_between(path: Path) -> tuple[float, float] | None:
    """Seconds from the film's first picture at which its sound begins and ends, by the stamps of its packets: nothing
    is decoded. None where there is no sound, or none with stamps. Raises as `opened`."""
    origin, begin, end, last = _origin(path), math.inf, -math.inf, None
    with opened(path) as container:
        track = container.streams.best("audio")
        for packet in () if track is None else container.demux(track):
            if packet.pts is None:
                continue
            at = float(packet.pts * packet.time_base - origin)
            step = float(packet.duration * packet.time_base) if packet.duration else at - (at if last is None else last)
            begin, end, last = min(begin, at), max(end, at + step), at
    return None if last is None else (begin, end)


def read_film_sound(path: Path, seconds: float) -> np.ndarray:
    """The first `seconds` of it, int16 (samples,) at 16 kHz: 2 MB a minute. Raises as `film_sound`."""
    most, held, count = math.ceil(seconds * SAMPLE_RATE), [np.empty(0, np.int16)], 0
    with film_sound(path) as sound:
        for block in sound.blocks:
            held.append(pcm16(block[: most - count]))
            count += len(held[-1])
            if count >= most:  # a wrong time stamp may put silence of hours behind
                break
    return np.concatenate(held)


def in_place(
    pieces: Iterable[tuple[Fraction | None, int, np.ndarray]], origin: Fraction
) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces (seconds, rate, samples) -> (rate, samples) without a gap, from `origin` (seconds by the same clock) on.

    A piece begins where the one before it ended, unless its stamp is more than JITTER_SECONDS off: then, as the first
    piece, it is put where its stamp says to the sample. A piece without a stamp follows the one before it.
    """
    at, joins = 0, False
    for seconds, rate, block in pieces:
        gap = 0 if seconds is None else round((seconds - origin) * rate) - at
        if joins and abs(gap) <= JITTER_SECONDS * rate:
            gap = 0
        for start in range(0, gap, BLOCK):
            yield rate, np.zeros(min(BLOCK, gap - start), np.float32)
        kept = block[max(-gap, 0) :]
        yield rate, kept
        at, joins = at + max(gap, 0) + len(kept), len(kept) > 0


def joined(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """The same samples in fewer blocks (rate, samples), of BLOCK samples or a little more: frames of AAC have 1024."""
    held, rate = [], 0
    for own_rate, block in blocks:
        if held and (own_rate != rate or sum(map(len, held)) >= BLOCK):
            yield rate, np.concatenate(held)
            held = []
        held.append(block)
        rate = own_rate
    if held:
        yield rate, np.concatenate(held)


def decoded(container, track, path: Path) -> Iterator:
    """The track's frames of sound. What cannot be decoded before the first is left out: a broadcast, as it is recorded,
    begins inside a frame. Raises Damaged where nothing can be, and for anything broken behind it."""
    import av

    at, unheard = None, 0
    try:
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                if at is not None:
                    raise
                unheard += packet.size > 0
                continue
            for frame in frames:
                at = (at or 0.0) if frame.time is None else frame.time
                yield frame
    except av.FFmpegError as error:
        reason = f"the sound is broken behind {at or 0.0:.1f} s ({error.strerror}); export it again"
        raise Damaged(f"{path}: {reason}") from error
    if at is None and unheard:
        raise Damaged(f"{path}: none of the {unheard} pieces of sound can be decoded; export it again")


def levels_db(audio_S: np.ndarray) -> np.ndarray:
    """Root mean square of every 25 ms (F,), 100 a second, in decibels below full scale, at least SILENCE_DB."""
    total = np.concatenate([[0.0], np.cumsum(np.square(audio_S, dtype=np.float64))])
    starts = np.arange(0, len(audio_S) - WINDOW + 1, HOP)
    power_F = np.maximum(total[starts + WINDOW] - total[starts], 0) / WINDOW
    return np.maximum(10 * np.log10(np.maximum(power_F, 1e-30)), SILENCE_DB)


def loudness_db(audio_S: np.ndarray) -> float:
    """Level that a tenth of a sound in [-1, 1] exceeds; SILENCE_DB where it is shorter than 25 ms."""
    levels_F = levels_db(audio_S)
    return float(np.percentile(levels_F, LOUDEST_TENTH)) if len(levels_F) else SILENCE_DB
