"""Distances of a row's films from the reference's, both as sets (FID, FVD, KID, KVD), with their intervals.

Groups of generated films are left out one after the other (`jackknife`); the reference's stay as they are. What rows
differ by is found from the films that both have, in the same groups.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from joyvasa.eval.bootstrap import Score, join_notes
from joyvasa.eval.films.gauge import Reading
from joyvasa.eval.frechet import FrechetDistance, FrechetGroups
from joyvasa.eval.frechet_infinity import FrechetInfinity
from joyvasa.eval.jackknife import deal, student_interval, variance_parts
from joyvasa.eval.kernel_distance import KernelDistance, KernelGroups
from joyvasa.eval.protocol_fields import Frechet, Kernel, Sampling
from joyvasa.eval.protocol_fields import FrechetInfinity as FrechetInfinityProtocol
from joyvasa.eval.protocol_hash import Network

EXTRAPOLATED = "extrapolated from random subsets, whose own spread would be counted ninefold"
Corpus = Frechet | FrechetInfinityProtocol | Kernel
SetMetric = FrechetDistance | FrechetInfinity | KernelDistance
Films = Callable[[], Iterable[tuple[str, Reading]]]  # name and reading of every film that counts, anew at each call


@dataclass(frozen=True)
class _Measured:
    """A row's distance, of some of its films. parts_G: of its variance; None, with the reason in `note`, where it has
    none. floor: of one half of the real films from the other; None where the protocol has none."""

    value: float
    films: int
    parts_G: np.ndarray | None
    note: str
    floor: float | None

    def score(self) -> Score:
        if self.parts_G is None:
            return Score(self.value, np.nan, np.nan, self.films, self.note)
        return student_interval(self.value, self.parts_G, self.films)


class SetDistances:
    """Of one protocol. real: the reference's films; made: those of each row."""

    def __init__(self, protocol: Corpus, real: Films, made: Mapping[str, Films]) -> None:
        self._sampling, self._metric, self._made = sampling_of(protocol), _metric_of(protocol), made
        self._sizes = {row: _sizes_of(films) for row, films in made.items()}
        self._known: dict[tuple[str, frozenset[str]], _Measured] = {}
        self._real = _chosen(_sizes_of(real), self._sampling)
        for name, reading in real():
            if name in self._real:
                self._metric.update(torch.from_numpy(reading.arrays["features"]), real=True, video=name)

    def scores(self, row: str) -> dict[str, Score]:
        """`distance`, and `real_floor` where the protocol has one: of one half of the real films from the other.

        Too few samples: NaN, and the reason.
        """
        found = self._measured(row, _chosen(self._sizes[row], self._sampling))
        scores = {"distance": found.score()}
        if found.floor is not None:
            note = "no interval: one division of the reference films in halves"
            if not np.isfinite(found.floor):
                note = "a half of the reference films has no covariance: give more"
            scores["real_floor"] = Score(found.floor, np.nan, np.nan, len(self._real), note)
        return scores

    def difference(self, row: str, baseline: str) -> Score:
        """One row's distance less the other's, over the films that both have."""
        one, other = self._sizes[row], self._sizes[baseline]
        both = [{name: side[name] for name in one.keys() & other.keys()} for side in (one, other)]
        chosen = frozenset.intersection(*(_chosen(side, self._sampling) for side in both))
        alone = len(one.keys() ^ other.keys())
        note = f"{alone} films left out that only one of the two has" if alone else ""
        mine, theirs = (self._measured(each, chosen) for each in (row, baseline))
        value = mine.value - theirs.value
        if mine.parts_G is None or theirs.parts_G is None:
            why = dict.fromkeys((mine.note, theirs.note))
            return Score(value, np.nan, np.nan, mine.films, join_notes(*why, note))
        return student_interval(value, mine.parts_G - theirs.parts_G, mine.films, note)

    def _measured(self, row: str, names: frozenset[str]) -> _Measured:
        if (row, names) not in self._known:
            self._known[row, names] = self._measure(row, names)
        return self._known[row, names]

    def _measure(self, row: str, names: frozenset[str]) -> _Measured:
        metric, group_of = self._metric.clone(), deal(_drawn(names, self._sampling.seed))
        films_G = np.array(list(Counter(group_of.values()).values()))
        groups = _groups(metric, len(films_G))
        for name, reading in self._made[row]():
            if name in names:
                features_ND = torch.from_numpy(reading.arrays["features"])
                metric.update(features_ND, real=False, video=name)
                if groups is not None:
                    groups.add(features_ND, video=name, group=group_of[name])
        try:
            found = metric.compute()
        except ValueError as error:
            return _Measured(np.nan, len(names), None, str(error), None)
        value, floor = float(found["distance"]), found.get("real_floor")
        parts_G, note = _variance(groups, films_G)
        return _Measured(value, len(names), parts_G, note, None if floor is None else float(floor))


def _variance(groups: FrechetGroups | KernelGroups | None, films_G: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Its parts (G,); or None, and why."""
    if groups is None:
        return None, f"no interval: {EXTRAPOLATED}"
    if len(films_G) < 2:
        return None, "no interval: one film, and none is left without it"
    try:
        return variance_parts(*groups.distances(), films_G), ""
    except ValueError as error:
        return None, f"no interval: {error}"


def sampling_of(protocol: Corpus) -> Sampling:
    return protocol.of.sampling if isinstance(protocol, FrechetInfinityProtocol) else protocol.sampling


def network_of(protocol: Corpus) -> Network:
    return protocol.of.network if isinstance(protocol, FrechetInfinityProtocol) else protocol.network


def _sizes_of(films: Films) -> dict[str, int]:
    """Samples of each film."""
    return {name: len(reading.arrays["features"]) for name, reading in films()}


def _drawn(names: Iterable[str], seed: int) -> list[str]:
    """In an order drawn by their names."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def _chosen(sizes: Mapping[str, int], sampling: Sampling) -> frozenset[str]:
    """Names of the films that count: all, or as many as give `most` samples."""
    if sampling.most is None:
        return frozenset(sizes)
    chosen, left = set(), sampling.most
    for name in _drawn(sizes, sampling.seed):
        if sizes[name] <= left:
            chosen.add(name)
            left -= sizes[name]
    return frozenset(chosen)


def _metric_of(protocol: Corpus) -> SetMetric:
    width = network_of(protocol).features
    if isinstance(protocol, Frechet):
        return FrechetDistance(features=width, ddof=protocol.ddof, minimum=protocol.minimum)
    if isinstance(protocol, Kernel):
        how = {"limit": protocol.limit, "subsets": protocol.subsets, "subset_size": protocol.subset_size}
        return KernelDistance(features=width, seed=protocol.seed, **how)
    how = {"limit": protocol.limit, "smallest": protocol.smallest, "points": protocol.points, "seed": protocol.seed}
    return FrechetInfinity(features=width, ddof=protocol.of.ddof, minimum=protocol.of.minimum, **how)


def _groups(metric: SetMetric, count: int) -> FrechetGroups | KernelGroups | None:
    if isinstance(metric, FrechetDistance):
        return FrechetGroups(metric, count)
    return KernelGroups(metric, count) if isinstance(metric, KernelDistance) else None
