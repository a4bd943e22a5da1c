"""Laws of the Fréchet distance: closed forms, invariances, fewer samples than features, one rank or several."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from joyvasa.eval.frechet import FrechetDistance, FrechetGroups, distance_of_moments, frechet_distance, half_of
from joyvasa.eval.moments import mean_and_covariance, moments_of
from tests.waiting import HANGS_SECONDS

WIDTH = 12


def draw(samples, seed=0, width=WIDTH, shift=0.0, scale=1.0):
    """Correlated normal features (samples, width), float64."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return torch.from_numpy(shift + scale * rng.standard_normal((samples, width)) @ mix)


def distance(a, b, ddof=1):
    return float(distance_of_moments(moments_of(a), moments_of(b), ddof))


def rotation(width=WIDTH):
    return torch.linalg.qr(draw(width, seed=5, width=width))[0]


def metric(minimum=2, **changes):
    return FrechetDistance(**({"features": WIDTH, "ddof": 1, "minimum": minimum} | changes))


def values(found):
    return {name: float(value) for name, value in found.items()}


def test_diagonal_gaussians_have_a_closed_form():
    rng = np.random.default_rng(0)
    mean_a, mean_b = torch.from_numpy(rng.normal(size=(2, 30)))
    sd_a, sd_b = torch.from_numpy(rng.uniform(0, 3, (2, 30)))
    sd_a[:5] = 0
    expected = (mean_a - mean_b).square().sum() + (sd_a - sd_b).square().sum()
    found = frechet_distance(mean_a, sd_a.square().diag(), mean_b, sd_b.square().diag())
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_scaling_a_distribution_has_a_closed_form():
    """N(0, C) and N(0, s² C): (s − 1)² tr C."""
    _, covariance = mean_and_covariance(moments_of(draw(50)), 1)
    zero = torch.zeros(WIDTH, dtype=torch.float64)
    found = frechet_distance(zero, covariance, zero, 9 * covariance)
    assert float(found) == pytest.approx(4 * float(covariance.trace()), rel=1e-12)


def test_a_batch_of_gaussians_is_one_after_the_other():
    a, b = (
        [
            torch.stack(parts)
            for parts in zip(*(mean_and_covariance(moments_of(draw(9, s + n)), 1) for n in range(3)), strict=True)
        ]
        for s in (0, 10)
    )
    one_by_one = [float(frechet_distance(a[0][n], a[1][n], b[0][n], b[1][n])) for n in range(3)]
    np.testing.assert_allclose(frechet_distance(*a, *b), one_by_one, rtol=1e-12)


@pytest.mark.parametrize("samples", [3, 12, 500])
def test_a_distribution_is_at_zero_from_itself(samples):
    assert distance(draw(samples), draw(samples)) < 1e-12


@pytest.mark.parametrize("ddof", [0, 1])
def test_order_of_samples_order_of_sides_rotation_and_common_shift_change_nothing(ddof):
    a, b = draw(40), draw(60, seed=1, shift=0.4, scale=1.5)
    expected = pytest.approx(distance(a, b, ddof), rel=1e-10)
    assert distance(a.flip(0), b[torch.randperm(60)], ddof) == expected
    assert distance(b, a, ddof) == expected
    assert distance(a @ rotation(), b @ rotation(), ddof) == expected
    assert distance(a[:, torch.arange(WIDTH).flip(0)], b.flip(1), ddof) == expected
    assert distance(a + 7, b + 7, ddof) == expected


@pytest.mark.parametrize("samples_a, samples_b", [(3, 5), (2, 300), (11, 11)])
def test_fewer_samples_than_features_are_exact(samples_a, samples_b):
    """The cross term from the samples themselves: the singular values of X Yᵀ, with no covariance and no root."""
    width = 80
    a, b = draw(samples_a, width=width), draw(samples_b, seed=1, width=width, shift=0.1)
    x, y = (side - side.mean(0) for side in (a, b))
    cross = torch.linalg.svdvals(x @ y.T).sum() / np.sqrt(samples_a * samples_b)
    spread = x.square().sum() / samples_a + y.square().sum() / samples_b
    expected = (a.mean(0) - b.mean(0)).square().sum() + spread - 2 * cross
    assert distance(a, b, ddof=0) == pytest.approx(float(expected), rel=1e-11)


def videos():
    """(name, real, features float32) of 14 videos of unequal length."""
    for number in range(14):
        features = draw(3 + 5 * number, seed=number, shift=0.3 * (number % 2)).float()
        yield f"video{number}", number % 2 == 0, features


@pytest.mark.parametrize("ranks", [2, 4])
def test_one_rank_is_as_good_as_several_with_uneven_shares(ranks):
    whole, parts = metric(), [metric() for _ in range(ranks)]
    for number, (video, real, features) in enumerate(videos()):
        whole.update(features, real=real, video=video)
        # The first takes three quarters; of four ranks the last has nothing.
        part = 0 if number % 4 else 1 + number // 4 % max(ranks - 2, 1)
        parts[part].update(features, real=real, video=video)
    for part in parts[1:]:
        parts[0].merge_state(part)
    assert values(parts[0].compute()) == pytest.approx(values(whole.compute()), rel=1e-9)


def test_the_metric_is_the_distance_of_all_its_features():
    found = metric(ddof=0)
    for video, real, features in videos():
        found.update(features, real=real, video=video)
    sides = [torch.cat([f for _, r, f in videos() if r == real]).double() for real in (True, False)]
    result = found.compute()
    assert float(result["distance"]) == pytest.approx(distance(*sides, ddof=0), rel=1e-9)
    assert (result["real"], result["generated"]) == tuple(len(side) for side in sides)
    before = values(result)
    found.update(draw(9), real=False, video="later")
    assert values(result) == before
    halves = [torch.cat([f for v, r, f in videos() if r and half_of(v) == half]).double() for half in (0, 1)]
    assert float(result["real_floor"]) == pytest.approx(distance(*halves, ddof=0), rel=1e-9)
    found.reset()
    assert not found.generated.any() and found.generated.dtype == torch.float64


def test_without_a_group_of_videos_the_distance_is_that_of_the_others():
    found = metric()
    groups, made = FrechetGroups(found, 3), [each for each in videos() if not each[1]]
    for number, (video, real, features) in enumerate(videos()):
        found.update(features, real=real, video=video)
        if not real:
            groups.add(features, video=video, group=number % 3)
    whole, left_out = groups.distances()
    assert whole == float(found.compute()["distance"])
    group_of = [number % 3 for number, (_, real, _) in enumerate(videos()) if not real]
    recordings = torch.cat([features for _, real, features in videos() if real]).double()
    for group, distance_left in enumerate(left_out):
        rest = [features for (_, _, features), own in zip(made, group_of, strict=True) if own != group]
        assert distance_left == pytest.approx(distance(torch.cat(rest).double(), recordings), rel=1e-9)


def test_too_few_samples_are_refused_with_a_sentence():
    found = metric(minimum=20)
    found.update(draw(20), real=True, video="a")
    found.update(draw(19), real=False, video="b")
    with pytest.raises(ValueError, match=r"19 generated samples \(expected at least 20.*give more videos"):
        found.compute()
    found.update(draw(1), real=False, video="c")
    assert np.isnan(float(found.compute()["real_floor"]))  # one video cannot be two halves


def test_features_of_another_width_or_not_finite_are_refused_by_name():
    found, broken = metric(), draw(5)
    broken[2, 0] = torch.inf
    with pytest.raises(ValueError, match=r"clip7: 1 of 5 feature vectors are not finite"):
        found.update(broken, real=True, video="clip7")
    with pytest.raises(ValueError, match=r"clip8: features \(5, 7\).*expected \(N, 12\)"):
        found.update(draw(5, width=7), real=False, video="clip8")
    assert not found.real_0.any() and not found.real_1.any()


def test_the_distance_of_equal_distributions_falls_with_the_number_of_samples():
    found = [distance(*torch.from_numpy(np.random.default_rng(n).normal(size=(2, n, 60)))) for n in (20, 200, 2000)]
    assert found[0] > 5 * found[1] > 25 * found[2] > 0


RANK = """
    import sys, torch
    from joyvasa.eval.frechet import FrechetDistance
    from joyvasa.eval.kernel_distance import KernelDistance
    meeting, rank, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.distributed.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
    metrics = [
        FrechetDistance(features=6, ddof=0, minimum=20),
        KernelDistance(features=6, limit=64, subsets=4, subset_size=20, seed=0),
    ]
    for number in range(9):
        # Rank 0 has 8 videos of 9, of lengths 4 to 12.
        generator = torch.Generator().manual_seed(number)
        for real in (True, False):
            features = torch.randn(4 + number, 6, generator=generator)
            if (number == 5) == bool(rank):
                for metric in metrics:
                    metric.update(features, real=real, video=f"v{number}")
    found = [{k: float(v) for k, v in metric.compute().items()} for metric in metrics]
    torch.save(found, f"{out}{rank}.pt")
    torch.distributed.barrier()  # a rank that ends first would close the other's connections
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_real_processes_give_what_one_gives(tmp_path):
    from joyvasa.eval.kernel_distance import KernelDistance

    script, root = textwrap.dedent(RANK), Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    arguments = [str(tmp_path / "meeting"), str(tmp_path / "rank")]
    ranks = [
        subprocess.Popen([sys.executable, "-c", script, arguments[0], str(rank), arguments[1]], env=environment)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=HANGS_SECONDS) for rank in ranks] == [0, 0]
    metrics = [
        FrechetDistance(features=6, ddof=0, minimum=20),
        KernelDistance(features=6, limit=64, subsets=4, subset_size=20, seed=0),
    ]
    for number in range(9):
        generator = torch.Generator().manual_seed(number)
        for real in (True, False):
            features = torch.randn(4 + number, 6, generator=generator)
            for found in metrics:
                found.update(features, real=real, video=f"v{number}")
    for rank in range(2):
        of_rank = torch.load(tmp_path / f"rank{rank}.pt")
        assert of_rank[0] == pytest.approx(values(metrics[0].compute()), rel=1e-9)
        assert of_rank[1] == values(metrics[1].compute())
