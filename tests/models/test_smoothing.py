"""Laws of the pose filters: they move the head alone, look backwards only, and leave a resting head at rest."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.models.smoothing import ExponentialAverage, NoSmoothing, RunningMean, RunningMedian
from joyvasa.motion import CHANNELS, EXP, HEAD, YAW

FILTERS = (NoSmoothing(), ExponentialAverage(weight=0.3), RunningMedian(frames=3), RunningMean(frames=4))
NEUTRAL = (NoSmoothing(), ExponentialAverage(weight=1.0), RunningMedian(frames=1), RunningMean(frames=1))
every_filter = pytest.mark.parametrize("smooth", FILTERS, ids=lambda smooth: type(smooth).__name__)


def motion_of(frames: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, CHANNELS)).astype(np.float32)


@every_filter
def test_only_the_head_changes_and_the_argument_does_not(smooth):
    motion = motion_of()
    before = motion.copy()
    out = smooth(motion)
    assert out.shape == motion.shape and out.dtype == np.float32
    np.testing.assert_array_equal(out[:, EXP], before[:, EXP])
    np.testing.assert_array_equal(motion, before)
    changed = (out[:, HEAD] != before[:, HEAD]).any(0)
    assert changed.all() != isinstance(smooth, NoSmoothing)


@every_filter
def test_no_frame_depends_on_a_later_one(smooth):
    motion = motion_of()
    whole = smooth(motion)
    for frames in (1, 2, 3, 7):
        np.testing.assert_array_equal(smooth(motion[:frames]), whole[:frames])
    np.testing.assert_array_equal(whole[0], motion[0])


@every_filter
def test_a_resting_head_rests(smooth):
    still = np.repeat(motion_of(1), 12, axis=0)
    np.testing.assert_allclose(smooth(still), still, rtol=1e-6)


@pytest.mark.parametrize("smooth", NEUTRAL, ids=lambda smooth: type(smooth).__name__)
def test_the_neutral_setting_changes_nothing(smooth):
    np.testing.assert_array_equal(smooth(motion_of()), motion_of())


def test_filters_written_out_on_one_channel():
    motion = motion_of(5)
    motion[:, YAW] = [4.0, 0.0, 8.0, 8.0, 100.0]
    expected = {
        ExponentialAverage(weight=0.5): [4.0, 2.0, 5.0, 6.5, 53.25],
        RunningMedian(frames=3): [4.0, 2.0, 4.0, 8.0, 8.0],
        RunningMean(frames=3): [4.0, 2.0, 4.0, 16 / 3, 116 / 3],
    }
    for smooth, yaw in expected.items():
        np.testing.assert_allclose(smooth(motion)[:, YAW], yaw, rtol=1e-6)


def test_a_mild_filter_keeps_the_head_alive_and_the_published_weight_freezes_it():
    """A head that turns every two seconds, as in speech."""
    motion = np.zeros((250, CHANNELS), np.float32)
    motion[:, YAW] = 10 * np.sin(np.arange(250) * 2 * np.pi / 50)
    kept = {
        weight: ExponentialAverage(weight=weight)(motion)[:, YAW].std() / motion[:, YAW].std() for weight in (0.01, 0.5)
    }
    assert kept[0.5] > 0.95 and kept[0.01] < 0.15


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.1])
def test_a_weight_outside_its_range_is_named(weight):
    with pytest.raises(ValueError, match=rf"generation\.smoothing\.weight={weight} \(expected 0 < weight <= 1"):
        ExponentialAverage(weight=weight)


@pytest.mark.parametrize("kind", [RunningMedian, RunningMean])
def test_a_filter_over_no_frame_is_named(kind):
    with pytest.raises(ValueError, match=r"generation\.smoothing\.frames=0 \(expected 1 or more"):
        kind(frames=0)
