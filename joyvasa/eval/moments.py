"""Count, mean and scatter of features, gathered piece by piece and merged over processes, in float64.

    n = n₁ + n₂     μ = (n₁ μ₁ + n₂ μ₂) / n     M = M₁ + M₂ + Σ nᵢ (μᵢ − μ)(μᵢ − μ)ᵀ

(Chan, Golub and LeVeque 1979). M is the scatter about the mean: no large numbers are subtracted, as in Σ x xᵀ − n μ μᵀ.
The three are packed in one tensor, so that a process group gathers them together.

Shape suffixes: N samples, D features, P = D + 1: [0, 0] is n, [0, 1:] is μ, [1:, 1:] is M; R pieces.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256  # samples in float64 at a time: a film of any length takes no more


def no_moments(features: int) -> Tensor:
    """Moments (P, P) of nothing."""
    return torch.zeros(features + 1, features + 1, dtype=torch.float64)


def add_samples(moments_PP: Tensor, samples_ND: Tensor) -> None:
    """Take samples (N, D) of any floating type into moments, in place, block by block."""
    for block_ND in samples_ND.split(BLOCK):
        if len(block_ND):
            _add_block(moments_PP, block_ND.to(moments_PP))


def _add_block(moments_PP: Tensor, samples_ND: Tensor) -> None:
    mean_D, scatter_DD = moments_PP[0, 1:], moments_PP[1:, 1:]
    own_mean_D = samples_ND.mean(0)
    centred_ND, shift_D = samples_ND - own_mean_D, own_mean_D - mean_D
    before, own = moments_PP[0, 0].clone(), len(samples_ND)
    scatter_DD.addmm_(centred_ND.T, centred_ND)
    scatter_DD.addr_(shift_D * (before * own / (before + own)), shift_D)
    mean_D += shift_D * (own / (before + own))
    moments_PP[0, 0] += own


def moments_of(samples_ND: Tensor) -> Tensor:
    """Moments (P, P) of samples (N, D)."""
    moments = no_moments(samples_ND.shape[1]).to(samples_ND.device)
    add_samples(moments, samples_ND)
    return moments


def merge_moments(moments_RPP: Tensor) -> Tensor:
    """Moments (P, P) of all pieces together; pieces without samples change nothing."""
    counts_R = moments_RPP[:, 0, 0]
    total = counts_R.sum()
    weights_R = counts_R / total.clamp(min=1)
    merged = moments_RPP.sum(0)
    merged[0, 1:] = mean_D = weights_R @ moments_RPP[:, 0, 1:]
    shifts_RD = (moments_RPP[:, 0, 1:] - mean_D) * counts_R.sqrt()[:, None]
    merged[1:, 1:].addmm_(shifts_RD.T, shifts_RD)
    return merged


def without(moments_PP: Tensor, part_PP: Tensor) -> Tensor:
    """Moments (P, P) of what is left when a part of it, and not all, is taken away."""
    counts, left = (moments_PP[0, 0], part_PP[0, 0]), moments_PP[0, 0] - part_PP[0, 0]
    found = moments_PP - part_PP
    found[0, 1:] = mean_D = (counts[0] * moments_PP[0, 1:] - counts[1] * part_PP[0, 1:]) / left
    shift_D = part_PP[0, 1:] - mean_D
    found[1:, 1:].addr_(shift_D * (-left * counts[1] / counts[0]), shift_D)
    return found


def count_of(moments_PP: Tensor) -> int:
    return int(moments_PP[0, 0])


def mean_and_covariance(moments_PP: Tensor, ddof: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D), the scatter divided by n − ddof.

    Raises ValueError for too few samples.
    """
    count = count_of(moments_PP)
    if count <= ddof:
        raise ValueError(f"{count} samples have no covariance (expected at least {ddof + 1}); give more")
    return moments_PP[0, 1:], moments_PP[1:, 1:] / (count - ddof)
