"""The audio of a video as a speech encoder hears it: 16 kHz mono, whose sample 0 is heard with the first frame.

It is opened by `joyvasa.io.audio.open_audio`: pauses by its time stamps are kept, overlaps are cut, nothing drifts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joyvasa.io.audio import NoSound, open_audio, survey_audio
from joyvasa.io.flac import pcm16
from joyvasa.io.timeline import first_frame, opened
from joyvasa.motion import SAMPLE_RATE

__all__ = ["FilmSound", "NoSound", "film_sound", "heard_between", "levels_db", "loudness_db", "read_film_sound"]

WINDOW, HOP = SAMPLE_RATE * 25 // 1000, SAMPLE_RATE // 100  # samples of a level
SILENCE_DB = -120.0
LOUDEST_TENTH = 90  # percentile of the levels: pauses say nothing of how loud a voice is


@dataclass(frozen=True, eq=False)
class FilmSound:
    """rate (Hz), channels: of the video's own track. blocks: float32 (samples,) at 16 kHz. notes: on how it is read."""

    rate: int
    channels: int
    blocks: Iterator[np.ndarray]
    notes: tuple[str, ...]


@contextmanager
def film_sound(path: Path) -> Iterator[FilmSound]:
    """The video's audio from its first frame on; memory is flat.

    Audio before the first frame is left out, silence put before audio that begins later. It may go on behind the
    video, by a wrong time stamp for hours: readers stop at its end. Raises as `open_audio`.
    """
    with open_audio(path, align=True, bounded=False) as audio:
        facts = audio.facts
        yield FilmSound(facts.rate, facts.channels, audio.mono_blocks(), facts.notes)


def heard_between(path: Path) -> tuple[float, float] | None:
    """Seconds from the video's first frame at which its audio begins and ends, by the stamps of its packets. None where
    there is no audio, or none with stamps. Raises as `open_audio`."""
    try:
        index = survey_audio(path).track
    except NoSound:
        return None
    if index is None:
        return None
    frame = first_frame(path)
    origin = 0 if frame.pts is None else frame.pts * frame.time_base
    begin = math.inf
    end = -math.inf
    last = None
    with opened(path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.pts is None:
                continue
            at = float(packet.pts * packet.time_base - origin)
            step = float(packet.duration * packet.time_base) if packet.duration else at - (at if last is None else last)
            begin = min(begin, at)
            end = max(end, at + step)
            last = at
    return None if last is None else (begin, end)


def read_film_sound(path: Path, seconds: float) -> np.ndarray:
    """The first `seconds` of it, int16 (samples,) at 16 kHz: 2 MB a minute. Raises as `film_sound`."""
    most = math.ceil(seconds * SAMPLE_RATE)
    held = [np.empty(0, np.int16)]
    count = 0
    with film_sound(path) as sound:
        for block in sound.blocks:
            held.append(pcm16(block[: most - count]))
            count += len(held[-1])
            if count >= most:  # a wrong time stamp may put silence of hours behind
                break
    return np.concatenate(held)


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
