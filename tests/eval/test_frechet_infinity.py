"""Laws of the extrapolated Fréchet distance: the bias of few samples goes, ranks and order change nothing."""

import numpy as np
import pytest
import torch

from joyvasa.eval.frechet_infinity import FrechetInfinity, distances_by_size, extrapolate
from joyvasa.eval.moments import moments_of

WIDTH = 12


def draw(samples, seed=0, width=WIDTH, shift=0.0, scale=1.0):
    """Correlated normal features (samples, width), float64."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return torch.from_numpy(shift + scale * rng.standard_normal((samples, width)) @ mix)


def values(found):
    return {name: float(value) for name, value in found.items()}


def videos():
    """(name, real, features float32) of 14 videos of unequal length."""
    for number in range(14):
        features = draw(3 + 5 * number, seed=number, shift=0.3 * (number % 2)).float()
        yield f"video{number}", number % 2 == 0, features


def test_the_extrapolation_takes_the_bias_away():
    """Equal distributions: what is left of the distance of 400 samples is a tenth of it or less."""
    real = moments_of(draw(20_000, seed=1, width=40))
    sizes, distances = distances_by_size(real, draw(400, width=40), smallest=100, points=12, ddof=1, seed=0)
    assert sizes[0] == 100 and sizes[-1] == 400
    infinity, slope = extrapolate(sizes, distances)
    assert slope > 0 and abs(infinity) < distances[-1] / 10
    assert extrapolate([10, 20, 40], [1 + 5 / 10, 1 + 5 / 20, 1 + 5 / 40]) == pytest.approx((1, 5))


def test_the_extrapolation_does_not_depend_on_ranks_or_order():
    def infinity():
        return FrechetInfinity(features=WIDTH, ddof=1, minimum=100, limit=150, smallest=50, points=5, seed=3)

    whole, parts = infinity(), [infinity(), infinity()]
    for number, (video, real, features) in enumerate(videos()):
        whole.update(features, real=real, video=video)
        parts[number % 3 == 0].update(features, real=real, video=video)
    parts[1].merge_state(parts[0])
    found = values(whole.compute())
    assert values(parts[1].compute()) == pytest.approx(found, rel=1e-9) and found["generated"] == 150
    whole.reset()
    whole.update(draw(150), real=True, video="a")
    whole.update(draw(50), real=False, video="b")
    with pytest.raises(ValueError, match="50 generated samples"):
        whole.compute()
