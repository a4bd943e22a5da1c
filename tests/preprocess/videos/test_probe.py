"""Laws of the first look at a file: what it holds, or why it is no film to learn from."""

import hashlib
import os
import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from preprocess.videos.probe import probe
from preprocess.videos.records import REASONS, Unusable
from tests.preprocess.videos.made_films import Made, joined, numbered, write
from tests.waiting import HANGS_SECONDS

SIZE = (96, 64)
SOUND = np.zeros(4 * 48_000, np.float32)


FRAGMENTS = (("movflags", "frag_keyframe+empty_moov+default_base_moof"),)
DEEP = (("x264-params", "b-adapt=0:scenecut=0:bframes=16:b-pyramid=normal"),)  # the most frames out of order


def film(path: Path, *, seconds: int = 4, sound=SOUND, begin: float = 0.0, **changes) -> Path:
    times = begin + np.arange(25 * seconds) / 25
    return write(path, Made(times, sound, begin, size=SIZE, **changes), numbered(len(times), SIZE))


def cut(path: Path, source: Path, share: float) -> Path:
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def why(path: Path) -> tuple[str, str]:
    with pytest.raises(Unusable) as caught:
        probe(path)
    assert caught.value.kind in REASONS and str(path) not in str(caught.value)
    return caught.value.kind, str(caught.value)


def test_what_a_film_holds(tmp_path):
    path = film(tmp_path / "ä b, [1:2]=.mp4")
    found = probe(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and found.bytes == path.stat().st_size
    assert (found.width, found.height, found.frames, found.rotation, found.variable) == (*SIZE, 100, 0, False)
    assert found.fps == pytest.approx(25) and found.seconds == pytest.approx(4) and "mp4" in found.container
    assert (found.sound_rate, found.sound_channels) == (48_000, 1)
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.042, 60))
    assert probe(write(tmp_path / "v.mkv", Made(times, SOUND, size=SIZE), numbered(60))).variable


@pytest.mark.parametrize(
    "name, codec, sound_codec",
    [
        ("a.mov", "libx264", "aac"),
        ("a.mkv", "libx264", "libopus"),
        ("a.webm", "libvpx", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("a.ts", "libx264", "aac"),
        ("a.flv", "libx264", "libmp3lame"),
        ("a.mpg", "mpeg2video", "mp2"),
    ],
)
def test_every_container_is_read(tmp_path, name, codec, sound_codec):
    options = (("deadline", "realtime"), ("cpu-used", "8")) if codec == "libvpx" else ()
    found = probe(film(tmp_path / name, codec=codec, sound_codec=sound_codec, options=options))
    assert found.frames == 100 and found.seconds == pytest.approx(4, abs=0.05) and found.sound_rate == 48_000


def test_films_that_are_cut_off(tmp_path):
    whole = film(tmp_path / "whole.mp4")
    fast = film(tmp_path / "fast.mp4", container=(("movflags", "+faststart"),))
    cases = [cut(tmp_path / "no_moov.mp4", whole, 0.6), cut(tmp_path / "cut.mp4", fast, 0.8), tmp_path / "head.mp4"]
    (tmp_path / "head.mp4").write_bytes(fast.read_bytes()[:200])
    for name, codec, sound in [("a.mkv", "libx264", "aac"), ("a.avi", "mpeg4", "pcm_s16le")]:
        cases.append(cut(tmp_path / f"cut_{name}", film(tmp_path / name, codec=codec, sound_codec=sound), 0.5))
    (tmp_path / "head.mkv").write_bytes((tmp_path / "a.mkv").read_bytes()[:100])
    for path in [*cases, tmp_path / "head.mkv"]:
        kind, reason = why(path)
        assert kind == "damaged", f"{path.name}: {kind}: {reason}"


@pytest.mark.parametrize(
    "name, codec, sound_codec, more",
    [
        ("a.ts", "libx264", "aac", {"options": DEEP}),
        ("a.ts", "mpeg2video", "mp2", {}),
        ("a.mpg", "mpeg2video", "mp2", {"options": (("bf", "2"),)}),
        ("a.mkv", "libx264", "aac", {"options": DEEP}),
        ("a.webm", "libvpx", "libopus", {"options": (("deadline", "realtime"), ("cpu-used", "8"))}),
        ("a.mp4", "libx264", "aac", {"options": (("bf", "3"),), "container": FRAGMENTS}),
    ],
)
def test_a_clock_that_jumps_back_is_damage(tmp_path, name, codec, sound_codec, more):
    """Two films joined byte by byte, as downloads are: sorted by their times, their frames would be mixed. Frames that
    are stored out of the order of showing, as B-frames are, are no jump."""
    part = film(tmp_path / name, codec=codec, sound_codec=sound_codec, **more)
    assert probe(part).frames == 100
    kind, reason = why(joined(tmp_path / f"two_{name}", part, part))
    assert kind == "damaged" and "the clock jumps back at 4.0 s" in reason and "remux" in reason


@pytest.mark.parametrize("begin", [(10_000.0, 0.0), (0.0, 10_000.0)])
def test_a_clock_that_jumps_by_hours_is_damage(tmp_path, begin):
    """FFmpeg takes a clock set back for one that overflowed: the second part would come a day later."""
    parts = [film(tmp_path / f"{start}.ts", begin=start) for start in begin]
    kind, reason = why(joined(tmp_path / "two.ts", *parts))
    assert kind == "damaged" and "the clock jumps far ahead at 4.0 s" in reason


@pytest.mark.parametrize("name, sound_codec", [("a.ts", "aac"), ("a.mpg", "mp2")])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.37, 0.5])
def test_a_recording_of_a_broadcast_may_begin_anywhere(tmp_path, name, sound_codec, share):
    options = (("bf", "2"), ("g", "12"))
    whole = film(tmp_path / name, codec="mpeg2video", sound_codec=sound_codec, options=options).read_bytes()
    (tmp_path / f"end_{name}").write_bytes(whole[int(len(whole) * share) :])
    assert 10 < probe(tmp_path / f"end_{name}").frames < 100


def test_a_film_of_wide_pixels_is_as_wide_as_it_is_shown(tmp_path):
    found = probe(film(tmp_path / "a.mp4", aspect=Fraction(4, 3)))
    assert (found.width, found.height) == (128, 64)


def test_what_is_no_film(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for ending in (".png", ".jpg", ".bmp", ".webp"):
        cv2.imwrite(str(tmp_path / f"picture{ending}"), picture)
        (tmp_path / f"picture{ending}").rename(tmp_path / f"picture_{ending[1:]}.mp4")
    (tmp_path / "text.mp4").write_text("not a film\n" * 99)
    (tmp_path / "page.mp4").write_text("<!doctype html><title>404</title>" * 20)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "zeros.mp4").write_bytes(bytes(20_000))
    film(tmp_path / "secret.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    soundfile.write(tmp_path / "voice.wav", np.zeros(1_600), 16_000)
    (tmp_path / "voice.wav").rename(tmp_path / "voice.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "secret.mp4").unlink()
    for path in sorted(tmp_path.iterdir()):
        assert why(path)[0] == "not_video", path.name


def test_a_sound_file_with_a_cover_is_no_film(tmp_path):
    import av

    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        voice = container.add_stream("aac", rate=48_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        part = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        part.sample_rate = 48_000
        container.mux(voice.encode(part))
        container.mux(voice.encode(None))
    assert why(tmp_path / "song.mp4")[0] == "not_video"


def test_what_cannot_be_opened(tmp_path, monkeypatch):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nothing.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert why(tmp_path / "empty.mp4")[0] == "empty"
    assert "a link to nothing" in why(tmp_path / "link.mp4")[1]
    for name in ("link.mp4", "loop.mp4", "absent.mp4"):
        assert why(tmp_path / name)[0] == "unreadable"
    locked = film(tmp_path / "locked.mp4")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    kind, reason = why(locked)
    assert kind == "unreadable" and "Permission denied" in reason


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    found = []
    thread = threading.Thread(target=lambda: found.append(why(tmp_path / "pipe.mp4")[0]), daemon=True)
    thread.start()
    thread.join(HANGS_SECONDS)
    assert found == ["not_video"]


def test_a_film_without_sound(tmp_path):
    kind, reason = why(film(tmp_path / "mute.mp4", sound=None))
    assert kind == "no_sound" and "no sound track" in reason
    assert why(film(tmp_path / "hollow.mkv", sound=np.zeros(0, np.float32)))[0] == "no_sound"


def test_names_that_are_no_utf8_are_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb.mp4"))
    film(tmp_path / "a.mp4").rename(path)
    assert probe(path).frames == 100
