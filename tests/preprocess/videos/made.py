"""Films of the drawn person speaking, whom the cascades take for real, and thirty ways to be no such film."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer
from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.io.audio import encode_flac
from joyvasa.io.video_writer import write_video
from joyvasa.motion import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, resample

SECONDS = 2.6
SIDE = 192


@cache
def spoken(seed: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Motion (T, 70) and audio (640 T,) of a made speaker, T frames at 25 a second."""
    corpus = Corpus(seed=seed, train_speakers=1, validation_speakers=1, clips_per_speaker=1, seconds=seconds * 1.3)
    clip = make_clip(corpus, "train", 0, 0)
    frames = round(seconds * FPS)
    return clip.motion[:frames], clip.audio[: frames * SAMPLES_PER_FRAME]


@cache
def pictures(seed: int, seconds: float, fps: float = FPS) -> np.ndarray:
    """uint8 (T, SIDE, SIDE, 3): the drawn face speaking. Not to be written to."""
    motion = resample(spoken(seed, seconds)[0], FPS, fps)
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait("person", SIDE, label=""))
    film = np.stack(list(renderer.render(prepared, motion)))
    film.setflags(write=False)
    return film


def voice(seed: int, seconds: float = SECONDS) -> np.ndarray:
    return spoken(seed, seconds)[1]


def talking(path: Path, seed: int, seconds: float = SECONDS, fps: float = FPS) -> Path:
    """A good film."""
    write_video(path, pictures(seed, seconds, fps), voice(seed, seconds), round(fps))
    return path


def noise(level: float, seconds: float = SECONDS) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def on_canvas(film: np.ndarray, height: int, width: int, *places: tuple[int, int, int]) -> list[np.ndarray]:
    """The film drawn at every (x, y, side) of a larger picture."""
    canvases = []
    for frame in film:
        canvas = np.full((height, width, 3), 205, np.uint8)
        for x, y, side in places:
            canvas[y : y + side, x : x + side] = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
        canvases.append(canvas)
    return canvases


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def _film(frames, audio) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        made = path.with_name("made.mp4")
        write_video(made, frames, audio)
        made.rename(path)

    return write


def _cut(share: float, ending: str = ".mp4") -> Callable[[Path], None]:
    """The first part of a good film, as an interrupted download leaves it."""

    def write(path: Path) -> None:
        whole = path.with_name(f"whole{ending}")
        if ending == ".mp4":
            talking(whole, 1)
        else:
            remux(talking(path.with_name("whole.mp4"), 1), whole)
            path.with_name("whole.mp4").unlink()
        path.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * share)])
        whole.unlink()

    return write


def remux(source: Path, out: Path) -> Path:
    """The same streams in another container."""
    import av

    with av.open(str(source)) as given, av.open(str(out), "w") as made:
        streams = {stream: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                made.mux(packet)
    return out


def _without_index(path: Path) -> None:
    """An mp4 whose index, written last, is missing."""
    import av

    whole = path.with_name("whole.mp4")
    with av.open(str(whole), "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        for frame in pictures(1, SECONDS):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        made.mux(stream.encode(None))
    data = whole.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    whole.unlink()


def _hum() -> np.ndarray:
    times = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 50 * times)).astype(np.float32)


def _jpeg() -> bytes:
    return cv2.imencode(".jpg", pictures(1, SECONDS)[0])[1].tobytes()


def bad_files() -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Name -> (reason code, what makes it)."""
    face, sound = pictures(1, SECONDS), voice(1)
    grey = np.full((40, SIDE, SIDE, 3), 128, np.uint8)
    steep = np.linspace(0, 255, SIDE, dtype=np.uint8)[None, None, :, None]
    snow = np.random.default_rng(0).integers(0, 256, (65, SIDE, SIDE, 3), dtype=np.uint8)
    blurred = [cv2.GaussianBlur(frame, (0, 0), 7) for frame in face]
    flicker = [frame if (k // 20) % 2 else 255 - frame for k, frame in enumerate(face)]
    gone = [frame if k < 20 else np.full_like(frame, 90) for k, frame in enumerate(face)]
    return {
        "empty.mp4": ("empty", _bytes(b"")),
        "empty.mkv": ("empty", _bytes(b"")),
        "text.mp4": ("not_video", _bytes(b"No film, alas.\n" * 50)),
        "page.mp4": ("not_video", _bytes(b"<!DOCTYPE html><html><body>403 Forbidden</body></html>")),
        "list.mp4": ("not_video", _bytes(b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n")),
        "zeros.mp4": ("not_video", _bytes(bytes(40_000))),
        "random.mov": ("not_video", _bytes(np.random.default_rng(0).bytes(40_000))),
        "picture.mp4": ("not_video", _bytes(_jpeg())),
        "sound.mp4": ("not_video", _bytes(encode_flac(sound))),
        "archive.avi": ("not_video", _bytes(b"PK\x03\x04" + bytes(500))),
        "cut late.mp4": ("damaged", _cut(0.9)),
        "cut early.mp4": ("damaged", _cut(0.5)),
        "no index.mp4": ("damaged", _without_index),
        "cut.mkv": ("damaged", _cut(0.6, ".mkv")),
        "mute.mp4": ("no_sound", _film(face, None)),
        "digital silence.mp4": ("silent", _film(face, np.zeros_like(sound))),
        "whisper.mp4": ("silent", _film(face, noise(0.0005))),
        "noise.mp4": ("no_speech", _film(face, noise(0.1))),
        "hum.mp4": ("no_speech", _film(face, _hum())),
        "clipped.mp4": ("clipped", _film(face, np.clip(60 * sound, -1, 1))),
        "grey.mp4": ("no_face", _film(np.concatenate([grey, grey]), sound)),
        "steep.mp4": ("no_face", _film(np.broadcast_to(steep, (65, SIDE, SIDE, 3)), sound)),
        "snow.mp4": ("no_face", _film(snow, sound)),
        "one second.mp4": ("too_short", _film(face[:25], sound)),
        "one frame.mp4": ("too_short", _film(face[:1], sound)),
        "two people.mp4": ("several_faces", _film(on_canvas(face, 200, 400, (4, 4, 190), (204, 8, 186)), sound)),
        "far away.mp4": ("small_face", _film(on_canvas(face, 240, 400, (150, 60, 110)), sound)),
        "out of focus.mp4": ("blurred", _film(blurred, sound)),
        "flicker.mp4": ("short", _film(flicker, sound)),
        "gone.mp4": ("short", _film(gone, sound)),
        "link.mp4": ("unreadable", lambda path: path.symlink_to("nowhere.mp4")),
        "pipe.mp4": ("not_video", os.mkfifo),
        "copy.mp4": ("duplicate", lambda path: shutil.copy(path.with_name("a good one.mp4"), path)),
    }
