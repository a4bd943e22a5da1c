"""Fréchet distance between Gaussians fitted to features: FID of pictures, FVD of clips.

    d² = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½)

(Dowson and Landau 1982; arXiv 1706.08500, 1812.01717; `fid_score.py` of pytorch-fid, `frechet_video_distance.py` of
stylegan-v). The trace of the last root is the sum of the singular values of R₁ R₂ᵀ, where Rᵀ R = C by symmetric
eigen-decomposition: a covariance of fewer samples than features does no harm, and of the result no digits are lost.

The distance of finite samples is too large, by more the fewer they are: 400 independent normal features are at 476 from
themselves for 100 samples a side, at 81 for 1000 and at 39 for 2048. So there is a smallest number of samples, the
distance of one half of the recordings from the other stands beside each value, and values of different numbers do not
compare.

Shape suffixes: N samples, D features, P = D + 1 (`moments`), G groups of videos.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from joyvasa.eval.moments import add_samples, count_of, mean_and_covariance, merge_moments, no_moments, without

MOSTLY_BIAS = "of fewer, a Fréchet distance is mostly bias; kid-of-100 and kvd-16-of-100 have none, from 100 up"


def covariance_root(covariance: Tensor) -> Tensor:
    """R (..., D, D) with Rᵀ R = covariance (..., D, D), symmetric, float64. Eigenvalues that are rounding become 0."""
    values, vectors = torch.linalg.eigh(covariance)
    # The usual rank rule. Kept, noise of 1e-16 would enter the distance by its root: 1e-8 for every missing rank.
    noise = values[..., -1:] * values.shape[-1] * torch.finfo(values.dtype).eps
    return torch.where(values > noise, values, 0.0).clamp(min=0).sqrt()[..., None] * vectors.mT


def distance_from_roots(mean_a: Tensor, root_a: Tensor, mean_b: Tensor, root_b: Tensor) -> Tensor:
    """Fréchet distance (...) of Gaussians given by their means (..., D) and roots of covariances (..., D, D)."""
    cross = torch.linalg.svdvals(root_a @ root_b.mT).sum(-1)
    spread = root_a.square().sum((-2, -1)) + root_b.square().sum((-2, -1))
    # Never negative but by rounding.
    return ((mean_a - mean_b).square().sum(-1) + spread - 2 * cross).clamp(min=0)


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """Fréchet distance (...) of Gaussians: means (..., D), covariances (..., D, D), singular ones too; float64."""
    return distance_from_roots(mean_a, covariance_root(covariance_a), mean_b, covariance_root(covariance_b))


def distance_of_moments(a_PP: Tensor, b_PP: Tensor, ddof: int) -> Tensor:
    """Fréchet distance () of two sets of samples. Raises ValueError where one has no more than `ddof`."""
    return frechet_distance(*mean_and_covariance(a_PP, ddof), *mean_and_covariance(b_PP, ddof))


def checked_features(features_ND: Tensor, width: int, video: str) -> Tensor:
    """The features, once they are (N, width) and finite. Raises ValueError naming the video."""
    if features_ND.ndim != 2 or features_ND.shape[1] != width or not features_ND.is_floating_point():
        raise ValueError(
            f"{video}: features {tuple(features_ND.shape)}, {features_ND.dtype} (expected (N, {width}), floating); "
            "give the metric the width of its judge's features"
        )
    bad = int((~torch.isfinite(features_ND)).any(1).sum())
    if bad:
        raise ValueError(f"{video}: {bad} of {len(features_ND)} feature vectors are not finite; leave the video out")
    return features_ND


def require_samples(counts: dict[str, int], minimum: int, why: str) -> None:
    """Raises ValueError naming the side that has fewer samples than the protocol asks for."""
    for side, count in counts.items():
        if count < minimum:
            raise ValueError(f"{count} {side} samples (expected at least {minimum}: {why}); give more videos")


def half_of(video: str) -> int:
    """0 or 1, by name: all clips of a video are in the same half of the recordings, on whatever process."""
    return hashlib.sha256(video.encode()).digest()[0] & 1


class FrechetDistance(Metric):
    """Fréchet distance between generated and real features; exact over ranks, however unevenly they share the videos.

    features: their width, D. ddof: 1 divides the scatter by n − 1 (FID: `numpy.cov`), 0 by n (FVD of stylegan-v).
    minimum: smallest number of samples a side; protocols name 2048 for both.

    `compute` gives `distance`, `real_floor` (one half of the real videos against the other; each is half as large, so
    it is above the floor of the whole; NaN where a half has no covariance), and the numbers of samples `real` and
    `generated`. Raises ValueError below the minimum.

    A sampler that repeats videos to give every rank as many makes them count twice: share them without.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    def __init__(self, *, features: int, ddof: int, minimum: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.features, self.ddof, self.minimum = features, ddof, minimum
        for name in ("real_0", "real_1", "generated"):
            self.add_state(name, no_moments(features), dist_reduce_fx=merge_moments)

    def update(self, features_ND: Tensor, *, real: bool, video: str) -> None:
        """Features (N, D) of pictures or clips of one video. Raises ValueError for other shapes, NaN, infinity."""
        name = f"real_{half_of(video)}" if real else "generated"
        add_samples(getattr(self, name), checked_features(features_ND, self.features, video))

    def compute(self) -> dict[str, Tensor]:
        real = merge_moments(torch.stack([self.real_0, self.real_1]))
        counts = {"real": count_of(real), "generated": count_of(self.generated)}
        require_samples(counts, self.minimum, MOSTLY_BIAS)
        halves = min(count_of(self.real_0), count_of(self.real_1))
        floor = distance_of_moments(self.real_0, self.real_1, self.ddof) if halves > self.ddof else torch.nan
        distance = distance_of_moments(real, self.generated, self.ddof)
        found = {"distance": distance, "real_floor": floor, **counts}
        return {name: torch.as_tensor(value, dtype=torch.float64, device=real.device) for name, value in found.items()}


class FrechetGroups:
    """Distances of a metric without each of a few groups of its generated videos (`jackknife`); memory is theirs alone.

    Every generated video is to be given, to the metric as well.
    """

    def __init__(self, metric: FrechetDistance, groups: int) -> None:
        self._metric = metric
        self._moments_GPP = no_moments(metric.features).to(metric.generated).repeat(groups, 1, 1)

    def add(self, features_ND: Tensor, *, video: str, group: int) -> None:
        add_samples(self._moments_GPP[group], features_ND)

    def distances(self) -> tuple[float, np.ndarray]:
        """The distance of all, and (G,) without each group. Raises ValueError where what is left has no covariance."""
        metric = self._metric
        real = merge_moments(torch.stack([metric.real_0, metric.real_1]))
        real_mean, real_covariance = mean_and_covariance(real, metric.ddof)
        real_root, found = covariance_root(real_covariance), []
        for group_PP in self._moments_GPP:
            mean, covariance = mean_and_covariance(without(metric.generated, group_PP), metric.ddof)
            found.append(float(distance_from_roots(real_mean, real_root, mean, covariance_root(covariance))))
        return float(metric.compute()["distance"]), np.array(found)
