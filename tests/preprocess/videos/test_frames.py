"""Laws of the frames that are worked on: real times, the same pixels wherever reading starts, flat memory."""

import resource
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from joyvasa.io.timeline import timeline
from preprocess.videos.frames import NEAR, open_frames, stride
from preprocess.videos.records import Unusable
from preprocess.videos.settings import Decoding
from tests.io.test_video_reader import turned
from tests.preprocess.videos.made_films import Made, number, numbered, write

BY_DECORD = Decoding(fps_limit=30.0, max_side=1920, decord_mb=256, span_seconds=600.0)
BY_PYAV = replace(BY_DECORD, decord_mb=0)
OPEN_GOPS = (("g", "12"), ("bf", "3"), ("flags", "-cgop"), ("x264-params", "open-gop=1:scenecut=0"))


def film(path: Path, times, **changes) -> Path:
    size = changes.pop("size", (96, 64))
    return write(path, Made(times, size=size, **changes), numbered(len(times), size))


def numbers(frames, start=0, stop=None) -> list[int]:
    return [number(image) for image in frames.read(start, len(frames) if stop is None else stop)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_decord_and_pyav_give_the_same_frames_times_and_pixels(tmp_path, name):
    path = film(tmp_path / name, np.arange(60) / 25, options=OPEN_GOPS)
    fast, sure = open_frames(path, BY_DECORD), open_frames(path, BY_PYAV)
    assert (fast.decoder, fast.why, sure.decoder) == ("decord", "", "pyav") and "decord_mb=0" in sure.why
    np.testing.assert_allclose(fast.times, np.arange(60) / 25, atol=0.001)
    np.testing.assert_array_equal(fast.times, sure.times)
    assert fast.duration == sure.duration == pytest.approx(2.4, abs=0.002) and (fast.width, fast.height) == (96, 64)
    for one, other in zip(fast.read(0, 60), sure.read(0, 60), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("decoding", [BY_DECORD, BY_PYAV])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_pixels_do_not_depend_on_where_reading_starts(tmp_path, name, decoding):
    path = film(tmp_path / name, np.arange(120) / 30, options=OPEN_GOPS)
    frames = open_frames(path, decoding)
    whole = list(frames.read(0, 120))
    assert [number(image) for image in whole] == list(range(120))
    for start, stop in [(100, 105), (103, 110), (3, 40), (40, 41), (119, 120), (0, 2), (7, 7), (NEAR + 20, NEAR + 25)]:
        for reader in (frames, open_frames(path, decoding)):
            part = list(reader.read(start, stop))
            assert len(part) == stop - start
            assert all((a == b).all() for a, b in zip(part, whole[start:stop], strict=True))
    with pytest.raises(ValueError, match="within"):
        list(frames.read(100, 121))


def test_two_readers_of_one_film_do_not_disturb_each_other(tmp_path):
    frames = open_frames(film(tmp_path / "a.mp4", np.arange(40) / 25), BY_DECORD)
    pairs = zip(frames.read(0, 10), frames.read(20, 30), strict=True)
    assert [(number(a), number(b)) for a, b in pairs] == [(k, 20 + k) for k in range(10)]
    assert numbers(frames, 5, 8) == [5, 6, 7]


@pytest.mark.parametrize(
    "rate, each", [(24, 1), (25, 1), (30_000 / 1001, 1), (30, 1), (32, 1), (48, 2), (50, 2), (60, 2), (120, 4)]
)
def test_above_the_limit_every_second_third_or_fourth_frame_is_kept(tmp_path, rate, each):
    assert stride(rate, 30.0) == each
    frames = open_frames(film(tmp_path / "a.mp4", np.arange(40) / rate), BY_DECORD)
    assert numbers(frames) == list(range(0, 40, each))
    np.testing.assert_allclose(frames.times, np.arange(0, 40, each) / rate, atol=1e-4)
    assert frames.duration == pytest.approx(40 / rate, abs=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_are_the_films_own_counted_from_the_first_picture(tmp_path, name):
    times = 0.6 + np.cumsum([0.0] + [0.033] * 20 + [0.08] * 10 + [0.02] * 10)
    for decoding in (BY_DECORD, BY_PYAV):
        frames = open_frames(film(tmp_path / name, times), decoding)
        np.testing.assert_allclose(frames.times, times - 0.6, atol=0.0011)
        assert numbers(frames) == list(range(41)) and frames.duration > frames.times[-1]


def test_frames_that_an_edit_list_hides_are_not_there(tmp_path):
    """As in a film trimmed on a phone: the frames are in the file, and its index says to begin behind them."""
    import av

    path = film(tmp_path / "a.mp4", np.arange(60) / 25, options=(("g", "15"), ("bf", "2")))
    data = bytearray(path.read_bytes())
    media_time = data.find(b"elst") + 16
    began = int.from_bytes(data[media_time : media_time + 4], "big")
    with av.open(str(path)) as container:
        ticks = round(10 / 25 / container.streams.video[0].time_base)
    data[media_time : media_time + 4] = (began + ticks).to_bytes(4, "big")
    path.write_bytes(data)
    for decoding in (BY_DECORD, BY_PYAV):
        frames = open_frames(path, decoding)
        assert numbers(frames) == list(range(10, 60)), frames.why
        np.testing.assert_allclose(frames.times, np.arange(50) / 25, atol=1e-3)


def edited(path: Path, cuts) -> None:
    """Give a film's picture an edit list of cuts (first second, seconds)."""
    import av

    with av.open(str(path)) as container:
        ticks = 1 / container.streams.video[0].time_base
    data = bytearray(path.read_bytes())
    boxes = [data.rfind(b"moov")]
    for name in (b"trak", b"edts", b"elst"):
        boxes.append(data.find(name, boxes[-1]))
    list_at = boxes[-1] + 8
    length = 4 + 12 * int.from_bytes(data[list_at : list_at + 4], "big")
    rows = [struct.pack(">IiI", round(1000 * seconds), round(first * ticks), 1 << 16) for first, seconds in cuts]
    new = struct.pack(">I", len(rows)) + b"".join(rows)
    data[list_at : list_at + length] = new
    for at in boxes:
        size = int.from_bytes(data[at - 4 : at], "big") + len(new) - length
        data[at - 4 : at] = size.to_bytes(4, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("cuts", [((0.48, 1.0), (1.6, 0.8)), ((1.6, 0.8), (0.48, 1.0))])
def test_a_film_of_several_edits_loses_none(tmp_path, cuts):
    """As of an editor that copies no frame: its index says in which order to show parts of what it holds."""
    path = film(
        tmp_path / "a.mp4", np.arange(60) / 25, options=(("g", "60"), ("bf", "0"), ("x264-params", "scenecut=0"))
    )
    edited(path, cuts)
    for decoding in (BY_DECORD, BY_PYAV):
        frames = open_frames(path, decoding)
        expected = [round(25 * first) + k for first, seconds in cuts for k in range(round(25 * seconds))]
        assert numbers(frames) == expected, frames.why
        np.testing.assert_allclose(frames.times, np.arange(45) / 25, atol=1e-3)


def test_a_film_without_times_is_counted(tmp_path):
    frames = open_frames(film(tmp_path / "a.avi", np.arange(30) / 25, codec="mpeg4"), BY_DECORD)
    assert frames.decoder == "pyav" and "no index" in frames.why
    np.testing.assert_allclose(frames.times, np.arange(30) / 25, atol=1e-9)
    assert numbers(frames) == list(range(30)) and frames.duration == pytest.approx(1.2)


def test_frames_are_upright_and_no_larger_than_asked(tmp_path):
    path = film(tmp_path / "a.mp4", np.arange(5) / 25)
    frames = open_frames(turned(tmp_path / "b.mp4", path, 90), BY_DECORD)
    assert (frames.width, frames.height) == (64, 96) and "turned by 90" in frames.why
    upright = [np.rot90(image) for image in open_frames(path, BY_PYAV).read(0, 5)]
    for image, expected in zip(frames.read(0, 5), upright, strict=True):
        np.testing.assert_allclose(image.astype(int), expected, atol=1)
    for decoding in (BY_DECORD, BY_PYAV):
        small = open_frames(path, replace(decoding, max_side=64))
        assert (small.width, small.height) == (64, 42) and next(small.read(2, 3)).shape == (42, 64, 3)


def test_of_pixels_that_are_not_square_pyav_makes_square_ones(tmp_path):
    """A square of the scene is a square of the frames: in a film of DVD's wide pixels it was stored too narrow."""
    size, aspect = (72, 64), Fraction(64, 45)
    image = np.zeros((64, 72, 3), np.uint8)
    image[16:48, 24 : 24 + round(32 / aspect)] = 255
    path = write(tmp_path / "a.mp4", Made(np.arange(9) / 25, size=size, aspect=aspect), [image] * 9)
    frames = open_frames(path, BY_DECORD)
    assert (frames.decoder, frames.why) == ("pyav", "its pixels are not square: 64 wide by 45 high")
    assert (frames.width, frames.height) == (102, 64)
    for seen in [*frames.read(0, 9), *frames.read(3, 5)]:
        assert seen.shape == (64, 102, 3)
        lit = seen[..., 0] > 128
        assert abs(int(lit[32].sum()) - int(lit[:, 48].sum())) <= 2
    small = open_frames(path, replace(BY_DECORD, max_side=64))
    assert (small.width, small.height) == (64, 40) == next(small.read(0, 1)).shape[1::-1]


def test_what_decord_says_wrong_makes_pyav_read_and_is_told(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", np.arange(30) / 25)
    monkeypatch.setattr("decord.VideoReader.get_frame_timestamp", lambda self, index: np.zeros((len(index), 2)))
    frames = open_frames(path, BY_DECORD)
    assert frames.decoder == "pyav" and "times" in frames.why and numbers(frames) == list(range(30))
    monkeypatch.undo()
    monkeypatch.setattr("decord.VideoReader.__len__", lambda self: 29)
    assert "29 frames, the index 30" in open_frames(path, BY_DECORD).why


def test_where_decord_fails_halfway_pyav_goes_on(tmp_path, monkeypatch):
    import decord

    frames = open_frames(film(tmp_path / "a.mp4", np.arange(30) / 25), BY_DECORD)
    read, left = decord.VideoReader.next, iter(range(12))

    def failing(reader):
        if next(left, None) is None:
            raise decord.DECORDError("[19:22:58] /src/a.cc:9: a fault inside\nand a stack trace")
        return read(reader)

    monkeypatch.setattr("decord.VideoReader.next", failing)
    assert numbers(frames) == list(range(30))
    assert frames.decoder == "pyav" and frames.why == "decord stopped inside it: a fault inside"


@pytest.mark.parametrize("decoding", [BY_DECORD, BY_PYAV])
def test_a_film_broken_inside_says_at_what_second(tmp_path, decoding):
    path = film(tmp_path / "a.mp4", np.arange(300) / 25, options=(("g", "30"),))
    data = bytearray(path.read_bytes())
    middle = (data.find(b"mdat") + len(data)) // 2
    data[middle : middle + 900] = bytes(900)
    path.write_bytes(data)
    frames = open_frames(path, decoding)
    with pytest.raises(Unusable, match=r"broken inside at \d+\.\d s") as caught:
        list(frames.read(0, len(frames)))
    assert caught.value.kind == "damaged" and str(path) not in str(caught.value)


def test_memory_stays_flat(tmp_path):
    """150 frames of 640 x 480 are 138 MB; PyAV holds a few of them."""
    size = (640, 480)
    images = (np.full((480, 640, 3), k, np.uint8) for k in range(150))
    path = write(tmp_path / "a.mp4", Made(np.arange(150) / 25, size=size, options=(("preset", "ultrafast"),)), images)
    frames, sizes = open_frames(path, BY_PYAV), []
    for _ in frames.read(0, 150):
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)
    assert max(sizes) - sizes[10] < 30


def test_a_film_cut_out_of_another_begins_with_the_first_frame_that_can_be_decoded(tmp_path):
    import av

    whole = film(tmp_path / "a.mkv", np.arange(60) / 25, options=(("g", "20"), ("bf", "0")))
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(source.streams.video[0])):
            if index >= 7 and packet.size:
                packet.stream = stream
                out.mux(packet)
    frames = open_frames(tmp_path / "b.mkv", BY_DECORD)
    seen = numbers(frames)
    assert 7 < seen[0] <= 20 and seen == list(range(seen[0], 60)) and frames.times[0] == 0
    assert len(timeline(tmp_path / "b.mkv").shown) == len(seen)
