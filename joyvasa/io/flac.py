"""16 bit, 16 kHz mono FLAC in memory, as shards hold it.

It is read and written by libsndfile: such a file was made by this module, so nothing has to be found out about it.
Recordings from elsewhere are read by `joyvasa.io.audio`.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile

from joyvasa.motion import SAMPLE_RATE

PCM_SCALE = 32_768


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
