"""Fréchet distance extrapolated to infinitely many generated samples (arXiv 1911.07023, FID∞).

The distance of n samples is about d∞ + b / n: it is measured for subsets of several sizes, and a straight line in 1 / n
is followed to 0. The real side stays as it is: its own bias remains, so it has to be the same for all that is compared.

Shape suffixes: N samples, D features, K subsets, L places of a sample, P = D + 1 (`moments`, `feature_sample`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from joyvasa.eval.feature_sample import add_to_sample, merge_samples, no_sample, vectors_of
from joyvasa.eval.frechet import MOSTLY_BIAS, checked_features, covariance_root, distance_from_roots, require_samples
from joyvasa.eval.moments import add_samples, count_of, mean_and_covariance, merge_moments, moments_of, no_moments


def extrapolate(sizes_K: np.ndarray, distances_K: np.ndarray) -> tuple[float, float]:
    """d∞ and b of the least-squares line distance = d∞ + b / size."""
    slope, intercept = np.polyfit(1 / np.asarray(sizes_K, np.float64), distances_K, 1)
    return float(intercept), float(slope)


def distances_by_size(
    real_PP: Tensor, generated_ND: Tensor, *, smallest: int, points: int, ddof: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (K,), evenly spaced from `smallest` to N, and Fréchet distances (K,) of random subsets, from real moments.

    Raises ValueError where `smallest` is not below N, or the real side has no covariance.
    """
    if len(generated_ND) <= smallest:
        raise ValueError(
            f"{len(generated_ND)} generated samples (expected more than {smallest}, to extrapolate); give more videos"
        )
    real_mean, real_covariance = mean_and_covariance(real_PP, ddof)
    real_root, rng = covariance_root(real_covariance), np.random.default_rng(seed)
    sizes = np.linspace(smallest, len(generated_ND), points).astype(int)
    found = []
    for size in sizes:
        chosen = torch.from_numpy(rng.permutation(len(generated_ND))[:size])
        mean, covariance = mean_and_covariance(moments_of(generated_ND[chosen]), ddof)
        found.append(float(distance_from_roots(real_mean, real_root, mean, covariance_root(covariance))))
    return sizes, np.array(found)


class FrechetInfinity(Metric):
    """FID∞ or FVD∞. features, ddof, minimum: as of `FrechetDistance`. limit: generated vectors kept, a uniform sample.
    smallest, points: of the subsets; published are 15 from 5000 up. seed: of the sample and the subsets.

    `compute` gives `distance` (it may come out below zero), `slope`, and the numbers of samples `real` and `generated`.
    The same for any order of the videos and any number of ranks. Raises ValueError below the minimum.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    def __init__(
        self, *, features: int, ddof: int, minimum: int, limit: int, smallest: int, points: int, seed: int, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.ddof, self.minimum = features, ddof, minimum
        self.smallest, self.points, self.seed = smallest, points, seed
        self.add_state("real", no_moments(features), dist_reduce_fx=merge_moments)
        self.add_state("generated", no_sample(limit, features), dist_reduce_fx=merge_samples)

    def update(self, features_ND: Tensor, *, real: bool, video: str) -> None:
        """All features (N, D) of one video. Raises ValueError for other shapes, NaN, infinity."""
        features_ND = checked_features(features_ND, self.features, video)
        if real:
            add_samples(self.real, features_ND)
        else:
            self.generated = add_to_sample(self.generated, features_ND, video, self.seed)

    def compute(self) -> dict[str, Tensor]:
        vectors = vectors_of(self.generated)
        counts = {"real": count_of(self.real), "generated": len(vectors)}
        require_samples(counts, self.minimum, MOSTLY_BIAS)
        sizes, distances = distances_by_size(
            self.real, vectors, smallest=self.smallest, points=self.points, ddof=self.ddof, seed=self.seed
        )
        distance, slope = extrapolate(sizes, distances)
        values = {"distance": distance, "slope": slope, **counts}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
