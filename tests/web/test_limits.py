"""Laws of the limits: what is too much is said before any work, in words that name the file and the limit."""

import numpy as np
import pytest
import soundfile

from joyvasa.io.video_writer import write_video
from joyvasa.web.limits import Limits, sound_seconds, spoken
from joyvasa.web.line import Refused


def film(path, frames: int):
    write_video(path, (np.zeros((32, 32, 3), np.uint8) for _ in range(frames)), None)
    return path


def test_what_fits_passes(limits, picture, voice, tmp_path):
    limits.check_image(picture)
    limits.check_image(film(tmp_path / "short.mp4", 25))
    limits.check_voice(voice)


def test_a_file_that_is_too_large_or_of_no_known_kind_is_refused(limits, tmp_path):
    big = tmp_path / "big.png"
    big.write_bytes(b"0" * (2 * 2**20))
    for check in (limits.check_image, limits.check_voice):
        with pytest.raises(Refused, match=r"big.png: 2 MB \(this page takes files up to 1 MB\)"):
            check(big)
    (tmp_path / "me.pdf").write_text("")
    with pytest.raises(Refused, match="me.pdf: not a photo or video this page knows .*jpg"):
        limits.check_image(tmp_path / "me.pdf")


def test_what_lasts_too_long_is_refused_before_it_is_read(limits, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(4 * 8000), 8000)
    with pytest.raises(Refused, match=r"long.wav lasts 4 s \(this page takes at most 3 s\).*task=animate"):
        limits.check_voice(tmp_path / "long.wav")
    with pytest.raises(Refused, match="long.mp4 lasts 3 s"):
        limits.check_image(film(tmp_path / "long.mp4", 75))


def test_a_text_that_is_called_a_sound_is_no_sound(limits, tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(ValueError, match="text.wav: no video or sound"):
        limits.check_voice(tmp_path / "text.wav")


def test_the_sound_of_a_film_has_the_films_length(tmp_path):
    tone = np.zeros(16_000, np.float32)
    write_video(tmp_path / "film.mp4", (np.zeros((32, 32, 3), np.uint8) for _ in range(25)), tone)
    assert sound_seconds(tmp_path / "film.mp4") == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name, value", [("upload_mb", 0), ("at_once", 0), ("waiting", -1), ("preview_seconds", -2)])
def test_a_limit_that_lets_nothing_through_is_an_error(limits, name, value):
    with pytest.raises(ValueError, match=name):
        Limits(**vars(limits) | {name: value})


@pytest.mark.parametrize(
    "seconds, text", [(1.5, "1.5 s"), (8, "8 s"), (99, "99 s"), (600, "10 min"), (7500, "2 h 5 min")]
)
def test_lengths_of_time_are_spoken(seconds, text):
    assert spoken(seconds) == text
