"""Films made for the tests: any times of their frames, any place of their sound, flashes and clicks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

CLOCK = 90_000  # ticks a second of the pictures' time stamps
FLASH_SECONDS = 0.1
CLICK = 0.9
CHUNK = 4_800


@dataclass(frozen=True)
class Made:
    """A film to be made. times: seconds of its pictures, by the file's clock. sound: (samples,), from `sound_at` on."""

    times: Sequence[float]
    sound: np.ndarray | None = None
    sound_at: float = 0.0
    rate: int = 48_000
    codec: str = "libx264"
    sound_codec: str = "aac"
    options: tuple[tuple[str, str], ...] = ()
    container: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] = (32, 32)
    aspect: Fraction | None = None  # a pixel's width by its height


def write(path: Path, made: Made, images: Iterable[np.ndarray]) -> Path:
    """images: uint8 (H, W, 3), one for each of made.times."""
    import av

    with av.open(str(path), "w", options=dict(made.container)) as container:
        stream = container.add_stream(made.codec, rate=30, options=dict(made.options))
        stream.width, stream.height, stream.pix_fmt = *made.size, "yuv420p"
        if made.aspect is not None:
            stream.codec_context.sample_aspect_ratio = made.aspect
        stream.codec_context.time_base = stream.time_base = Fraction(1, CLOCK)
        if made.codec.startswith("mpeg"):  # an AVI has no times: its rate says all
            stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        voice = None
        if made.sound is not None:
            voice = container.add_stream(made.sound_codec, rate=made.rate, layout="mono")
        for image, time in zip(images, made.times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            mux_sound(container, voice, made)
    return path


def mux_sound(container, voice, made: Made) -> None:
    import av

    for start in range(0, len(made.sound), CHUNK):
        pcm = np.rint(made.sound[None, start : start + CHUNK] * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = made.rate, Fraction(1, made.rate)
        frame.pts = round(made.sound_at * made.rate) + start
        container.mux(voice.encode(frame))
    container.mux(voice.encode(None))


def clicks(seconds: float, events: Iterable[float], sound_at: float = 0.0, rate: int = 48_000) -> np.ndarray:
    """Sound from `sound_at` to `seconds` by the file's clock: one loud sample at each event."""
    sound = np.zeros(round((seconds - sound_at) * rate), np.float32)
    for event in events:
        sound[round((event - sound_at) * rate)] = CLICK
    return sound


def flashes(times: Iterable[float], events: Sequence[float], size: tuple[int, int] = (32, 32)) -> Iterable[np.ndarray]:
    """Pictures, white where they are shown within FLASH_SECONDS of an event, else black."""
    events = np.asarray(events)
    for time in times:
        late = time - events
        lit = ((late > -1e-6) & (late < FLASH_SECONDS - 1e-6)).any()
        yield np.full((size[1], size[0], 3), 255 if lit else 0, np.uint8)


def joined(path: Path, *parts: Path) -> Path:
    """The files one after another, as by `cat`."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def numbered(count: int, size: tuple[int, int] = (96, 64)) -> Iterable[np.ndarray]:
    """Pictures that carry their number as a row of ten bars, see `number`."""
    for k in range(count):
        frame = np.zeros((size[1], size[0], 3), np.uint8)
        for bit in range(10):
            frame[20:40, bit * 9 : bit * 9 + 8] = 255 * (k >> bit & 1)
        yield frame


def number(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(10) if frame[30, bit * 9 + 4, 0] > 128)
