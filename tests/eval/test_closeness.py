"""Closeness to the truth: 1 at the truth, falling both ways alike, and the scores it is made of stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.eval import motion
from joyvasa.eval.bootstrap import ratio_of
from joyvasa.eval.closeness import TWO_SIDED, closeness, of_estimates, of_values

INF, NAN = float("inf"), float("nan")


def test_it_is_the_exponential_of_the_distance_of_logarithms():
    made, truth = np.random.default_rng(0).lognormal(size=(2, 50))
    np.testing.assert_allclose(closeness(made, truth), np.exp(-np.abs(np.log(made / truth))), rtol=1e-14)


def test_one_at_the_truth_and_falling_both_ways():
    factors = np.logspace(0, 6, 40)
    more, less = closeness(3.0 * factors, 3.0), closeness(3.0 / factors, 3.0)
    assert more[0] == less[0] == 1.0 and (np.diff(more) < 0).all() and (np.diff(less) < 0).all()
    assert (more > 0).all() and (less > 0).all()
    np.testing.assert_allclose(more, less, rtol=1e-12)  # twice too much is as wrong as half
    assert closeness(2.0, 1.0) == closeness(0.5, 1.0) == 0.5


def test_unit_and_order_do_not_matter():
    made, truth = np.random.default_rng(1).lognormal(size=(2, 50))
    np.testing.assert_allclose(closeness(60 * made, 60 * truth), closeness(made, truth), rtol=1e-14)
    np.testing.assert_array_equal(closeness(made, truth), closeness(truth, made))


@pytest.mark.parametrize(
    ("made", "truth", "expected"),
    [(0, 0, 1), (0, 2, 0), (2, 0, 0), (INF, 2, 0), (2, INF, 0), (INF, INF, NAN), (NAN, 2, NAN), (2, NAN, NAN),
     (NAN, 0, NAN), (5e-324, 5e-324, 1)],
)  # fmt: skip
def test_the_ends(made, truth, expected):
    with np.errstate(all="raise"):
        assert closeness(made, truth) == expected or (np.isnan(expected) and np.isnan(closeness(made, truth)))


def test_a_negative_number_is_an_error():
    with pytest.raises(ValueError, match="closeness of -1"):
        closeness([1.0, NAN, -1.0], 2.0)


def test_rows_of_values_and_of_pooled_estimates():
    values = {"std_ratio_lips": np.array([2.0, NAN]), "blink_rate": np.array([0.0, 10.0]), "lip_pc1": np.ones(2)}
    values["blink_rate_truth"] = np.array([0.0, 40.0])
    rows = of_values(values)
    assert list(rows) == ["std_ratio_lips_closeness", "blink_rate_closeness"]
    np.testing.assert_array_equal(rows["std_ratio_lips_closeness"], [0.5, NAN])
    np.testing.assert_array_equal(rows["blink_rate_closeness"], [1.0, 0.25])
    blinks, truth, minutes = np.array([1.0, 3.0]), np.array([4.0, 4.0]), np.array([1.0, 1.0])
    found = {
        "blink_rate": (ratio_of(blinks, minutes), 2, "said"),
        "blink_rate_truth": (ratio_of(truth, minutes), 2, ""),
    }
    estimate, clips, note = of_estimates(found)["blink_rate_closeness"]
    np.testing.assert_allclose(estimate(np.array([[1.0, 1.0], [2.0, 0.0]])), [0.5, 0.25])  # pooled, then compared
    assert (clips, note) == (2, "said")


@pytest.fixture(scope="module")
def judged(tiny_clips):
    """Clips whose generated motion is the truth's, livelier by 1.5."""
    reference = motion.MotionReference.fit(clip.motion for clip in tiny_clips)
    clips = [
        motion.ClipMotion(c.key, c.motion, c.truth, c.motion.mean(0) + 1.5 * (c.motion - c.motion.mean(0)))
        for c in tiny_clips
    ]
    return clips, reference


def test_the_tables_of_motion_have_a_row_for_each_and_no_other_is_changed(judged, monkeypatch):
    with_rows = motion.score(*judged, seed=0)
    each = motion.per_clip(*judged)
    for name, truth in TWO_SIDED.items():
        against = 1.0 if truth is None else with_rows[truth].value
        assert with_rows[f"{name}_closeness"].value == pytest.approx(closeness(with_rows[name].value, against).item())
        assert each[f"{name}_closeness"].shape == each[name].shape
    assert with_rows["std_ratio_lips_closeness"].value == pytest.approx(1 / 1.5)
    monkeypatch.setattr(motion.closeness, "of_estimates", lambda found: {})
    monkeypatch.setattr(motion.closeness, "of_values", lambda values: {})
    without, alone = motion.score(*judged, seed=0), motion.per_clip(*judged)
    assert (
        with_rows.keys() - without.keys() == each.keys() - alone.keys() == {f"{name}_closeness" for name in TWO_SIDED}
    )
    for name, value in without.items():
        np.testing.assert_equal(with_rows[name], value)
    for name, values in alone.items():
        np.testing.assert_array_equal(each[name], values)
