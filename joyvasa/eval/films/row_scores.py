"""A row's number in a column, with its interval: films are drawn anew, never clips or tracks of one film apart.

K films, R resamples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from joyvasa.eval.bootstrap import Estimate, Score, interval, paired_difference, ratio_of, resample_weights
from joyvasa.eval.films.film_scores import FilmScore
from joyvasa.eval.films.gauge import Reading
from joyvasa.eval.films.results import OFFSET
from joyvasa.eval.frechet import FrechetDistance
from joyvasa.eval.frechet_infinity import FrechetInfinity
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.eval.protocol_fields import Frechet, Kernel, LipSync, Sampling
from joyvasa.eval.protocol_fields import FrechetInfinity as FrechetInfinityProtocol
from joyvasa.eval.protocol_hash import Network, Protocol

NO_INTERVAL = "no interval: distances between sets of films are not resampled"
Corpus = Frechet | FrechetInfinityProtocol | Kernel
Films = Callable[[], Iterable[tuple[str, Reading]]]  # name and reading of every film that counts, anew at each call


def mean_score(protocol: Protocol, quantity: str, films: Mapping[str, FilmScore], seed: int) -> Score:
    """Mean over films (their tracks, where each is a row of its own), for offsets the lower median."""
    keys = sorted(films)
    if not keys:
        return Score(np.nan, np.nan, np.nan, 0, "every film is excluded")
    draws_RK = resample_weights(keys, seed)
    if isinstance(protocol, LipSync) and quantity == OFFSET:
        return interval(_median_of([films[key].offsets for key in keys]), draws_RK, len(keys), _alone(keys))
    values_K = np.array([films[key].values[quantity] for key in keys])
    infinite = int(np.isinf(values_K).sum())
    if infinite:
        note = f"{infinite} of {len(keys)} films equal their reference in a frame"
        return Score(float(values_K.mean()), np.nan, np.nan, len(keys), note)
    weight_K = np.array([films[key].weight for key in keys])
    return interval(ratio_of(values_K * weight_K, weight_K), draws_RK, len(keys), _alone(keys))


def _alone(keys: list[str]) -> str:
    return "one film: its interval says nothing" if len(keys) == 1 else ""


def _median_of(offsets: list) -> Estimate:
    """The middle of all offsets, of an even number the lower; a film's are drawn together."""
    flat, film = np.concatenate(offsets), np.repeat(np.arange(len(offsets)), [len(each) for each in offsets])
    order = np.argsort(flat, kind="stable")

    def estimate(weights_RK: np.ndarray) -> np.ndarray:
        counted = np.cumsum(weights_RK[:, film[order]], axis=1)
        half = (counted[:, -1:] + 1) // 2
        return flat[order][np.argmax(counted >= half, axis=1)].astype(np.float64)

    return estimate


def difference(quantity: str, one: Mapping[str, FilmScore], other: Mapping[str, FilmScore], seed: int) -> Score:
    """Mean of one - other over the films that both have."""
    both = sorted(one.keys() & other.keys())
    sides = [np.array([side[key].values[quantity] for key in both]) for side in (one, other)]
    return paired_difference(sides[0], sides[1], seed)


def corpus_score(protocol: Corpus, real: Films, made: Films) -> dict[str, Score]:
    """`distance`, and `real_floor` where the protocol has one: of one half of the real films from the other.

    Too few samples: NaN, and the reason.
    """
    metric, counts = _metric(protocol), {}
    for side, films in (("real", real), ("made", made)):
        names = _chosen(films, sampling_of(protocol))
        counts[side] = len(names)
        for name, reading in films():
            if name in names:
                features_ND = torch.from_numpy(reading.arrays["features"])
                metric.update(features_ND, real=side == "real", video=name)
    try:
        found: dict[str, Tensor] = metric.compute()
    except ValueError as error:
        return {"distance": Score(np.nan, np.nan, np.nan, counts["made"], str(error))}
    scores = {"distance": Score(float(found["distance"]), np.nan, np.nan, counts["made"], NO_INTERVAL)}
    if "real_floor" in found:
        scores["real_floor"] = Score(float(found["real_floor"]), np.nan, np.nan, counts["real"], NO_INTERVAL)
    return scores


def sampling_of(protocol: Corpus) -> Sampling:
    return protocol.of.sampling if isinstance(protocol, FrechetInfinityProtocol) else protocol.sampling


def network_of(protocol: Corpus) -> Network:
    return protocol.of.network if isinstance(protocol, FrechetInfinityProtocol) else protocol.network


def _chosen(films: Films, sampling: Sampling) -> set[str]:
    """Names of the films that count: all, or as many as give `most` samples, in an order drawn by their names."""
    sizes = {name: len(reading.arrays["features"]) for name, reading in films()}
    if sampling.most is None:
        return set(sizes)
    chosen, left = set(), sampling.most
    for name in sorted(sizes, key=lambda name: hashlib.sha256(f"{sampling.seed}/{name}".encode()).digest()):
        if sizes[name] <= left:
            chosen.add(name)
            left -= sizes[name]
    return chosen


def _metric(protocol: Corpus) -> FrechetDistance | FrechetInfinity | KernelDistance:
    width = network_of(protocol).features
    if isinstance(protocol, Frechet):
        return FrechetDistance(features=width, ddof=protocol.ddof, minimum=protocol.minimum)
    if isinstance(protocol, Kernel):
        how = {"limit": protocol.limit, "subsets": protocol.subsets, "subset_size": protocol.subset_size}
        return KernelDistance(features=width, seed=protocol.seed, **how)
    how = {"limit": protocol.limit, "smallest": protocol.smallest, "points": protocol.points, "seed": protocol.seed}
    return FrechetInfinity(features=width, ddof=protocol.of.ddof, minimum=protocol.of.minimum, **how)
