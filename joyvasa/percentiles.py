"""Exact percentiles of more rows than fit in memory: the rows are gone through twice, a clip at a time.

First they are counted in fine bins between each channel's extremes; then only what fell into the bins around the wanted
ranks is kept and sorted. The result is numpy's, to the last bit.

Shape suffixes: T rows, C channels, P percentiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

BINS = 65_536  # of each channel, 0.5 MB: around a rank at most some hundredths of a per mille of the rows are kept

Clips = Callable[[], Iterable[np.ndarray]]  # gives the same clips, each (T, C), anew at every call


def percentiles(clips: Clips, percents: Sequence[float], low_C: np.ndarray, high_C: np.ndarray) -> np.ndarray:
    """(P, C) float64, linear between ranks, of all rows of all clips; low and high are their extremes, float64.

    Raises ValueError for values outside the extremes, which would be counted in the wrong place, or no row.
    """
    span = np.where(high_C > low_C, high_C - low_C, 1.0)
    counts = np.zeros((len(low_C), BINS), np.int64)
    channel = np.arange(len(low_C))
    for clip in clips():
        np.add.at(counts, (channel, _bins(clip, low_C, high_C, span)), 1)
    rows = int(counts[0].sum())
    if not rows:
        raise ValueError("no row to take percentiles from")
    place_P = np.asarray(percents, np.float64) / 100 * (rows - 1)
    below_P = np.floor(place_P).astype(np.int64)
    rank_2P = np.stack([below_P, np.minimum(below_P + 1, rows - 1)])
    ends = counts.cumsum(axis=1)
    bin_2PC = np.stack([[np.searchsorted(ends_of, rank, "right") for ends_of in ends] for rank in rank_2P.ravel()])
    kept = _kept(clips, bin_2PC, low_C, high_C, span)
    found = np.empty(bin_2PC.shape)
    for (index, c), number in np.ndenumerate(bin_2PC):
        before = ends[c, number] - counts[c, number]
        found[index, c] = kept[c, number][rank_2P.ravel()[index] - before]
    lower, upper = found.reshape(2, len(percents), -1)
    return _between(lower, upper, (place_P - below_P)[:, None])


def _bins(clip: np.ndarray, low_C: np.ndarray, high_C: np.ndarray, span_C: np.ndarray) -> np.ndarray:
    clip = np.asarray(clip, np.float64)
    if (clip < low_C).any() or (clip > high_C).any():
        raise ValueError("a value outside the given extremes: the clips changed between two passes")
    return np.minimum(((clip - low_C) / span_C * BINS).astype(np.int64), BINS - 1)


def _kept(clips: Clips, bin_RC: np.ndarray, low_C, high_C, span_C) -> dict[tuple[int, int], np.ndarray]:
    """(channel, bin) -> the sorted values that fell into it, for the bins asked for."""
    wanted = {(c, int(number)): [] for row in bin_RC for c, number in enumerate(row)}
    for clip in clips():
        clip = np.asarray(clip, np.float64)
        bins = _bins(clip, low_C, high_C, span_C)
        for c, number in wanted:
            wanted[c, number].append(clip[bins[:, c] == number, c])
    return {key: np.sort(np.concatenate(values)) for key, values in wanted.items()}


def _between(lower: np.ndarray, upper: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear, from the nearer end, as numpy rounds it."""
    step = upper - lower
    return np.where(share >= 0.5, upper - step * (1 - share), lower + step * share)
