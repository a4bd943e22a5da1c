"""Laws of writing films."""

import errno
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from joyvasa.io.audio import load_audio
from joyvasa.io.video_writer import QUEUE_FRAMES, check_writable, read_metadata, write_video
from joyvasa.motion import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from tests.waiting import HANGS_SECONDS, WatchedQueue

AAC_PACKET = 1024


def sine(seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def frames_of(count: int, height: int = 48, width: int = 64):
    for k in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        frame[:, : 4 + k % (width - 4)] = (200, 60, 90)
        yield frame


def leftovers(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(("seconds", "size"), [(1.0, (48, 64)), (9.0, (47, 63))])
def test_video_round_trip(tmp_path, seconds, size):
    """Exact frame count and size; the voice is cut or padded to the picture and not displaced."""
    import av

    path = tmp_path / "new" / "film.mp4"
    voice = sine(seconds)
    voice[: SAMPLE_RATE // 2] = 0
    assert write_video(path, frames_of(101, *size), voice) == 101
    with av.open(str(path)) as film:
        assert (film.streams.video[0].height, film.streams.video[0].width) == (48, 64)
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(pictures) == 101
        assert abs(film.duration / 1e6 - 101 / FPS) < 0.1
    expected = np.stack(list(frames_of(101, *size)))[:, : size[0], : size[1]]
    assert np.abs(np.stack(pictures)[:, : size[0], : size[1]].astype(int) - expected).mean() < 8
    heard = load_audio(path)
    assert abs(len(heard) - 101 * SAMPLES_PER_FRAME) <= 1024
    onset = np.flatnonzero(np.abs(heard) > 0.25)[0] / SAMPLE_RATE
    assert abs(onset - 0.5) < 0.01
    assert leftovers(path.parent) == ["film.mp4"]


def test_a_failing_source_leaves_no_file_and_keeps_the_previous(tmp_path):
    def failing():
        yield from frames_of(5)
        raise RuntimeError("the renderer broke")

    path = tmp_path / "film.mp4"
    with pytest.raises(RuntimeError, match="broke"):
        write_video(path, failing(), sine(1.0))
    assert leftovers(tmp_path) == []
    path.write_bytes(b"the previous film")
    for frames in (failing(), iter([np.zeros((48, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)]), iter([])):
        with pytest.raises((RuntimeError, ValueError)):
            write_video(path, frames, sine(1.0))
    assert leftovers(tmp_path) == ["film.mp4"] and path.read_bytes() == b"the previous film"


def test_a_full_disk_keeps_the_previous_film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the previous film")
    noise = np.random.default_rng(0)
    frames = (noise.integers(0, 256, (128, 128, 3), np.uint8) for _ in range(60))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # a write beyond fails as on a full disk
    try:
        with pytest.raises(OSError):
            write_video(path, frames, sine(1.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert leftovers(tmp_path) == ["film.mp4"] and path.read_bytes() == b"the previous film"


@pytest.mark.parametrize("fps", [25, 30, Fraction(30_000, 1001), Fraction(15, 2)])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (192_000, 1)])
def test_length_rate_and_sync_are_right(tmp_path, fps, rate, channels):
    """The film lasts its frames, neither more nor less; a click at frame k is heard at frame k."""
    import av

    count, k = 60, 37
    audio = np.zeros((round(2 * count / fps * rate), channels), np.float32)
    audio[round(k * rate / fps)] = 1
    audio = audio[:, 0] if channels == 1 else audio
    assert write_video(tmp_path / "a.mp4", frames_of(count), audio, fps, rate=rate) == count
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert film.streams.video[0].average_rate == fps and film.streams.video[0].frames == count
        assert abs(film.duration / 1e6 * float(fps) - count) < 0.1
        sound = film.streams.audio[0]
        assert sound.channels == channels and sound.rate == (48_000 if rate == 192_000 else rate)
        heard = np.concatenate([frame.to_ndarray() for frame in film.decode(sound)], 1)
        assert abs(np.abs(heard[0]).argmax() - k * sound.rate / fps) <= AAC_PACKET


def test_colours_come_back_whatever_the_height(tmp_path):
    """Films of 720 lines and more are taken for another colour matrix unless the file says which."""
    import av

    colours = np.array([(230, 40, 40), (40, 200, 60), (50, 60, 220)], np.uint8)
    for height in (64, 720):
        frame = np.repeat(np.repeat(colours[None], height, 0), 32, 1)
        write_video(tmp_path / "a.mp4", [frame] * 2, None)
        with av.open(str(tmp_path / "a.mp4")) as film:
            seen = next(film.decode(video=0))
            assert (int(seen.colorspace), int(seen.color_range)) == (6, 1)
            assert np.abs(seen.to_ndarray(format="rgb24")[8, 16::32].astype(int) - colours).max() < 10


def test_metadata_comes_back(tmp_path):
    facts = {"joyvasa.seed": "3", "comment": "ü, [x]=1; 'y'\nsecond line", "Größe": "é" * 3000}
    write_video(tmp_path / "a.mp4", frames_of(3), sine(0.1), metadata=facts)
    assert read_metadata(tmp_path / "a.mp4") == facts
    write_video(tmp_path / "b.mp4", frames_of(3), None)
    assert read_metadata(tmp_path / "b.mp4") == {}
    (tmp_path / "c.mp4").write_text("text")
    with pytest.raises(ValueError, match="c.mp4"):
        read_metadata(tmp_path / "c.mp4")
    with pytest.raises(FileNotFoundError, match="d.mp4"):
        read_metadata(tmp_path / "d.mp4")


def test_the_next_frames_are_made_while_the_encoder_works_and_few_wait(tmp_path, monkeypatch):
    """The source runs in the caller's thread, ahead of a slow encoder by the queue's length and no more."""
    import joyvasa.io.video_writer as film

    encoded, ahead, threads, full = [0], [], set(), threading.Event()
    mux = film._Encoder._mux

    def slow(self, container, pictures):
        def counted():
            for picture in pictures:
                assert full.wait(HANGS_SECONDS), "the source did not run ahead until there was no more room"
                encoded[0] += 1
                yield picture

        mux(self, container, counted())

    def source():
        for k, frame in enumerate(frames_of(100)):
            ahead.append(k - encoded[0])
            threads.add(threading.current_thread())
            yield frame

    watched = SimpleNamespace(Queue=lambda depth: WatchedQueue(depth, full), Full=queue.Full)
    monkeypatch.setattr(film, "queue", watched)
    monkeypatch.setattr(film._Encoder, "_mux", slow)
    assert write_video(tmp_path / "a.mp4", source(), None) == 100
    assert QUEUE_FRAMES <= max(ahead) <= QUEUE_FRAMES + 2 and threads == {threading.main_thread()}


def test_a_buffer_may_be_used_again(tmp_path):
    import av

    def reusing():
        buffer = np.zeros((48, 64, 3), np.uint8)
        for k in range(40):
            buffer[:] = 6 * k
            yield buffer

    write_video(tmp_path / "a.mp4", reusing(), None)
    with av.open(str(tmp_path / "a.mp4")) as film:
        seen = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
    np.testing.assert_allclose(seen, 6 * np.arange(40), atol=3)


def test_a_disk_full_at_frame_1000_is_said_and_nothing_stays(tmp_path):
    noise = np.random.default_rng(0)
    patches = noise.integers(0, 256, (7, 24, 24, 3), np.uint8)

    def frames():
        for k in range(100_000):
            frame = np.zeros((64, 64, 3), np.uint8)
            if k > 800:
                frame[:24, :24] = patches[k % 7]
            yield frame

    source, made = frames(), 0

    def counted():
        nonlocal made
        for frame in source:
            made += 1
            yield frame

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # a write beyond fails as on a full disk
    try:
        with pytest.raises(OSError, match="no room left on the disk at frame") as caught:
            write_video(tmp_path / "film.mp4", counted(), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "film.mp4") and caught.value.errno == errno.EFBIG
    assert 800 < made < 3000  # the source was stopped
    assert leftovers(tmp_path) == []


def test_ctrl_c_leaves_nothing_and_ends_the_program(tmp_path):
    code = (
        "import itertools, sys; import numpy as np; from joyvasa.io.video_writer import write_video\n"
        "def frames():\n"
        "    for k in itertools.count():\n"
        "        if k == 50: print('going', flush=True)\n"
        "        yield np.zeros((48, 64, 3), np.uint8)\n"
        "write_video(sys.argv[1], frames(), None)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.mp4")]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "going\n"
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=HANGS_SECONDS)
    assert program.returncode != 0 and "KeyboardInterrupt" in said
    assert leftovers(tmp_path) == []


def test_sound_of_another_shape_is_refused_before_anything_is_written(tmp_path):
    for audio in (np.zeros((10, 3)), np.zeros((2, 10)), np.full(10, np.nan), np.zeros((5, 1, 1))):
        with pytest.raises(ValueError, match="a.mp4"):
            write_video(tmp_path / "a.mp4", frames_of(2), audio)
    with pytest.raises(ValueError, match="frame 0 is float64"):
        write_video(tmp_path / "a.mp4", [np.zeros((8, 8, 3))], None)
    assert leftovers(tmp_path) == []


def test_a_place_that_takes_no_film_is_said_at_once(tmp_path, monkeypatch):
    check_writable(tmp_path / "new folder" / "ä, [b].mp4")
    assert leftovers(tmp_path) == ["new folder"] and leftovers(tmp_path / "new folder") == []
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="a.avi.*mp4"):
        check_writable(tmp_path / "a.avi")
    for path in (tmp_path / "file" / "a.mp4", tmp_path / "folder.mp4", tmp_path / f"{'a' * 300}.mp4"):
        with pytest.raises(OSError) as caught:
            check_writable(path)
        assert caught.value.filename == str(path)

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write anywhere
    with pytest.raises(PermissionError, match="choose another folder"):
        check_writable(tmp_path / "a.mp4")
