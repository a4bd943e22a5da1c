"""The sound of a film as one FLAC file, written without holding it whole (`joyvasa.io.video_sound`)."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from joyvasa.io.audio import pcm16
from joyvasa.io.files import replacing
from joyvasa.io.video_sound import NoSound, film_sound
from joyvasa.motion import SAMPLE_RATE
from preprocess.report import reason_of
from preprocess.videos.records import Unusable

FULL_BYTES = 1_000_000  # left on a disk that counts as full


@dataclass(frozen=True)
class SoundFacts:
    """rate, channels: of the film's track. seconds: of the file written, from the film's first picture.
    notes: what was changed while reading, for the report; see Journal.note."""

    rate: int
    channels: int
    seconds: float
    notes: tuple[str, ...] = ()


def write_sound(path: Path, out: Path, seconds: float) -> SoundFacts:
    """Write the film's sound to `out` (16 bit FLAC, 16 kHz, all channels averaged), at most `seconds` long.

    Memory is flat. Raises Unusable: no_sound, damaged; OSError where `out` cannot be written.
    """
    try:
        with film_sound(path) as sound:
            count = _write(sound.blocks, out, math.ceil(seconds * SAMPLE_RATE))
            return SoundFacts(sound.rate, sound.channels, count / SAMPLE_RATE)
    except NoSound as error:
        raise Unusable("no_sound", reason_of(error, path)) from error
    except ValueError as error:
        raise Unusable("damaged", f"the sound: {reason_of(error, path)}") from error


def read_sound(path: Path, first: int, last: int) -> np.ndarray:
    """Samples [first, last) of what `write_sound` wrote -> float32 (last - first,); zeros behind its end."""
    with soundfile.SoundFile(path) as sound:
        sound.seek(min(first, sound.frames))
        samples = sound.read(last - first, dtype="float32")
    return np.pad(samples, (0, last - first - len(samples)))


def _write(blocks: Iterable[np.ndarray], out: Path, most: int) -> int:
    """Number of samples written, at most `most`."""
    count = 0
    with replacing(out) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as sound:
                for block in blocks:
                    part = block[: most - count]
                    sound.write(pcm16(part))
                    count += len(part)
                    if count >= most:
                        break
        except (soundfile.LibsndfileError, AssertionError) as error:  # AssertionError: fewer samples taken than given
            full = shutil.disk_usage(out.parent).free < FULL_BYTES  # libsndfile does not say why
            reason = "no room left on the disk; free some" if full else f"the sound could not be written ({error})"
            raise OSError(errno.ENOSPC if full else errno.EIO, reason, str(out)) from error
    return count
