"""The sound of a film as one FLAC file, written without holding it whole (`joyvasa.io.video_sound`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from joyvasa.io.flac import read_flac, write_flac
from joyvasa.io.video_sound import NoSound, film_sound
from joyvasa.motion import SAMPLE_RATE
from preprocess.report import reason_of
from preprocess.videos.records import Unusable

__all__ = ["SoundFacts", "read_sound", "write_sound"]

read_sound = read_flac  # samples [first, last) of what `write_sound` wrote


@dataclass(frozen=True)
class SoundFacts:
    """rate, channels: of the film's track. seconds: of the file written, from the film's first picture. notes: on how
    it was read: which track, which channels, what its time stamps leave silent."""

    rate: int
    channels: int
    seconds: float
    notes: tuple[str, ...]


def write_sound(path: Path, out: Path, seconds: float) -> SoundFacts:
    """Write the film's sound to `out` (16 bit FLAC, 16 kHz, mixed as `choose_mix` says), at most `seconds` long.

    Memory is flat. Raises Unusable: no_sound, damaged; OSError where `out` cannot be written.
    """
    try:
        with film_sound(path) as sound:
            count = write_flac(sound.blocks, out, math.ceil(seconds * SAMPLE_RATE))
            # Files are counted by sentence, so a sentence does not name the file.
            notes = tuple(note.replace(f"audio of {path.name}:", "audio:", 1) for note in sound.notes)
            return SoundFacts(sound.rate, sound.channels, count / SAMPLE_RATE, notes)
    except NoSound as error:
        raise Unusable("no_sound", reason_of(error, path)) from error
    except ValueError as error:
        raise Unusable("damaged", f"the sound: {reason_of(error, path)}") from error
