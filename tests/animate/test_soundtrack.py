"""What a film sounds like: the voice at its own rate, the video's own sound, or their sum."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import soundfile

from joyvasa.animate import soundtrack as module
from joyvasa.animate.soundtrack import mix, soundtrack
from joyvasa.io.audio import Sound, load_audio
from tests.io.test_load_sound import film


@pytest.fixture
def tone(tmp_path):
    def write(name, hz, seconds, rate, channels=1):
        wave = 0.25 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
        soundfile.write(tmp_path / name, np.repeat(wave[:, None], channels, 1), rate)
        return tmp_path / name

    return write


def first_sample(sound: Sound) -> int:
    return int(np.flatnonzero(sound.samples[:, 0])[0])


def loudest_hz(sound: Sound) -> float:
    spectrum = np.abs(np.fft.rfft(sound.samples.mean(axis=1)))
    return float(spectrum.argmax() * sound.rate / len(sound.samples))


def test_the_voice_keeps_its_rate_and_channels(tone):
    sound, notes = soundtrack(tone("voice.wav", 440, 1, 44_100, 2), None, "voice", 1.0)
    assert sound.rate == 44_100 and sound.samples.shape == (44_100, 2) and not notes
    assert loudest_hz(sound) == pytest.approx(440, abs=1)


def test_original_and_both(tone):
    voice, video = tone("voice.wav", 440, 1, 44_100, 2), tone("video.wav", 1000, 2, 16_000)
    original, _ = soundtrack(voice, video, "original", 2.0)
    assert loudest_hz(original) == pytest.approx(1000, abs=1) and original.rate == 16_000
    both, _ = soundtrack(voice, video, "both", 2.0)
    assert both.rate == 44_100 and both.samples.shape == (88_200, 2), "as long as the longer, like the voice"
    spectrum = np.abs(np.fft.rfft(both.samples[:44_100, 0]))
    assert set(np.argsort(spectrum)[-2:]) == {440, 1000}


@pytest.mark.parametrize("sound", ["voice", "original", "both"])
@pytest.mark.parametrize("native", [0.1, 600])
def test_no_more_sound_than_the_film_is_long(tone, monkeypatch, sound, native):
    monkeypatch.setattr(module, "NATIVE_SECONDS", native)
    voice, video = tone("voice.wav", 440, 1, 44_100, 2), tone("video.wav", 1000, 2, 16_000)
    heard, _ = soundtrack(voice, video, sound, 0.5)
    assert len(heard.samples) == heard.rate // 2


@pytest.mark.parametrize("native", [0.1, 600])
def test_a_voice_begins_as_its_motion_does_and_a_videos_sound_with_its_picture(tmp_path, monkeypatch, native):
    late = film(tmp_path / "late.mkv", sound_at=0.5, picture_at=0)
    monkeypatch.setattr(module, "NATIVE_SECONDS", native)
    voice, _ = soundtrack(late, None, "voice", 2.0)
    np.testing.assert_allclose(voice.samples[:, 0], load_audio(late), atol=1e-6)
    original, _ = soundtrack(late, late, "original", 2.0)
    assert first_sample(original) == pytest.approx(8_000, abs=16)
    both, _ = soundtrack(late, late, "both", 2.0)
    np.testing.assert_allclose(both.samples[:1_600], voice.samples, atol=1e-6)
    assert first_sample(Sound(both.samples[1_600:], 16_000)) == pytest.approx(6_400, abs=16)


@pytest.mark.parametrize("sound, copies", [("voice", 1), ("both", 2)])
def test_sound_is_held_once_each(tone, sound, copies):
    voice, video = tone("voice.wav", 440, 10, 48_000, 2), tone("video.wav", 1000, 10, 44_100, 2)
    soundtrack(voice, video, sound, 0.1)  # what is imported on first use does not count
    tracemalloc.start()
    soundtrack(voice, video, sound, 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * copies * 10 * 48_000 * 8


def test_a_sum_beyond_full_scale_is_clipped():
    loud, louder = (Sound(np.full((size, 1), 0.8, np.float32), 16_000) for size in (10, 5))
    np.testing.assert_allclose(mix(loud, louder).samples[:, 0], [1.0] * 5 + [0.8] * 5)


def test_sounds_of_another_rate_are_not_added_up():
    with pytest.raises(ValueError, match="16000 and 8000 Hz"):
        mix(*(Sound(np.zeros((10, 1), np.float32), rate) for rate in (16_000, 8_000)))


def test_long_sound_is_kept_small_and_that_is_said(tone, monkeypatch):
    monkeypatch.setattr(module, "NATIVE_SECONDS", 0.5)
    sound, notes = soundtrack(tone("voice.wav", 440, 1, 44_100, 2), None, "voice", 1.0)
    assert sound.rate == 16_000 and sound.samples.shape[1] == 1 and "16 kHz" in notes[0]


@pytest.mark.parametrize("sound, message", [("music", "expected one of"), ("original", "a photo has no sound")])
def test_what_cannot_be_is_said(tone, sound, message):
    with pytest.raises(ValueError, match=message):
        soundtrack(tone("voice.wav", 440, 1, 16_000), None, sound, 1.0)
