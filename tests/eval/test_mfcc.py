"""Laws of the cepstra: python_speech_features' numbers, int16 and nothing else, blocks change nothing."""

from pathlib import Path

import numpy as np
import pytest

from joyvasa.eval import mfcc as module
from joyvasa.eval.mfcc import HOP, WINDOW, frame_count, mel_filters, mfcc
from joyvasa.io.audio import pcm16

EXPECTED = Path(__file__).parents[1] / "data" / "mfcc.npz"


def signal(samples):
    """Buzz of rising pitch and hiss, with silence between, from integers alone: the same on every machine."""
    n = np.arange(samples)
    buzz = 40 * ((n * n // 997) % 401 - 200)
    hiss = (n * 2_654_435_761 % 65_536 - 32_768) // 16
    return (buzz * (n % 4800 < 4000) + hiss * (n % 7000 < 4500)).astype(np.int16)


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 560, 561, 20801])
def test_the_cepstra_are_those_of_python_speech_features(samples):
    """tests/data/mfcc.npz: of_N = python_speech_features.mfcc(signal(N), 16000).T, version 0.6 with numpy 2.4."""
    with np.load(EXPECTED) as expected:
        found = mfcc(signal(samples))
        assert found.shape == expected[f"of_{samples}"].shape == (13, frame_count(samples))
        np.testing.assert_allclose(found, expected[f"of_{samples}"], rtol=0, atol=1e-9)


def test_silence_is_the_float64_epsilon():
    """`silent` of the same file: 1000 zeros."""
    with np.load(EXPECTED) as expected:
        found = mfcc(np.zeros(1000, np.int16))
        np.testing.assert_allclose(found, expected["silent"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(found[0], np.log(np.finfo(np.float64).eps))


def test_twice_as_loud_adds_two_ln_2_to_the_energy_and_nothing_else():
    quiet = signal(4000) // 2
    quiet, loud = mfcc(quiet), mfcc(2 * quiet)
    np.testing.assert_allclose(loud[0] - quiet[0], 2 * np.log(2), atol=1e-9)
    np.testing.assert_allclose(loud[1:], quiet[1:], atol=1e-8)


def test_sound_in_minus_one_to_one_is_refused_and_pcm16_brings_it_to_scale():
    samples = signal(4000)
    floats = samples.astype(np.float32) / 32_768
    with pytest.raises(ValueError, match=r"float32.*expected int16.*pcm16"):
        mfcc(floats)
    np.testing.assert_array_equal(mfcc(pcm16(floats)), mfcc(samples))
    energy = module._cepstra(floats.astype(np.float64), 0, 3)[:, 0]
    np.testing.assert_allclose(mfcc(samples)[0, :3] - energy, 20.794, atol=1e-3)


@pytest.mark.parametrize("block", [1, 7, 128])
def test_blocks_change_nothing(monkeypatch, block):
    whole = mfcc(signal(20801))
    monkeypatch.setattr(module, "BLOCK_FRAMES", block)
    np.testing.assert_allclose(mfcc(signal(20801)), whole, rtol=0, atol=1e-12)


def test_a_frame_depends_on_its_own_samples_and_the_one_before():
    samples = signal(4000)
    changed = samples.copy()
    changed[1600] += 500
    frames = np.flatnonzero((mfcc(changed) != mfcc(samples)).any(0))
    # Frame f reads samples 160 f − 1 ... 160 f + 399.
    assert frames.tolist() == [f for f in range(frame_count(4000)) if f * HOP - 1 <= 1600 < f * HOP + WINDOW]


def test_the_triangles_meet_at_their_edges():
    filters = mel_filters()
    assert filters.shape == (26, 257) and filters.min() == 0 and filters.max() == 1
    peaks = filters.argmax(1)
    assert (np.diff(peaks) > 0).all()
    np.testing.assert_allclose(filters[:, peaks[0] : peaks[-1] + 1].sum(0), 1)


@pytest.mark.parametrize(
    "samples, words", [(np.zeros(0, np.int16), "0 samples"), (np.zeros((9, 2), np.int16), "(9, 2)")]
)
def test_no_sound_and_two_channels_are_refused(samples, words):
    with pytest.raises(ValueError) as error:
        mfcc(samples)
    assert words in str(error.value)
