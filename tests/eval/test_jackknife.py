"""Laws of the jackknife of groups of films: what it is for a mean, and what bias and unequal groups leave of it."""

import numpy as np
import pytest

from joyvasa.eval.bootstrap import mean_of
from joyvasa.eval.jackknife import GROUPS, deal, deviations, jackknifed, student_interval, variance_parts

EVEN = np.full(GROUPS, 4)


def spread(parts):
    return np.square(parts).sum()


def without(values, films):
    """Means (G,) without each group, of values of films in the order of their groups."""
    ends = np.cumsum([0, *films])
    return np.array([np.delete(values, slice(*ends[at : at + 2])).mean() for at in range(len(films))])


def test_films_are_dealt_in_turn_and_few_have_a_group_each():
    dealt = deal([f"film{number}" for number in range(23)])
    counts = np.bincount(list(dealt.values()))
    assert len(counts) == GROUPS and counts.max() - counts.min() == 1
    assert list(deal(["c", "a", "b"]).items()) == [("c", 0), ("a", 1), ("b", 2)]


def test_equal_groups_have_the_formula_of_the_books():
    left_out = np.random.default_rng(0).normal(3, 1, GROUPS)
    expected = (GROUPS - 1) / GROUPS * np.square(left_out - left_out.mean()).sum()
    assert spread(variance_parts(3.1, left_out, EVEN)) == pytest.approx(expected, rel=1e-12)


def test_a_mean_has_its_standard_error():
    values = np.random.default_rng(1).normal(size=30)
    found = spread(variance_parts(values.mean(), without(values, [1] * 30), np.ones(30)))
    assert found == pytest.approx(values.var(ddof=1) / 30, rel=1e-12)


def test_a_mean_in_unequal_groups_has_it_on_average():
    films = np.array([1, 1, 1, 2, 2, 3])
    draws = np.random.default_rng(2).normal(size=(4000, films.sum()))
    found = [spread(variance_parts(values.mean(), without(values, films), films)) for values in draws]
    assert np.mean(found) == pytest.approx(1 / films.sum(), rel=0.05)


def test_a_bias_of_the_number_of_films_is_no_spread():
    """5 + 7 / n of 15 films in ten groups: the plain formula would see a spread where there is none."""
    films = np.array([2] * 5 + [1] * 5)
    left_out = 5 + 7 / (films.sum() - films)
    assert spread(variance_parts(5 + 7 / films.sum(), left_out, films)) == pytest.approx(0, abs=1e-24)
    assert np.square(left_out - left_out.mean()).sum() > 1e-3


def test_the_interval_reaches_as_far_to_either_side():
    found = student_interval(7.0, np.array([3.0, 4.0]), 40)
    assert (found.low, found.high, found.n) == (7 - 5 * deviations(2), 7 + 5 * deviations(2), 40)


def test_the_fewer_groups_the_wider():
    """Two-sided 95 % points of Student's t with 1, 3 and 9 degrees of freedom, from a printed table."""
    assert [round(deviations(groups), 3) for groups in (2, 4, 10)] == [12.706, 3.182, 2.262]


def test_a_number_that_is_not_finite_has_no_spread():
    with pytest.raises(ValueError, match="not finite"):
        variance_parts(1.0, np.array([1.0, np.nan]), np.ones(2))


def test_of_a_mean_it_is_the_standard_error():
    """With one clip a group, Student's interval of a mean; clips of one voice stay together."""
    values = np.random.default_rng(0).standard_normal(8)
    found = jackknifed(mean_of(values), [f"voice {number}" for number in range(8)])
    reach = deviations(8) * values.std(ddof=1) / np.sqrt(8)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), *(values.mean() + [-reach, reach])))
    twice = jackknifed(mean_of(np.repeat(values, 2)), [f"voice {number // 2}" for number in range(16)])
    assert (twice.low, twice.high, twice.n) == (pytest.approx(found.low), pytest.approx(found.high), 16)
    alone = jackknifed(mean_of(values), ["voice"] * 8)
    assert np.isnan(alone.low) and "one voice" in alone.note
