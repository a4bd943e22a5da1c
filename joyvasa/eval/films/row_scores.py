"""A row's mean in a column, with its interval: films are drawn anew, never clips or tracks of one film apart.

K films, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from joyvasa.eval.bootstrap import Estimate, Score, draw_resamples, interval, join_notes, ratio_of
from joyvasa.eval.films.film_scores import FilmScore
from joyvasa.eval.films.results import OFFSET
from joyvasa.eval.protocol_fields import LipSync
from joyvasa.eval.protocol_hash import Protocol


def mean_score(protocol: Protocol, quantity: str, films: Mapping[str, FilmScore], seed: int) -> Score:
    """Mean over films (their tracks, where each is a row of its own), for offsets the lower median."""
    keys = sorted(key for key, film in films.items() if quantity in film.values)
    if not keys:
        return Score(np.nan, np.nan, np.nan, 0, "every film is excluded")
    values_K = np.array([films[key].values[quantity] for key in keys])
    infinite = int(np.isinf(values_K).sum())
    if infinite:
        note = f"{infinite} of {len(keys)} films equal their reference in a frame"
        return Score(float(values_K.mean()), np.nan, np.nan, len(keys), note)
    return interval(_estimate(protocol, quantity, films, keys), draw_resamples(keys, seed, "film"), len(keys))


def _estimate(protocol: Protocol, quantity: str, films: Mapping[str, FilmScore], keys: list[str]) -> Estimate:
    if isinstance(protocol, LipSync) and quantity == OFFSET:
        return _median_of([films[key].offsets for key in keys])
    weight_K = np.array([films[key].weight for key in keys])
    return ratio_of(np.array([films[key].values[quantity] for key in keys]) * weight_K, weight_K)


def _median_of(offsets: list) -> Estimate:
    """The middle of all offsets, of an even number the lower; a film's are drawn together."""
    flat, film = np.concatenate(offsets), np.repeat(np.arange(len(offsets)), [len(each) for each in offsets])
    order = np.argsort(flat, kind="stable")

    def estimate(weights_RK: np.ndarray) -> np.ndarray:
        counted = np.cumsum(weights_RK[:, film[order]], axis=1)
        half = (counted[:, -1:] + 1) // 2
        return flat[order][np.argmax(counted >= half, axis=1)].astype(np.float64)

    return estimate


def difference(
    protocol: Protocol, quantity: str, one: Mapping[str, FilmScore], other: Mapping[str, FilmScore], seed: int
) -> Score:
    """One row's number less the other's, both as `mean_score` has them, over the films that both have a number of."""
    sides = [{key: film for key, film in side.items() if quantity in film.values} for side in (one, other)]
    both = sorted(sides[0].keys() & sides[1].keys())
    finite = [key for key in both if all(np.isfinite(side[key].values[quantity]) for side in sides)]
    left_out = len(both) - len(finite)
    note = f"{left_out} films without a finite number in both left out" if left_out else ""
    if not finite:
        return Score(np.nan, np.nan, np.nan, 0, join_notes("no film has both values", note))
    mine, theirs = (_estimate(protocol, quantity, side, finite) for side in sides)
    resamples = draw_resamples(finite, seed, "film")
    return interval(lambda weights_RK: mine(weights_RK) - theirs(weights_RK), resamples, len(finite), note)
