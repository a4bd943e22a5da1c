"""Laws of a film's own sound."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile

from joyvasa.film import write_video
from joyvasa.video import load_sound

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


def test_sound_that_begins_after_the_picture_is_put_in_its_place(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        picture, voice = container.add_stream("libx264", rate=25), container.add_stream("pcm_s16le", rate=16_000)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in black(50):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        part = av.AudioFrame.from_ndarray(np.full((1, 1600), 9000, np.int16), format="s16", layout="mono")
        part.sample_rate, part.pts, part.time_base = 16_000, 8_000, Fraction(1, 16_000)
        container.mux(voice.encode(part))
    samples = load_sound(tmp_path / "a.mkv").samples[:, 0]
    assert abs(int(np.flatnonzero(samples)[0]) - 8_000) <= 16 and abs(len(samples) - 9_600) <= 16


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
