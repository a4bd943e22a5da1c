"""What a film sounds like: the voice at its own rate, the video's own sound, or their sum."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from joyvasa.animate import soundtrack as module
from joyvasa.animate.soundtrack import mix, soundtrack
from joyvasa.video import Sound


@pytest.fixture
def tone(tmp_path):
    def write(name, hz, seconds, rate, channels=1):
        wave = 0.25 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
        soundfile.write(tmp_path / name, np.repeat(wave[:, None], channels, 1), rate)
        return tmp_path / name

    return write


def loudest_hz(sound: Sound) -> float:
    spectrum = np.abs(np.fft.rfft(sound.samples.mean(axis=1)))
    return float(spectrum.argmax() * sound.rate / len(sound.samples))


def test_the_voice_keeps_its_rate_and_channels(tone):
    sound, notes = soundtrack(tone("voice.wav", 440, 1, 44_100, 2), None, "voice", 1.0)
    assert sound.rate == 44_100 and sound.samples.shape == (44_100, 2) and not notes
    assert loudest_hz(sound) == pytest.approx(440, abs=1)


def test_original_and_both(tone):
    voice, video = tone("voice.wav", 440, 1, 44_100, 2), tone("video.wav", 1000, 2, 16_000)
    original, _ = soundtrack(voice, video, "original", 1.0)
    assert loudest_hz(original) == pytest.approx(1000, abs=1) and original.rate == 16_000
    both, _ = soundtrack(voice, video, "both", 1.0)
    assert both.rate == 44_100 and both.samples.shape == (88_200, 2), "as long as the longer, like the voice"
    spectrum = np.abs(np.fft.rfft(both.samples[:44_100, 0]))
    assert set(np.argsort(spectrum)[-2:]) == {440, 1000}


def test_a_sum_beyond_full_scale_is_clipped():
    loud = Sound(np.full((10, 1), 0.8, np.float32), 16_000)
    assert mix([loud, loud]).samples.max() == 1.0


def test_long_sound_is_kept_small_and_that_is_said(tone, monkeypatch):
    monkeypatch.setattr(module, "NATIVE_SECONDS", 0.5)
    sound, notes = soundtrack(tone("voice.wav", 440, 1, 44_100, 2), None, "voice", 1.0)
    assert sound.rate == 16_000 and sound.samples.shape[1] == 1 and "16 kHz" in notes[0]


@pytest.mark.parametrize("sound, message", [("music", "expected one of"), ("original", "a photo has no sound")])
def test_what_cannot_be_is_said(tone, sound, message):
    with pytest.raises(ValueError, match=message):
        soundtrack(tone("voice.wav", 440, 1, 16_000), None, sound, 1.0)
