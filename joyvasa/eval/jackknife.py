"""Intervals of numbers that belong to a set of films as a whole: each of a few groups of films is left out once.

    p_j = h_j θ − (h_j − 1) θ₍ⱼ₎     h_j = n / m_j     v = Σ_j (p_j − Σ_k p_k / h_k)² / (g (h_j − 1))

θ is of all n films, θ₍ⱼ₎ without the m_j of group j. The p_j are Tukey's pseudo-values, for groups of unequal size as
in Busing, Meijer and van der Leeden 1999; of equal groups v is (g − 1) / g · Σ (θ₍ⱼ₎ − their mean)². The interval is
θ ± t √v, t of Student's distribution with g − 1 degrees of freedom: where the number of as many other films would be.
Σ (θ₍ⱼ₎ − their mean)² is on average no less than the variance of what g − 1 groups give (Efron and Stein 1981). Of
Gaussian features, 88 to 99 of 100 Fréchet and kernel distances are within the interval from ten films up, 87 to 99 of
four films, 92 to 98 of two.

A bootstrap repeats films, and a covariance of repeated samples is that of fewer: it moves a Fréchet distance up. Here
the number of films is the same in all p_j, from which a bias of b / n falls out.

Shape suffix: G groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from joyvasa.eval.bootstrap import Estimate, Score

GROUPS = 10
COVERAGE = 0.95


def deal(films: Sequence[str]) -> dict[str, int]:
    """The group of each film: they are dealt in turn, so that fewer films than groups have one each."""
    return {film: place % GROUPS for place, film in enumerate(films)}


def variance_parts(whole: float, left_out_G: np.ndarray, films_G: np.ndarray) -> np.ndarray:
    """What each group adds (G,): their squares sum up to the variance v.

    The variance of a difference is the sum of squares of what the parts of both differ by, so pairs need nothing else.
    Two groups or more. Raises ValueError for a number that is not finite.
    """
    if not np.isfinite([whole, *left_out_G]).all():
        raise ValueError("a number without one of the groups of films is not finite")
    shares_G = films_G.sum() / films_G
    pseudo_G = shares_G * whole - (shares_G - 1) * left_out_G
    return (pseudo_G - (pseudo_G / shares_G).sum()) / np.sqrt(len(films_G) * (shares_G - 1))


def deviations(groups: int) -> float:
    """t: how many deviations there are to either side, of so many groups."""
    return float(stats.t.ppf((1 + COVERAGE) / 2, groups - 1))


def student_interval(value: float, parts_G: np.ndarray, films: int, note: str = "") -> Score:
    """The value, with as much to either side as its parts of variance give."""
    reach = deviations(len(parts_G)) * float(np.sqrt(np.square(parts_G).sum()))
    return Score(value, value - reach, value + reach, films, note)


def jackknifed(estimate: Estimate, keys: Sequence[str]) -> Score:
    """Of clips by the voice of each: voices are dealt into groups. estimate: of weights of the clips, as a bootstrap
    has them."""
    group_of = deal(list(dict.fromkeys(keys)))
    voices_G, group_N = np.bincount(list(group_of.values())), np.array([group_of[key] for key in keys])
    kept_GN = group_N != np.arange(len(voices_G))[:, None]
    value, *left_out = estimate(np.vstack([np.ones(len(keys)), kept_GN]).astype(np.float64)).tolist()
    if len(voices_G) < 2:
        return Score(value, np.nan, np.nan, len(keys), "no interval: one voice, and none is left without it")
    return student_interval(value, variance_parts(value, np.array(left_out), voices_G), len(keys))
