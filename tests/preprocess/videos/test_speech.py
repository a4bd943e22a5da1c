"""What is speech and what is not, on made sounds."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.motion import SAMPLE_RATE
from preprocess.videos.speech import periodicity, speech_share

TIME = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE


def noise(level=0.1):
    return level * np.random.default_rng(0).standard_normal(len(TIME))


def tone(hz, level=0.3):
    return level * np.sin(2 * np.pi * hz * TIME)


def spoken(seed):
    corpus = Corpus(seed=seed, train_speakers=1, validation_speakers=1, clips_per_speaker=1, seconds=6.0)
    return make_clip(corpus, "train", 0, 0).audio


NO_SPEECH = {
    "silence": 0 * TIME,
    "white noise": noise(),
    "bursts of noise": noise() * (TIME % 0.5 < 0.2),
    "hum of mains": tone(50),
    "hum with harmonics in noise": tone(50) + tone(100, 0.1) + tone(150, 0.05) + noise(0.01),
    "a steady tone": tone(120),
    "rumble": np.cumsum(noise(1e-3)),
    "clicks": (np.arange(len(TIME)) % SAMPLE_RATE == 0) * 0.9,
    "an offset": 0 * TIME + 0.5,
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_voice_is_no_speech(name):
    assert speech_share(NO_SPEECH[name].astype(np.float32)) < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_voices_are_speech_also_in_noise_and_softly(seed):
    audio = spoken(seed)
    share = speech_share(audio)
    level = np.sqrt(np.square(audio).mean())
    hiss = np.random.default_rng(seed).standard_normal(len(audio)) * level / 10
    assert share > 0.5  # they pause for breath
    assert speech_share(audio + hiss) > 0.6 * share
    assert speech_share(audio / 4) > 0.6 * share


def test_pauses_are_no_speech():
    audio = spoken(0)
    half = np.concatenate([audio, np.zeros_like(audio)])
    assert speech_share(half) == pytest.approx(speech_share(audio) / 2, abs=0.06)


def test_a_period_is_found_within_the_range_of_voices_alone():
    assert np.median(periodicity(tone(120))) > 0.99 and np.median(periodicity(tone(390))) > 0.98
    assert np.median(periodicity(tone(50))) < 0.5 and np.percentile(periodicity(noise()), 99) < 0.4


def test_less_than_a_frame_is_no_speech():
    assert speech_share(np.zeros(0)) == speech_share(np.ones(399)) == 0.0
