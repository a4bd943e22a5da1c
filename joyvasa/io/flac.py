"""16 bit, 16 kHz mono FLAC, in memory as shards hold it, and as files between the stages of preprocessing.

It is read and written by libsndfile: such a file was made by this module, so nothing has to be found out about it.
Recordings from elsewhere are read by `joyvasa.io.audio`.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from joyvasa.io.files import replacing
from joyvasa.motion import SAMPLE_RATE

PCM_SCALE = 32_768
FULL_BYTES = 1_000_000  # left on a disk that counts as full
CHECKED_SAMPLES = 1 << 20  # that are decoded at once to see whether a file is whole


def decode_flac(data: bytes, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Samples [start, stop) of a 16 kHz mono FLAC file held in memory -> float32. Raises ValueError."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            if (sound.samplerate, sound.channels) != (SAMPLE_RATE, 1):
                raise ValueError(
                    f"FLAC of {sound.samplerate} Hz, {sound.channels} channels (expected {SAMPLE_RATE} Hz mono); "
                    "write it with encode_flac"
                )
            stop = sound.frames if stop is None else stop
            if not 0 <= start <= stop <= sound.frames:
                raise ValueError(f"samples [{start}, {stop}) lie outside a FLAC of {sound.frames} samples")
            sound.seek(start)
            return sound.read(stop - start, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{len(data)} bytes are not a whole FLAC file: {error}") from error


def count_flac_samples(data: bytes) -> int:
    """Samples of a FLAC file held in memory, by its head. Raises ValueError."""
    try:
        return soundfile.info(io.BytesIO(data)).frames
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{len(data)} bytes are not a whole FLAC file: {error}") from error


def read_flac(path: Path, first: int, last: int) -> np.ndarray:
    """Samples [first, last) of a file that `write_flac` wrote -> float32 (last - first,); zeros behind its end."""
    with soundfile.SoundFile(os.fsencode(path)) as file:
        file.seek(min(first, file.frames))
        samples = file.read(last - first, dtype="float32")
    return np.pad(samples, (0, last - first - len(samples)))


def is_whole_flac(path: Path) -> bool:
    """Whether a file that `write_flac` wrote can be read to its end: a crash of the machine leaves others."""
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            for _ in file.blocks(CHECKED_SAMPLES):
                pass
    except (OSError, soundfile.LibsndfileError):
        return False
    return True


def write_flac(blocks: Iterable[np.ndarray], out: Path, most: int) -> int:
    """Write blocks of audio (samples,) in [-1, 1] to a file, which is replaced once it is whole.

    Returns:
        The number of samples written, at most `most`.

    Raises:
        OSError where `out` cannot be written.
    """
    count = 0
    with replacing(out) as temporary:
        try:
            with soundfile.SoundFile(os.fsencode(temporary), "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as file:
                for block in blocks:
                    part = block[: most - count]
                    file.write(pcm16(part))
                    count += len(part)
                    if count >= most:
                        break
        except (soundfile.LibsndfileError, AssertionError) as error:  # AssertionError: fewer samples taken than given
            full = shutil.disk_usage(out.parent).free < FULL_BYTES  # libsndfile does not say why
            reason = "no room left on the disk; free some" if full else f"the sound could not be written ({error})"
            raise OSError(errno.ENOSPC if full else errno.EIO, reason, str(out)) from error
    return count


def encode_flac(audio: np.ndarray) -> bytes:
    """Audio (samples,) in [-1, 1] -> 16 bit, 16 kHz mono FLAC. Raises ValueError for another shape or NaN.

    Integers are made here (`pcm16`) because libsndfile scales by 32767 when writing and by 32768 when reading.
    """
    audio = _checked_audio(audio, "encode_flac")
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm16(audio), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def pcm16(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] -> int16, of which libsndfile reads the same samples back."""
    return np.clip(np.rint(audio * PCM_SCALE), -PCM_SCALE, PCM_SCALE - 1).astype(np.int16)


def _checked_audio(audio: np.ndarray, where: str) -> np.ndarray:
    audio = np.asarray(audio, dtype=np.float32)
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise ValueError(f"{where}: audio of shape {audio.shape} (expected finite mono samples (samples,))")
    return audio
