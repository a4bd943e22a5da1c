"""Voices in, any sound file or video -> 16 kHz mono float32; FLAC in memory; files replaced only when whole.

soundfile decodes what libsndfile knows (wav, flac, ogg, mp3, aiff); PyAV takes what it refuses (mp4, m4a, webm, wma).
Everything is read by blocks.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import soxr

from joyvasa.motion import SAMPLE_RATE, SAMPLES_PER_FRAME

BLOCK_SECONDS = 10
PCM_SCALE = 32_768
LOUDEST = 16.0  # decoders overshoot 1 a little; integers stored as floats overshoot it by thousands


def fit_frames(audio: np.ndarray) -> tuple[np.ndarray, int]:
    """Audio (samples,) -> (audio padded with zeros to frames * 640 samples, frames = ceil(samples / 640))."""
    frames = -(-len(audio) // SAMPLES_PER_FRAME)
    return np.pad(audio, (0, frames * SAMPLES_PER_FRAME - len(audio))), frames


def load_audio(path: Path | str) -> np.ndarray:
    """Sound of a file, whatever its container, rate and channels -> (samples,) float32 in [-1, 1], 16 kHz mono.

    Channels are averaged, the rate is changed by soxr HQ. Memory beyond the result is one block, so hours are fine.
    Raises FileNotFoundError, or ValueError naming the file: not audio, no sound track, no samples, not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such audio file; check the path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); export or download it again")
    samples = bytearray()  # grows in place: no second copy of a long recording at the end
    for block in resampled(_mono_blocks(path), path):
        samples += memoryview(np.ascontiguousarray(block, dtype=np.float32)).cast("B")
    if not samples:
        raise ValueError(f"{path}: the sound track holds no samples; export or download it again")
    return np.frombuffer(samples, dtype=np.float32)


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


def _mono_blocks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """(rate in Hz, mono float32 block) after block, by soundfile, or by PyAV for what libsndfile does not know."""
    try:
        sound = soundfile.SoundFile(os.fsencode(path))  # bytes: the name need not be UTF-8
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a file called .raw, which has no header to read
        yield from _mono_blocks_av(path)
        return
    with sound:
        try:
            for block in sound.blocks(sound.samplerate * BLOCK_SECONDS, dtype="float32", always_2d=True):
                yield sound.samplerate, block.mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path}: damaged audio ({error}); export or download it again") from error


def _mono_blocks_av(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    import av

    try:
        with av.open(os.path.abspath(path)) as container:
            if not container.streams.audio:
                kind = container.format.long_name
                raise ValueError(f"{path}: no sound track (it reads as {kind}); give a file with a voice")
            for _, rate, block in mono_pieces(container.decode(container.streams.best("audio"))):
                yield rate, block
    except av.FFmpegError as error:
        reason = f"not audio, or damaged ({error.strerror}); expected wav, flac, mp3, m4a, mp4, ..."
        raise ValueError(f"{path}: {reason}") from error


def mono_pieces(frames: Iterable) -> Iterator[tuple[Fraction | None, int, np.ndarray]]:
    """PyAV's sound frames -> (seconds by the file's clock or None, rate in Hz, mono float32), channels averaged."""
    import av

    to_float, before = None, None
    for frame in frames:
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != before:  # broadcasts go from two channels to six and back
            to_float, before = av.AudioResampler(format="fltp"), kind
        for piece in to_float.resample(frame):
            seconds = None if piece.pts is None else piece.pts * piece.time_base
            yield seconds, piece.sample_rate, piece.to_ndarray().mean(axis=0)


def resampled(blocks: Iterable[tuple[int, np.ndarray]], path: Path) -> Iterator[np.ndarray]:
    """Blocks (rate in Hz, mono float32) -> checked blocks at 16 kHz within [-1, 1].

    Raises ValueError naming the file: a rate that changes, NaN, samples far beyond full scale.
    """
    stream, rate = None, None
    for block_rate, block in blocks:
        if rate is None and block_rate != SAMPLE_RATE:
            stream = soxr.ResampleStream(block_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        if rate not in (None, block_rate):
            raise ValueError(f"{path}: the sample rate changes from {rate} to {block_rate} Hz; convert the file first")
        rate = block_rate
        if not np.isfinite(block).all():
            raise ValueError(f"{path}: samples are NaN or infinite; export the file again")
        if len(block) and np.abs(block).max() > LOUDEST:
            raise ValueError(f"{path}: peak {np.abs(block).max():.0f} (expected within [-1, 1]); rescale the samples")
        yield np.clip(stream.resample_chunk(block) if stream else block, -1.0, 1.0)
    if stream:
        yield np.clip(stream.resample_chunk(np.empty(0, np.float32), last=True), -1.0, 1.0)
