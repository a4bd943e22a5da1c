"""Intervals of distances between sets of films: as wide as other films would make them, paired, and refused aloud."""

from dataclasses import replace

import numpy as np
import pytest

from joyvasa.eval.films.gauge import Reading
from joyvasa.eval.films.set_scores import SetDistances
from joyvasa.eval.jackknife import GROUPS, deviations
from joyvasa.eval.protocols import FID, FID_INFINITY, KID, STYLEGAN_V_16

D, FILMS, SAMPLES, CORPORA = 4, 40, 8, 80
NETWORK = replace(FID.network, features=D)
SMALL_FID = replace(FID, network=NETWORK, minimum=20)
SMALL_KID = replace(KID, network=NETWORK, limit=400, subsets=20, subset_size=20)
BOTH = pytest.mark.parametrize("protocol", [SMALL_FID, SMALL_KID], ids=lambda protocol: protocol.name)


def corpus(seed=0, films=FILMS, shift=0.5, apart=0.5, uneven=False):
    """Gaussian features (samples, D) by film; films differ, which is what clips of one film do not show."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 30, films) if uneven else np.full(films, SAMPLES)
    return {
        f"film{number}": (shift + apart * rng.standard_normal(D) + rng.standard_normal((size, D))).astype(np.float32)
        for number, size in enumerate(sizes)
    }


def read(features):
    return lambda: ((name, Reading({}, {"features": each})) for name, each in features.items())


REAL = read(corpus(10**6, films=200, shift=0.0))


def distances(protocol, **rows):
    return SetDistances(protocol, REAL, {name: read(features) for name, features in rows.items()})


def distance(protocol, features):
    return distances(protocol, ours=features).scores("ours")["distance"]


def error(score):
    return (score.high - score.low) / 2 / deviations(min(score.n, GROUPS))


def clips(features):
    return {f"{name}/{at}": each[at : at + 1] for name, each in features.items() for at in range(len(each))}


@pytest.mark.parametrize(
    "protocol, uneven",
    [(SMALL_FID, False), (SMALL_FID, True), (replace(SMALL_KID, subset_size=100), False)],
    ids=["fid", "fid, uneven", "kid"],
)
def test_the_interval_is_as_wide_as_other_films_make_the_distance(protocol, uneven):
    """Clips taken for films would make it half as wide: those of a film are alike."""
    made = {str(seed): corpus(seed, uneven=uneven) for seed in range(CORPORA)}
    measured = distances(protocol, **made, **{f"clips of {seed}": clips(made[str(seed)]) for seed in range(5)})
    found = [measured.scores(row)["distance"] for row in made]
    spread = np.std([score.value for score in found])
    assert spread / 1.5 < np.mean([error(score) for score in found]) < spread * 1.5
    of_clips = [error(measured.scores(f"clips of {seed}")["distance"]) for seed in range(5)]
    assert np.mean(of_clips) < spread / 1.5


def test_the_interval_of_a_difference_is_that_of_pairs():
    """Two systems whose films differ in the same way: their difference is surer than each of both."""
    one = {f"{seed}": corpus(seed) for seed in range(CORPORA)}
    noise = [corpus(seed + 10**4, shift=0.1, apart=0.1) for seed in range(CORPORA)]
    other = {
        f"{seed}, other": {name: each + 0.5 * noise[seed][name] for name, each in one[str(seed)].items()}
        for seed in range(CORPORA)
    }
    measured = distances(SMALL_FID, **one, **other)
    found = [measured.difference(f"{row}, other", row) for row in one]
    alone = [np.hypot(*(error(measured.scores(each)["distance"]) for each in (row, f"{row}, other"))) for row in one]
    spread = np.std([score.value for score in found])
    assert spread / 1.5 < np.mean([error(score) for score in found]) < spread * 1.5
    assert np.mean(alone) > 2 * spread


@BOTH
def test_a_system_differs_from_itself_by_nothing(protocol):
    found = distances(protocol, one=corpus(), other=corpus()).difference("one", "other")
    assert (found.value, found.low, found.high, found.n, found.note) == (0, 0, 0, FILMS, "")


@BOTH
def test_the_difference_is_that_of_the_numbers_in_the_table(protocol):
    measured = distances(protocol, one=corpus(), other=corpus(1, shift=1.0))
    values = [measured.scores(row)["distance"].value for row in ("one", "other")]
    found = measured.difference("other", "one")
    assert found.value == values[1] - values[0] and found.low > 0


@BOTH
def test_the_order_of_films_changes_nothing(protocol):
    features = corpus()
    found = [distance(protocol, dict(films)) for films in (features.items(), reversed(features.items()))]
    for name in ("value", "low", "high"):
        assert getattr(found[0], name) == pytest.approx(getattr(found[1], name), rel=1e-9), name


@BOTH
def test_films_that_only_one_of_both_has_are_left_out_of_the_difference_and_told(protocol):
    one, other = corpus(), corpus(1)
    shared = [name for name in one if name not in ("film3", "film5", "film8")]
    fewer = {name: other[name] for name in shared if name != "film9"} | {"film8": other["film8"]}
    found = distances(protocol, one=one, other=fewer).difference("one", "other")
    both = [name for name in one if name in fewer]
    expected = [distance(protocol, {name: side[name] for name in both}).value for side in (one, other)]
    assert found.value == pytest.approx(expected[0] - expected[1]) and found.n == len(both)
    assert "3 films left out that only one of the two has" in found.note


def test_of_more_films_than_count_those_that_both_have_are_chosen():
    protocol = replace(STYLEGAN_V_16, network=NETWORK, minimum=20, sampling=replace(STYLEGAN_V_16.sampling, most=30))
    one = {name: each[:1] for name, each in corpus().items()}
    other = {name: each for name, each in one.items() if name not in ("film1", "film2", "film3", "film4")}
    found = distances(protocol, one=one, other=other).difference("one", "other")
    assert (found.value, found.n) == (0, 30) and "4 films left out" in found.note


@BOTH
def test_one_film_has_no_interval(protocol):
    found = distance(protocol, {"film": np.concatenate(list(corpus().values()))})
    assert np.isfinite(found.value) and np.isnan([found.low, found.high]).all() and "one film" in found.note


@BOTH
def test_few_films_have_a_wide_one(protocol):
    found = distance(protocol, corpus(films=4))
    assert found.low < found.value < found.high
    assert (found.high - found.low) / 2 / error(found) == pytest.approx(deviations(4)) and deviations(4) > 3


@pytest.mark.parametrize(
    "protocol, reason",
    [(replace(SMALL_FID, minimum=2), "1 samples have no covariance"),
     (replace(SMALL_KID, subset_size=2), "fewer than two vectors are left")],
)  # fmt: skip
def test_where_too_little_is_left_there_is_no_interval(protocol, reason):
    found = distance(protocol, {name: each[:1] for name, each in corpus(films=2).items()})
    assert np.isfinite(found.value) and np.isnan(found.low) and f"no interval: {reason}" in found.note


@BOTH
def test_below_the_minimum_there_is_neither_distance_nor_difference(protocol):
    """Each has enough, and both together have not."""
    one, other = corpus(films=4), corpus(1, films=6)
    less = {name: other[name] for name in ("film3", "film4", "film5")}
    measured = distances(protocol, one=one, other=less)
    assert all(np.isfinite(measured.scores(row)["distance"].value) for row in ("one", "other"))
    found = measured.difference("one", "other")
    assert np.isnan(found.value) and "8 generated samples (expected at least 20" in found.note
    assert "5 films left out" in found.note


def test_an_extrapolated_distance_says_why_it_has_none():
    protocol = replace(FID_INFINITY, of=SMALL_FID, limit=400, smallest=50, points=4)
    measured = distances(protocol, one=corpus(), other=corpus(1))
    for score in (measured.scores("one")["distance"], measured.difference("one", "other")):
        assert np.isfinite(score.value) and np.isnan(score.low) and "no interval: extrapolated" in score.note


def test_the_floor_is_of_the_reference_alone():
    measured = distances(SMALL_FID, one=corpus(), other=corpus(1))
    floors = [measured.scores(row)["real_floor"] for row in ("one", "other")]
    assert floors[0].value == floors[1].value > 0 and floors[0].n == 200 and "in halves" in floors[0].note
