"""Kernel distance between features: KID of pictures, KVD of clips. Unbiased at any size, where FID and FVD are not.

    k(x, y) = (x · y / D + 1)³
    MMD² = mean of k(x, x') over x ≠ x' + mean of k(y, y') over y ≠ y' − 2 mean of k(x, y)

(arXiv 1801.01401, equation 4; `kernel_inception_distance.py` of stylegan-v.) It may come out below zero.

Shape suffixes: N and M samples, D features, S subsets, G groups of videos; chosen_SN is 1 where a sample is in a
subset, else 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from joyvasa.eval.feature_sample import (
    add_to_sample,
    merge_samples,
    no_sample,
    numbers_drawn,
    numbers_of,
    vectors_of,
)
from joyvasa.eval.frechet import checked_features, require_samples

BLOCK_ROWS = 1024  # of the kernel's matrix, held at once


def _kernel_sums(x_ND: Tensor, y_MD: Tensor, chosen_SN: Tensor, chosen_SM: Tensor) -> Tensor:
    """Sum (S,) of k(x, y) over the x and the y of every subset. Each k is computed once, for all subsets."""
    sums_S = x_ND.new_zeros(len(chosen_SN))
    for x_BD, chosen_SB in zip(x_ND.split(BLOCK_ROWS), chosen_SN.split(BLOCK_ROWS, dim=1), strict=True):
        kernel_BM = (x_BD @ y_MD.T / x_ND.shape[1] + 1) ** 3
        sums_S += (chosen_SB @ kernel_BM * chosen_SM).sum(1)
    return sums_S


def _mean_within(x_ND: Tensor, chosen_SN: Tensor) -> Tensor:
    """Mean (S,) of k(x, x') over the pairs of different samples of every subset."""
    with_itself_N = (x_ND.square().sum(1) / x_ND.shape[1] + 1) ** 3
    sizes_S = chosen_SN.sum(1)
    pairs_S = _kernel_sums(x_ND, x_ND, chosen_SN, chosen_SN) - chosen_SN @ with_itself_N
    return pairs_S / (sizes_S * (sizes_S - 1))


def squared_mmd(x_ND: Tensor, y_MD: Tensor, chosen_SN: Tensor, chosen_SM: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy (S,) between subsets of two samples, at least two vectors in each.

    All float64.
    """
    across_S = _kernel_sums(x_ND, y_MD, chosen_SN, chosen_SM) / (chosen_SN.sum(1) * chosen_SM.sum(1))
    return _mean_within(x_ND, chosen_SN) + _mean_within(y_MD, chosen_SM) - 2 * across_S


def draw_subsets(samples: int, subsets: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Subsets (S, N) of `size` of the samples each, drawn without replacement: 1 where a sample is in, else 0."""
    chosen = np.zeros((subsets, samples))
    for row in chosen:
        row[rng.choice(samples, size, replace=False)] = 1
    return chosen


def _drawn_as(side: str, video: str) -> str:
    """The side is part of the draw: else the same frames of a recording and of its imitation were kept together."""
    return f"{side}/{video}"


class KernelDistance(Metric):
    """Mean of MMD² over subsets, as the KID is published, and its standard deviation over them.

    features: their width, D. limit: vectors kept a side, a uniform sample of all. subsets, subset_size: published are
    100 of 1000. seed: of the sample and the subsets.

    `compute` gives `distance`, `spread`, `real` and `generated` (vectors kept). The same number for any order of the
    videos and any number of ranks, to the bit. Raises ValueError where a side has fewer vectors than a subset.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    def __init__(self, *, features: int, limit: int, subsets: int, subset_size: int, seed: int, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 2 <= subset_size <= limit:
            raise ValueError(f"subset_size {subset_size} (expected 2 to limit, {limit}); change one of them")
        self.features, self.subsets, self.subset_size, self.seed = features, subsets, subset_size, seed
        for name in ("real", "generated"):
            self.add_state(name, no_sample(limit, features), dist_reduce_fx=merge_samples)

    def update(self, features_ND: Tensor, *, real: bool, video: str) -> None:
        """All features (N, D) of one video. Raises ValueError for other shapes, NaN, infinity."""
        name = "real" if real else "generated"
        features_ND = checked_features(features_ND, self.features, video)
        setattr(self, name, add_to_sample(getattr(self, name), features_ND, _drawn_as(name, video), self.seed))

    def compute(self) -> dict[str, Tensor]:
        sides = {"real": vectors_of(self.real), "generated": vectors_of(self.generated)}
        counts = {name: len(vectors) for name, vectors in sides.items()}
        require_samples(counts, self.subset_size, "the size of a subset")
        rng = np.random.default_rng(self.seed)
        chosen = [
            torch.from_numpy(draw_subsets(count, self.subsets, self.subset_size, rng)).to(self.real.device)
            for count in counts.values()
        ]
        found = squared_mmd(*sides.values(), *chosen)
        totals = {name: torch.tensor(count, device=found.device) for name, count in counts.items()}
        return {"distance": found.mean(), "spread": found.std(correction=0), **totals}


class KernelGroups:
    """Distances of a metric without each of a few groups of its generated videos (`jackknife`).

    Of all vectors kept, not of subsets of them: 100 other subsets of each rest would bring a spread of their own, which
    a jackknife of ten groups counts ninefold. Every generated video is to be given, to the metric as well.
    """

    def __init__(self, metric: KernelDistance, groups: int) -> None:
        self._metric, self._groups = metric, groups
        self._numbers: list[np.ndarray] = []
        self._group_of: list[np.ndarray] = []

    def add(self, features_ND: Tensor, *, video: str, group: int) -> None:
        drawn = numbers_drawn(_drawn_as("generated", video), len(features_ND), self._metric.seed)
        self._numbers.append(drawn)
        self._group_of.append(np.full(len(drawn), group))

    def distances(self) -> tuple[float, np.ndarray]:
        """The distance of all, and (G,) without each group, but for what the real vectors are from each other: it is
        the same in all. Raises ValueError where fewer than two vectors are left."""
        real_ND, made_MD = vectors_of(self._metric.real), vectors_of(self._metric.generated)
        group_M = torch.from_numpy(self._group_of_kept())
        rest_GM = (group_M != torch.arange(self._groups)[:, None]).to(made_MD)
        if rest_GM.sum(1).min() < 2:
            raise ValueError("fewer than two vectors are left without one of the groups of films")
        chosen_SM = torch.cat([torch.ones_like(rest_GM[:1]), rest_GM])
        chosen_SN = made_MD.new_ones(len(chosen_SM), len(real_ND))
        across_S = _kernel_sums(real_ND, made_MD, chosen_SN, chosen_SM) / (len(real_ND) * chosen_SM.sum(1))
        whole, *left_out = (_mean_within(made_MD, chosen_SM) - 2 * across_S).tolist()
        return whole, np.array(left_out)

    def _group_of_kept(self) -> np.ndarray:
        """The group (M,) of every vector that the metric has kept, found by the number that it has drawn."""
        numbers, group_of = np.concatenate(self._numbers), np.concatenate(self._group_of)
        order = np.argsort(numbers)
        return group_of[order][np.searchsorted(numbers[order], numbers_of(self._metric.generated).cpu().numpy())]
