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


def add_to_sample(sample_LP: Tensor, features_ND: Tensor, video: str, seed: int) -> Tensor:
    """The sample with the features (N, D) of a video; all of a video's are given at once."""
    digest = hashlib.sha256(f"{seed}/{video}".encode()).digest()
    drawn_N = np.random.default_rng(int.from_bytes(digest)).random(len(features_ND))
    keys_N1 = torch.from_numpy(drawn_N).to(sample_LP)[:, None]
    new_NP = torch.cat([keys_N1, features_ND.to(sample_LP)], dim=1)
    new_NP = new_NP[new_NP[:, 0] < sample_LP[-1, 0]]
    return _smallest(torch.cat([sample_LP, new_NP]), len(sample_LP)) if len(new_NP) else sample_LP


def merge_samples(samples_RLP: Tensor) -> Tensor:
    """The sample (L, P) of all parts together."""
    return _smallest(samples_RLP.flatten(0, 1), samples_RLP.shape[1])


def vectors_of(sample_LP: Tensor) -> Tensor:
    """The feature vectors kept (at most L, D), float64, in the order of their numbers: a random one."""
    return sample_LP[torch.isfinite(sample_LP[:, 0]), 1:]


def _smallest(rows_NP: Tensor, limit: int) -> Tensor:
    return rows_NP[torch.argsort(rows_NP[:, 0], stable=True)[:limit]]
