"""Laws of the moments: in pieces as at once, in any order and grouping, NumPy's covariance."""

from itertools import permutations

import numpy as np
import pytest
import torch

from joyvasa.eval.moments import add_samples, mean_and_covariance, merge_moments, moments_of, no_moments, without

WIDTH = 12


def draw(samples, seed=0, width=WIDTH, shift=0.0, scale=1.0):
    """Correlated normal features (samples, width), float64."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return torch.from_numpy(shift + scale * rng.standard_normal((samples, width)) @ mix)


def test_ddof_is_numpys():
    features = draw(9)
    for ddof in (0, 1):
        mean, covariance = mean_and_covariance(moments_of(features), ddof)
        np.testing.assert_allclose(covariance, np.cov(features.numpy().T, ddof=ddof), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(mean, features.mean(0), rtol=1e-12)
    with pytest.raises(ValueError, match=r"1 samples have no covariance \(expected at least 2\)"):
        mean_and_covariance(moments_of(features[:1]), 1)


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_streaming_is_the_batch_even_far_from_zero(far):
    features = draw(101) + far
    streamed = no_moments(WIDTH)
    for piece in features.split([1, 0, 40, 7, 53]):
        add_samples(streamed, piece)
    torch.testing.assert_close(streamed, moments_of(features), rtol=1e-9, atol=1e-9)
    covariance = mean_and_covariance(streamed, 1)[1]
    np.testing.assert_allclose(covariance, np.cov((features - far).numpy().T), rtol=1e-7, atol=1e-8)


def test_merging_is_associative_commutative_and_ignores_the_empty():
    pieces = [moments_of(draw(n, seed=n)) for n in (1, 5, 30)]
    expected = moments_of(torch.cat([draw(n, seed=n) for n in (1, 5, 30)]))
    for a, b, c in permutations(pieces):
        left = merge_moments(torch.stack([merge_moments(torch.stack([a, b])), c]))
        together = merge_moments(torch.stack([no_moments(WIDTH), a, b, c]))
        for found in (left, together):
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert not merge_moments(torch.stack([no_moments(3), no_moments(3)])).any()


@pytest.mark.parametrize("far", [0.0, 1e3])
def test_what_is_left_of_a_whole_is_what_the_rest_has(far):
    parts = [draw(n, seed=n, shift=far) for n in (1, 5, 30)]
    whole = moments_of(torch.cat(parts))
    for number, part in enumerate(parts):
        rest = moments_of(torch.cat(parts[:number] + parts[number + 1 :]))
        torch.testing.assert_close(without(whole, moments_of(part)), rest, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(without(whole, no_moments(WIDTH)), whole, rtol=0, atol=0)
