"""A uniform sample of features, of bounded size: the same whatever the order of the videos and the number of processes.

Every feature vector draws a number from its video's name; the vectors of the smallest numbers are kept. So the sample
of a union is found from the samples of its parts.

Shape suffixes: N vectors, D features, L places (the bound), P = D + 1: column 0 is the number drawn, infinite where the
place is empty; R parts.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


def no_sample(limit: int, features: int) -> Tensor:
    """A sample (L, P) of nothing."""
    sample = torch.zeros(limit, features + 1, dtype=torch.float64)
    sample[:, 0] = torch.inf
    return sample


def numbers_drawn(video: str, samples: int, seed: int) -> np.ndarray:
    """The numbers (N,) that the feature vectors of a video draw."""
    digest = hashlib.sha256(f"{seed}/{video}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest)).random(samples)


def add_to_sample(sample_LP: Tensor, features_ND: Tensor, video: str, seed: int) -> Tensor:
    """The sample, in place, with the features (N, D) of a video; all of a video's are given at once.

    Vectors that are no longer kept are written over: no other vector is moved.
    """
    places = len(sample_LP)
    drawn_N = torch.from_numpy(numbers_drawn(video, len(features_ND), seed)).to(sample_LP)
    order = torch.argsort(torch.cat([sample_LP[:, 0], drawn_N]), stable=True)
    kept, dropped = order[:places], order[places:]
    new, freed = kept[kept >= places] - places, dropped[dropped < places]
    sample_LP[freed, 0] = drawn_N[new]
    sample_LP[freed, 1:] = features_ND[new.to(features_ND.device)].to(sample_LP)
    return sample_LP


def merge_samples(samples_RLP: Tensor) -> Tensor:
    """The sample (L, P) of all parts together."""
    rows_NP = samples_RLP.flatten(0, 1)
    return rows_NP[torch.argsort(rows_NP[:, 0], stable=True)[: samples_RLP.shape[1]]]


def numbers_of(sample_LP: Tensor) -> Tensor:
    """The numbers of the vectors kept (at most L,), as `vectors_of` has them: from small to large."""
    return sample_LP[_kept(sample_LP), 0]


def vectors_of(sample_LP: Tensor) -> Tensor:
    """The feature vectors kept (at most L, D), float64, in the order of their numbers: a random one."""
    return sample_LP[_kept(sample_LP), 1:]


def _kept(sample_LP: Tensor) -> Tensor:
    """Places, in the order of their numbers."""
    return torch.argsort(sample_LP[:, 0], stable=True)[: int(torch.isfinite(sample_LP[:, 0]).sum())]
