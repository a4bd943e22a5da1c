"""Laws of the baselines: planted relations are recovered, nothing is random, bad input is named."""

import numpy as np
import pytest

from joyvasa.eval import baselines
from joyvasa.eval.baselines import context_features, fit_baselines, loudness_db, ridge_paths
from joyvasa.motion import CHANNELS, PITCH, SAMPLES_PER_FRAME

FRAMES = 120


def draw_audio(seed, frames=FRAMES):
    """Noise whose loudness and colour change from frame to frame."""
    rng = np.random.default_rng(seed)
    level = np.repeat(10 ** rng.uniform(-2.5, -0.5, frames), SAMPLES_PER_FRAME)
    colour = np.repeat(rng.uniform(0, 0.95, frames), SAMPLES_PER_FRAME)
    white = rng.standard_normal(frames * SAMPLES_PER_FRAME)
    return np.clip(level * (white + colour * np.roll(white, 1)) / 2, -1, 1).astype(np.float32)


def draw_motion(audio, seed=0):
    """Pitch follows loudness; the other channels are a fixed linear map of log-mel in context."""
    features = context_features(audio)
    planted = np.random.default_rng(7).normal(0, 1e-3, (features.shape[1], CHANNELS))
    motion = features @ planted + 0.001 * np.random.default_rng(seed).standard_normal((len(features), CHANNELS))
    motion[:, PITCH] = 0.1 * loudness_db(audio) - 3
    return motion.astype(np.float32)


@pytest.fixture(scope="module")
def train():
    audios = [draw_audio(seed) for seed in range(20)]
    return [(audio, draw_motion(audio, seed)) for seed, audio in enumerate(audios)]


@pytest.fixture(scope="module")
def fitted(train):
    return fit_baselines(train)


def correlation(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def test_every_baseline_gives_motion_of_the_voice_s_length(fitted):
    motions = fitted.predict(draw_audio(99, frames=33))
    assert list(motions) == ["mean_motion", "loudness", "ridge", "retrieval"]
    assert all(m.shape == (33, CHANNELS) and m.dtype == np.float32 for m in motions.values())
    assert all(np.isfinite(m).all() for m in motions.values())


def test_mean_motion_is_the_training_mean(fitted, train):
    expected = np.concatenate([motion for _, motion in train]).astype(np.float64).mean(0)
    motion = fitted.predict(draw_audio(99))["mean_motion"]
    np.testing.assert_allclose(motion, np.tile(expected, (FRAMES, 1)), rtol=1e-5, atol=1e-6)


def test_ridge_recovers_a_planted_linear_map(fitted):
    audio = draw_audio(99)
    expected = np.delete(draw_motion(audio, seed=99), PITCH, axis=1)
    assert correlation(np.delete(fitted.predict(audio)["ridge"], PITCH, axis=1), expected).min() > 0.9


def test_loudness_recovers_a_planted_line(fitted):
    audio = draw_audio(99)
    np.testing.assert_allclose(fitted.predict(audio)["loudness"][:, PITCH], 0.1 * loudness_db(audio) - 3, atol=1e-3)


def test_retrieval_returns_a_training_clip_for_its_own_voice(fitted, train):
    audio, motion = train[3]
    np.testing.assert_allclose(fitted.predict(audio)["retrieval"], motion, atol=1e-6)


def test_ridge_paths_solve_the_normal_equations():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 6)), rng.normal(size=(50, 3))
    for penalty, weights in zip([0.0, 0.1, 5.0], ridge_paths(inputs, targets, [0.0, 0.1, 5.0]), strict=True):
        gram = inputs.T @ inputs + penalty * 50 * np.eye(6)
        np.testing.assert_allclose(gram @ weights, inputs.T @ targets, atol=1e-9)


def test_loudness_is_in_decibels():
    tone = np.sin(2 * np.pi * 1000 * np.arange(2 * SAMPLES_PER_FRAME) / 16_000)
    np.testing.assert_allclose(loudness_db(tone), 20 * np.log10(np.sqrt(0.5)), atol=1e-6)
    np.testing.assert_allclose(loudness_db(np.zeros(SAMPLES_PER_FRAME)), -80)


def test_context_puts_the_frame_itself_in_the_middle():
    features = context_features(draw_audio(5)).reshape(FRAMES, 7, baselines.BANDS)
    for shift in range(-3, 4):
        inside = np.arange(3, FRAMES - 3)
        np.testing.assert_array_equal(features[inside, 3 + shift], features[inside + shift, 3])


def test_thinning_is_bounded_deterministic_and_reaches_every_clip(train, monkeypatch):
    monkeypatch.setattr(baselines, "FIT_FRAMES", 300)
    monkeypatch.setattr(baselines, "RETRIEVAL_FRAMES", 200)
    first, second = fit_baselines(iter(train)), fit_baselines(train)
    assert len(first.library_motion) == 200
    np.testing.assert_array_equal(first.ridge_weights, second.ridge_weights)
    features, loudness, motion, clip_of_frame = baselines._collect(train)
    assert len(features) == len(loudness) == len(motion) == 300
    assert set(clip_of_frame) == set(range(len(train)))


def test_bad_training_clips_are_named(train, fitted):
    audio, motion = train[0]
    with pytest.raises(ValueError, match="training clip 1: .* audio samples for 119 frames"):
        fit_baselines([train[0], (audio, motion[:-1])])
    with pytest.raises(ValueError, match="1 training clips for the baselines"):
        fit_baselines([train[0]])
    with pytest.raises(ValueError, match="multiple of 640"):
        fitted.predict(audio[:-1])
