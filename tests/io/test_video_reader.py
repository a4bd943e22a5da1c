"""Laws of reading films: every frame carries its number as a row of black and white bars."""

import resource
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from joyvasa.io.timeline import Damaged
from joyvasa.io.video_reader import PingPongReader, VideoReader, ping_pong, probe_video, read_frames
from joyvasa.io.video_writer import write_video
from tests.waiting import linger

HEIGHT, WIDTH, BITS = 64, 96, 10
PTS_MILLISECONDS = Fraction(1, 1000)
IDENTITY = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
TURNS = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}  # counter-clockwise, to show it upright


def numbered(count: int):
    for k in range(count):
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        frame[:8] = 255
        for bit in range(BITS):
            frame[20:40, bit * 9 : bit * 9 + 8] = 255 * (k >> bit & 1)
        yield frame


def number(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(BITS) if frame[30, bit * 9 + 4, 0] > 128)


def encode(path, times_ms, codec="libx264", options=None, aspect=None):
    """A film of any codec, of any times in milliseconds, of pixels `aspect` times as wide as high."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.time_base = PTS_MILLISECONDS if len(set(np.diff(times_ms))) > 1 else Fraction(1, 25)
        for k, (frame, time) in enumerate(zip(numbered(len(times_ms)), times_ms, strict=True)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = int(time) if stream.codec_context.time_base == PTS_MILLISECONDS else k
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def turned(path, source, degrees: int):
    """The same film, whose header says that it is to be turned, as a phone's does."""
    data = bytearray(source.read_bytes())
    place = data.find(IDENTITY, data.find(b"tkhd"))
    a, b, c, d = (value << 16 for value in TURNS[degrees])
    data[place : place + len(IDENTITY)] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """100 frames at 25 a second, with sound."""
    path = tmp_path_factory.mktemp("film") / "ä b, [1:2].mp4"
    write_video(path, numbered(100), np.full(64_000, 0.1, np.float32))
    return path


def test_a_film_is_probed_and_read_frame_by_frame(film):
    info = probe_video(film)
    assert (info.width, info.height, info.fps, info.frames, info.seconds) == (WIDTH, HEIGHT, 25, 100, 4.0)
    assert info.has_sound and info.rotation == 0 and not info.variable
    reader = VideoReader(film)
    assert reader.info == info and len(reader) == 100
    assert [number(frame) for frame in reader] == list(range(100))
    assert [number(frame) for frame in reader.frames(40, 47)] == list(range(40, 47))
    assert list(reader.frames(9, 9)) == []
    with pytest.raises(ValueError, match="within"):
        list(reader.frames(90, 101))
    write_video(film.with_name("mute.mp4"), numbered(2), None, Fraction(30_000, 1001))
    mute = probe_video(film.with_name("mute.mp4"))
    assert not mute.has_sound and mute.fps == Fraction(30_000, 1001) and mute.frames == 2


def test_frames_are_scaled_by_areas_to_even_sides(film):
    whole, small = (next(read_frames(film, max_side=side)) for side in (None, 49))
    assert whole.shape == (64, 96, 3) and small.shape == (32, 48, 3)
    np.testing.assert_allclose(small, whole.reshape(32, 2, 48, 2, 3).mean((1, 3)), atol=1)
    assert next(read_frames(film, max_side=96)).shape == whole.shape


@pytest.mark.parametrize("degrees", sorted(TURNS))
def test_rotation_is_applied(film, tmp_path, degrees):
    path = turned(tmp_path / "a.mp4", film, degrees)
    upright = [np.rot90(frame, degrees // 90) for frame in read_frames(film)]
    info, reader = probe_video(path), VideoReader(path)
    assert (info.height, info.width) == upright[0].shape[:2] and info.rotation == degrees
    for frame, expected in zip(reader, upright, strict=True):
        np.testing.assert_allclose(frame.astype(int), expected, atol=1)


@pytest.mark.parametrize(
    ("name", "codec", "aspect", "width"),
    [
        ("a.mp4", "libx264", Fraction(64, 45), 136),
        ("a.mkv", "libx264", Fraction(8, 9), 86),
        ("a.ts", "libx264", Fraction(3, 2), 144),
        ("a.mpg", "mpeg2video", Fraction(32, 27), 114),
        ("a.avi", "mpeg4", Fraction(16, 15), 102),
    ],
)
def test_pixels_that_are_not_square_are_made_so(tmp_path, name, codec, aspect, width):
    """As a player shows the film: its width changes, its height does not, and what is in it goes along."""
    path = encode(tmp_path / name, np.arange(60) * 40, codec, aspect=aspect)
    stored = list(read_frames(encode(tmp_path / f"square_{name}", np.arange(60) * 40, codec)))
    reader = VideoReader(path)
    assert (reader.info.width, reader.info.height) == (width, HEIGHT)
    frames = list(reader)
    assert len(frames) == 60 and {frame.shape for frame in frames} == {(HEIGHT, width, 3)}
    at = ((np.arange(width) + 0.5) * WIDTH / width).astype(int)
    for frame, expected in zip(frames, stored, strict=True):
        assert np.abs(frame.astype(int) - expected[:, at]).mean() < 12
    small = next(read_frames(path, max_side=64))
    assert max(small.shape) == 64 and small.shape[1] / small.shape[0] == pytest.approx(width / HEIGHT, rel=0.08)
    with PingPongReader(path, 65) as there_and_back:
        assert all(frame.shape == (HEIGHT, width, 3) for _, frame in there_and_back)


def test_a_film_that_is_turned_is_stretched_along_the_side_that_was_its_width(film, tmp_path):
    plain = encode(tmp_path / "a.mp4", np.arange(3) * 40, aspect=Fraction(3, 2))
    info = probe_video(turned(tmp_path / "b.mp4", plain, 90))
    assert (info.width, info.height) == (HEIGHT, WIDTH * 3 // 2)
    np.testing.assert_allclose(
        next(read_frames(tmp_path / "b.mp4")).astype(int), np.rot90(next(read_frames(plain))), atol=1
    )


@pytest.mark.parametrize(
    "aspect", [None, Fraction(0), Fraction(100), Fraction(1, 5), Fraction(1, 1), Fraction(639, 640)]
)
def test_an_aspect_that_is_absurd_or_nearly_square_changes_nothing(tmp_path, aspect):
    path = encode(tmp_path / "a.mkv", np.arange(3) * 40, aspect=aspect)
    expected = read_frames(encode(tmp_path / "b.mkv", np.arange(3) * 40))
    for frame, other in zip(read_frames(path), expected, strict=True):
        np.testing.assert_array_equal(frame, other)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx264", {"bf": "3"}),
        ("a.mov", "libx264", {"g": "12", "bf": "3", "flags": "-cgop", "x264-params": "open-gop=1:scenecut=0"}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("a.avi", "mpeg4", {}),
        ("b.avi", "libx264", {"bf": "3"}),
        ("a.ts", "libx264", {"bf": "3"}),
    ],
)
def test_other_containers_lose_no_frame_forwards_or_backwards(tmp_path, name, codec, options):
    path = encode(tmp_path / name, np.arange(60) * 40, codec, options)
    reader = VideoReader(path)
    assert [number(frame) for frame in reader] == list(range(60)) and reader.info.fps == 25
    for start in range(55, 0, -5):
        assert [number(frame) for frame in reader.frames(start, start + 5)] == list(range(start, start + 5))


def test_a_variable_rate_becomes_constant_by_the_times(tmp_path):
    """What is seen at each moment is the frame that the file shows then; the film lasts as long."""
    times_ms = np.cumsum([0] + [33] * 30 + [66] * 29)
    path = encode(tmp_path / "phone.mp4", times_ms)
    info = probe_video(path)
    seen = [number(frame) for frame in VideoReader(path)]
    assert info.variable and len(seen) == info.frames and abs(info.seconds - (times_ms[-1] + 50) / 1000) < 0.05
    for k, index in enumerate(seen):
        moment_ms = (k + 0.5) / float(info.fps) * 1000
        assert times_ms[index] <= moment_ms + 1 and (index == 59 or moment_ms < times_ms[index + 1] + 1)
    assert [number(frame) for frame in VideoReader(path).frames(30, 40)] == seen[30:40]
    jitter = encode(tmp_path / "jitter.mp4", np.arange(60) * 40 + np.arange(60) % 3)
    assert not probe_video(jitter).variable and probe_video(jitter).frames == 60


def test_bad_films_name_the_file_and_the_reason(film, tmp_path):
    whole = film.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "head.mp4").write_bytes(whole[:200])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film\n" * 99)
    (tmp_path / "whole.mp4").write_bytes(whole)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    soundfile.write(tmp_path / "voice.wav", np.zeros(1600), 16_000)
    reasons = {
        "cut.mp4": "damaged", "head.mp4": "no picture track", "empty.mp4": "0 bytes", "text.mp4": "no video or sound",
        "list.mp4": "concatenation", "voice.wav": "no picture track",
    }  # fmt: skip
    for name, reason in reasons.items():
        for read in (probe_video, VideoReader, read_frames, lambda path: PingPongReader(path, 5)):
            with pytest.raises(ValueError, match=reason) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
            assert isinstance(caught.value, Damaged) == (name in ("cut.mp4", "head.mp4"))
    for name in ("absent.mp4", "."):
        with pytest.raises(FileNotFoundError, match="no such video file"):
            probe_video(tmp_path / name)


def test_a_film_damaged_inside_says_where(tmp_path):
    path = encode(tmp_path / "a.mp4", np.arange(300) * 40, options={"g": "30"})
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat")
    middle = (start + len(data)) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged behind frame [1-9]") as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)


def test_a_torn_picture_that_the_decoder_mended_is_damage_too(tmp_path):
    import av

    path = encode(tmp_path / "a.mp4", np.arange(60) * 40, "mpeg4", {"g": "30"})
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][40]
    data = bytearray(path.read_bytes())
    for at in range(packet.pos + packet.size // 2, packet.pos + packet.size):
        data[at] ^= 0x55
    path.write_bytes(data)
    reader = VideoReader(path)
    assert [number(frame) for frame in reader.frames(0, 40)] == list(range(40))
    with pytest.raises(Damaged, match=r"a.mp4: damaged: the picture breaks at 1\.60 s"):
        list(reader)


def test_ping_pong_neither_jumps_nor_stands():
    assert ping_pong(4, 12).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1]
    assert ping_pong(1, 3).tolist() == [0, 0, 0] and ping_pong(9, 0).tolist() == []
    for frames in (2, 5, 30):
        order = ping_pong(frames, 100)
        assert (np.abs(np.diff(order)) == 1).all() and set(order.tolist()) == set(range(frames))
    with pytest.raises(ValueError, match="at least one"):
        ping_pong(0, 5)


@pytest.mark.parametrize("wanted", [0, 1, 60, 100, 101, 199, 450])
def test_frames_come_forwards_and_backwards(film, wanted, monkeypatch):
    monkeypatch.setattr("joyvasa.io.video_reader.CHUNK_BYTES", 7 * HEIGHT * WIDTH * 3)  # backwards, 7 frames at a time
    with PingPongReader(film, wanted) as reader:
        pairs = [(index, number(frame)) for index, frame in reader]
    assert pairs == [(index, index) for index in ping_pong(100, wanted).tolist()]


def test_a_film_of_one_frame_plays_for_ever(tmp_path):
    write_video(tmp_path / "a.mp4", numbered(1), None)
    with PingPongReader(tmp_path / "a.mp4", 5, max_side=48) as reader:
        assert [(index, frame.shape) for index, frame in reader] == [(0, (32, 48, 3))] * 5


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def test_memory_does_not_grow_with_the_length(tmp_path, monkeypatch):
    """200 frames of 512 x 512 are 157 MB: neither to and fro, nor ahead of a reader that is slow, are they held."""
    options = {"preset": "ultrafast", "g": "30"}
    write_video(tmp_path / "a.mp4", (np.full((512, 512, 3), k, np.uint8) for k in range(200)), None, options=options)
    monkeypatch.setattr("joyvasa.io.video_reader.CHUNK_BYTES", 8_000_000)
    sizes = []
    for step, _ in enumerate(PingPongReader(tmp_path / "a.mp4", 450)):
        if step % 10 == 5:
            sizes.append(resident_mb())
    assert max(sizes) - sizes[0] < 40
    before = resident_mb()
    frames = iter(VideoReader(tmp_path / "a.mp4"))
    next(frames)
    linger(0.7)
    assert resident_mb() - before < 40
