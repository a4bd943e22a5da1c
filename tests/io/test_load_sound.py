"""Laws of a film's own sound."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from joyvasa.io.audio import load_sound
from joyvasa.io.video_writer import write_video

HEIGHT, WIDTH = 48, 64


def black(count: int) -> list[np.ndarray]:
    return [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * count


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_the_films_own_sound_keeps_its_rate_and_channels_and_place(tmp_path, rate, channels):
    audio = np.zeros((2 * rate, channels), np.float32)
    audio[rate, channels - 1] = 0.9
    write_video(tmp_path / "a.mp4", black(50), audio, rate=rate)
    sound = load_sound(tmp_path / "a.mp4")
    assert sound.rate == rate and sound.samples.shape[1] == channels and sound.samples.dtype == np.float32
    assert abs(len(sound.samples) - 2 * rate) <= 1024 and np.abs(sound.samples).max() <= 1
    assert abs(int(np.abs(sound.samples[:, -1]).argmax()) - rate) <= 8


def film(path: Path, *, sound_at: float, picture_at: int) -> Path:
    """0.1 s of loud mono sound from `sound_at` seconds on, in 2 s of picture from frame `picture_at` on."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        voice = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        part = av.AudioFrame.from_ndarray(np.full((1, 1600), 9000, np.int16), format="s16", layout="mono")
        part.sample_rate, part.pts, part.time_base = 16_000, round(16_000 * sound_at), Fraction(1, 16_000)
        for index, image in enumerate(black(50), start=picture_at):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        container.mux(voice.encode(part))
    return path


def test_sound_that_begins_after_the_picture_is_put_in_its_place_where_that_is_asked(tmp_path):
    late = film(tmp_path / "late.mkv", sound_at=0.5, picture_at=0)
    samples = load_sound(late, align=True).samples[:, 0]
    assert abs(int(np.flatnonzero(samples)[0]) - 8_000) <= 16 and abs(len(samples) - 9_600) <= 16
    assert load_sound(late, align=False).samples.all() and len(load_sound(late, align=False).samples) == 1_600


def test_sound_that_begins_before_the_picture_loses_its_start_where_that_is_asked(tmp_path):
    early = film(tmp_path / "early.mkv", sound_at=0.0, picture_at=1)
    assert abs(len(load_sound(early, align=True).samples) - 960) <= 16
    assert len(load_sound(early, align=False).samples) == 1_600


@pytest.mark.parametrize("seconds, sounding", [(0.25, 0), (0.55, 800), (9.0, 1_600)])
def test_sound_ends_where_it_is_told_counted_from_the_films_first_frame(tmp_path, seconds, sounding):
    samples = load_sound(film(tmp_path / "late.mkv", sound_at=0.5, picture_at=0), align=True, seconds=seconds).samples
    assert len(samples) == pytest.approx(16_000 * min(seconds, 0.6), abs=16)
    assert np.count_nonzero(samples) == pytest.approx(sounding, abs=16)


def test_rate_and_channels_can_be_asked_for(tmp_path):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "stereo.wav", np.stack([wave, 0 * wave], 1), 44_100)
    soundfile.write(tmp_path / "mono.wav", wave, 44_100)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    for name, channels, level in [("stereo.wav", 1, 1.0), ("mono.wav", 2, 1.0), ("mono.wav", 1, 1.0)]:
        sound = load_sound(tmp_path / name, rate=16_000, channels=channels)
        assert sound.rate == 16_000 and sound.samples.shape == (16_000, channels)
        assert np.abs(sound.samples - level * wanted[:, None])[200:-200].max() < 1e-3, "its level and its place"


def test_what_is_louder_than_full_scale_is_clipped(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.array([1.5, -1.5, 0.5]), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(load_sound(tmp_path / "loud.wav").samples[:, 0], [1, -1, 0.5])


@pytest.mark.parametrize("seconds, most_seconds", [(None, 24), (0.4, 2)])
def test_sound_is_held_once_and_only_what_is_asked_for(tmp_path, seconds, most_seconds):
    load_sound(film(tmp_path / "first.mkv", sound_at=0, picture_at=0))  # what is imported on first use does not count
    soundfile.write(tmp_path / "long.wav", np.zeros((20 * 48_000, 2), np.int16), 48_000)
    tracemalloc.start()
    load_sound(tmp_path / "long.wav", seconds=seconds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most_seconds * 48_000 * 8, f"{peak / 48_000 / 8:.1f} s of sound in memory"


def test_sound_files_are_read_too_and_bad_ones_are_named(tmp_path):
    soundfile.write(tmp_path / "six.wav", np.full((4_410, 6), 0.1), 44_100)
    assert load_sound(tmp_path / "six.wav").samples.shape == (4_410, 2)
    write_video(tmp_path / "mute.mp4", black(2), None)
    (tmp_path / "text.wav").write_text("text\n" * 99)
    for name, reason in {"mute.mp4": "no sound track", "text.wav": "no video or sound"}.items():
        with pytest.raises(ValueError, match=reason) as caught:
            load_sound(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_sound(tmp_path / "absent.wav")
