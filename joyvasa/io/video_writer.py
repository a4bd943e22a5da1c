"""Films out: frames and sound -> mp4, encoded in a thread of its own while the caller makes the next frames."""

from __future__ import annotations

import errno
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import soxr

from joyvasa.io.files import replacing
from joyvasa.markup import shown
from joyvasa.motion import FPS, SAMPLE_RATE

VIDEO_OPTIONS = {"crf": "18", "preset": "veryfast"}
SOUND_BITS_PER_SECOND = 128_000
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
AAC_FALLBACK_RATE = 48_000
LAYOUTS = {1: "mono", 2: "stereo"}
QUEUE_FRAMES = 16  # 100 MB of 1080p; enough to keep the encoder busy while a batch renders
POLL_SECONDS = 0.2  # how soon a full queue notices that the encoder has failed
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# RGB becomes YUV by this matrix: players take untagged films of 720 lines and more for BT.709 and change the colours.
BT601_MATRIX, LIMITED_RANGE = 6, 1
TO_YUV = 0x2 | 0x2000 | 0x40000  # FFmpeg's bilinear, full chroma, exact rounding: as fast, and no level darker
CONTAINER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")


@dataclass(frozen=True)
class _Sound:
    """samples: float32 (samples, channels), finite, at `rate` Hz."""

    samples: np.ndarray
    rate: int


def check_writable(path: Path | str) -> None:
    """Say before anything is rendered that a film cannot be written to `path`. Makes its folder where missing.

    Raises ValueError for a name that does not end in .mp4, OSError naming the path for a folder that takes no file.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"{path}: films are written as mp4; give a name that ends in .mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        with suppress(FileNotFoundError):
            path.lstat()  # a name that is too long is refused here, not after hours of rendering
    except OSError as error:
        reason = f"no film can be written here ({error.strerror}); choose another folder"
        raise type(error)(error.errno, reason, str(path)) from error
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected the name of a film, this is a folder", str(path))


def write_video(
    path: Path | str,
    frames: Iterable[np.ndarray],
    audio: np.ndarray | None,
    fps: int | Fraction = FPS,
    *,
    rate: int = SAMPLE_RATE,
    metadata: Mapping[str, str] | None = None,
    options: Mapping[str, str] = VIDEO_OPTIONS,
    sound_bits: int = SOUND_BITS_PER_SECOND,
) -> int:
    """Write an mp4 (h264 yuv420p, aac) and return the number of frames written.

    frames: uint8 RGB (H, W, 3) of one size, taken one by one in the caller's thread; each is copied at once, so its
    buffer may be used again. An odd side repeats its last row or column.
    audio: (samples,) or (samples, 1 or 2 channels) at `rate` Hz, or None for a silent film; cut or padded with zeros
    to the length of the picture. metadata: what `read_metadata` gives back. options: of libx264.
    Raises ValueError for no frame, a frame of another shape or type, or such a sound; OSError naming the path and
    the frame where the disk is full. Whatever happens, Ctrl-C included, no half file is left and an older file stays.
    """
    path = Path(path)
    pictures = _pictures(frames, path)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: no frame to write (expected at least one)")
    sound = None if audio is None else _checked_sound(audio, rate, path)
    with replacing(path) as temporary:
        encoder = _Encoder(path, temporary, Fraction(fps), sound, metadata or {}, options, sound_bits)
        return _beside(encoder.encode, chain([first], pictures))


def read_metadata(path: Path | str) -> dict[str, str]:
    """What `write_video` was given as metadata. Raises FileNotFoundError, or ValueError for a file that is no film."""
    import av

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such film; check the path")
    try:
        with av.open(os.path.abspath(path)) as container:
            return {key: value for key, value in container.metadata.items() if key not in CONTAINER_TAGS}
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not a film, or damaged ({error.strerror})") from error


def _beside(work: Callable[[Iterator], int], items: Iterable) -> int:
    """`work(items)` in a thread while `items` are made in this one, in order, through a bounded queue.

    An error of either side stops the other and is raised here; on an error of `items` the work sees a short iterator.
    """
    waiting: queue.Queue = queue.Queue(QUEUE_FRAMES)
    stop, end = threading.Event(), object()

    def arriving() -> Iterator:
        while (item := waiting.get()) is not end and not stop.is_set():
            yield item

    with ThreadPoolExecutor(1, "encoder") as pool:
        done = pool.submit(work, arriving())
        try:
            for item in items:
                if not _put(waiting, item, done):
                    break
        except BaseException:  # Ctrl-C too: the thread must end, else the program hangs at its exit
            stop.set()
            raise
        finally:
            _put(waiting, end, done)
        return done.result()


def _put(waiting: queue.Queue, item: object, done: Future) -> bool:
    """Hand over an item; False where nobody takes it any more."""
    while not done.done():
        try:
            waiting.put(item, timeout=POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False


@dataclass
class _Encoder:
    path: Path  # for messages
    temporary: Path
    fps: Fraction
    sound: _Sound | None
    metadata: Mapping[str, str]
    options: Mapping[str, str]
    sound_bits: int
    written: int = 0

    def encode(self, pictures: Iterator) -> int:
        """Write all pictures with their sound; an error of the disk or of the codec names the path and the frame."""
        import av

        flags = "+faststart+use_metadata_tags" if self.metadata else "+faststart"
        try:
            # An absolute path: FFmpeg takes what stands before a colon in "take 1:2.mp4" for a protocol.
            target = os.path.abspath(self.temporary)
            with av.open(target, "w", format="mp4", options={"movflags": flags}) as container:
                container.metadata.update({key: shown(value) for key, value in self.metadata.items()})
                self._mux(container, pictures)
        except (av.FFmpegError, OSError) as error:
            reason = f"the film could not be written at frame {self.written} ({error.strerror})"
            if error.errno in NO_ROOM:
                reason = f"no room left on the disk at frame {self.written}; free some or choose another folder"
            raise OSError(error.errno, reason, str(self.path)) from error
        return self.written

    def _mux(self, container, pictures: Iterator) -> None:
        first = next(pictures, None)
        if first is None:  # the caller failed before it handed one over
            return
        picture = _video_stream(container, first, self.fps, self.options)
        voice = None if self.sound is None else _sound_stream(container, self.sound, self.sound_bits)
        for frame in chain([first], pictures):
            container.mux(picture.encode(frame.reformat(format="yuv420p", interpolation=TO_YUV)))
            if self.sound is not None:
                container.mux(voice.encode(_sound_frame(self.sound, self.written, self.fps)))
            self.written += 1
        for stream in container.streams:
            container.mux(stream.encode(None))


def _checked_sound(audio: np.ndarray, rate: int, path: Path) -> _Sound:
    audio = np.asarray(audio, dtype=np.float32)
    samples = audio[:, None] if audio.ndim == 1 else audio
    if samples.ndim != 2 or samples.shape[1] not in LAYOUTS or not np.isfinite(samples).all():
        raise ValueError(
            f"{path}: audio of shape {audio.shape} (expected finite samples (samples,) or (samples, 1 or 2 channels))"
        )
    if rate not in AAC_RATES:
        return _Sound(soxr.resample(samples, rate, AAC_FALLBACK_RATE, quality="HQ"), AAC_FALLBACK_RATE)
    return _Sound(samples, rate)


def _video_stream(container, first, fps: Fraction, options: Mapping[str, str]):
    stream = container.add_stream("libx264", rate=fps, options=dict(options))
    stream.height, stream.width, stream.pix_fmt = first.height, first.width, "yuv420p"
    stream.codec_context.time_base = 1 / fps
    stream.codec_context.colorspace, stream.codec_context.color_range = BT601_MATRIX, LIMITED_RANGE
    return stream


def _sound_stream(container, sound: _Sound, bits: int):
    stream = container.add_stream("aac", rate=sound.rate, layout=LAYOUTS[sound.samples.shape[1]])
    stream.bit_rate = bits
    return stream


def _pictures(frames: Iterable[np.ndarray], path: Path) -> Iterator:
    """Checked copies of the frames, their sides made even because yuv420p halves both."""
    import av

    shape = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
            raise ValueError(
                f"{path}: frame {index} is {frame.dtype} {frame.shape} (expected uint8 (H, W, 3), all of one size)"
            )
        bottom, right = (side % 2 for side in shape[:2])
        even = np.pad(frame, ((0, bottom), (0, right), (0, 0)), mode="edge") if bottom or right else frame
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        picture.pts = index
        yield picture


def _sound_frame(sound: _Sound, index: int, fps: Fraction):
    """The samples heard during frame `index`; zeros where the sound has ended."""
    import av

    start, stop = (round(k * sound.rate / fps) for k in (index, index + 1))
    part = sound.samples[start:stop]
    planes = np.ascontiguousarray(np.pad(part, ((0, stop - start - len(part)), (0, 0))).T)
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=LAYOUTS[len(planes)])
    frame.sample_rate, frame.pts, frame.time_base = sound.rate, start, Fraction(1, sound.rate)
    return frame
