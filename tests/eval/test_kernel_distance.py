"""Laws of the kernel distance and of the bounded sample of features it is computed from."""

import numpy as np
import pytest
import torch

from joyvasa.eval import kernel_distance as module
from joyvasa.eval.feature_sample import add_to_sample, merge_samples, no_sample, vectors_of
from joyvasa.eval.kernel_distance import KernelDistance, KernelGroups, draw_subsets, squared_mmd


def draw(samples, seed=0, shift=0.0, width=5):
    return torch.from_numpy(shift + np.random.default_rng(seed).standard_normal((samples, width)))


def metric(**changes):
    settings = {"features": 5, "limit": 60, "subsets": 7, "subset_size": 20, "seed": 0}
    return KernelDistance(**(settings | changes))


def mmd(x, y):
    """Of all vectors."""
    everything = [torch.ones(1, len(side), dtype=torch.float64) for side in (x, y)]
    return float(squared_mmd(x, y, *everything))


def values(found):
    return {name: float(value) for name, value in found.items()}


def test_it_follows_its_definition():
    x, y = draw(6), draw(4, seed=1)

    def mean_kernel(a, b, pairs):
        return np.mean([(float(a[i] @ b[j]) / 5 + 1) ** 3 for i, j in pairs])

    expected = (
        mean_kernel(x, x, [(i, j) for i in range(6) for j in range(6) if i != j])
        + mean_kernel(y, y, [(i, j) for i in range(4) for j in range(4) if i != j])
        - 2 * mean_kernel(x, y, [(i, j) for i in range(6) for j in range(4)])
    )
    assert mmd(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("block", [1024, 7])
def test_subsets_are_those_vectors_alone(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    x, y = draw(30), draw(22, 1)
    in_x, in_y = (torch.from_numpy(draw_subsets(len(side), 4, 9, rng)) for side in (x, y))
    assert (in_x.sum(1) == 9).all() and (in_y.sum(1) == 9).all()
    for row, found in enumerate(squared_mmd(x, y, in_x, in_y)):
        assert float(found) == pytest.approx(mmd(x[in_x[row] > 0], y[in_y[row] > 0]), rel=1e-10)


def test_it_is_unbiased_at_any_size_and_grows_with_the_shift():
    for size in (3, 30):
        found = np.array([mmd(draw(size, 2 * n), draw(size, 2 * n + 1)) for n in range(300)])
        assert abs(found.mean()) < 4 * found.std() / len(found) ** 0.5
    shifted = [mmd(draw(500), draw(500, 1, shift)) for shift in (0.0, 0.3, 0.6, 1.2)]
    assert shifted == sorted(shifted) and shifted[-1] > 1


def test_order_of_samples_and_rotation_change_nothing():
    x, y = draw(30), draw(20, 1, 0.5)
    turn = torch.linalg.qr(draw(5, 7))[0]
    expected = pytest.approx(mmd(x, y), rel=1e-10)
    assert mmd(x.flip(0), y.flip(0)) == expected
    assert mmd(x @ turn, y @ turn) == expected
    assert mmd(y, x) == expected


def videos():
    for number in range(12):
        yield f"video{number}", number % 2 == 0, draw(4 + 5 * number, number, 0.5 * (number % 2))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_and_order_change_nothing_to_the_bit(ranks):
    whole, parts, backwards = metric(), [metric() for _ in range(ranks)], metric()
    for number, (video, real, features) in enumerate(videos()):
        whole.update(features, real=real, video=video)
        parts[0 if number % 3 else number % ranks].update(features, real=real, video=video)
    for video, real, features in reversed(list(videos())):
        backwards.update(features, real=real, video=video)
    for part in parts[1:]:
        parts[0].merge_state(part)
    assert values(whole.compute()) == values(parts[0].compute()) == values(backwards.compute())


@pytest.mark.parametrize("limit", [60, 500])
def test_without_a_group_of_videos_the_distance_is_that_of_the_other_vectors_kept(limit):
    """Of all of them; what is missing is the same in all: what the real vectors are from each other."""
    found = metric(limit=limit)
    groups, group_of = KernelGroups(found, 3), {}
    for number, (video, real, features) in enumerate(videos()):
        found.update(features, real=real, video=video)
        if not real:
            groups.add(features, video=video, group=number % 3)
            group_of |= {tuple(vector): number % 3 for vector in features.tolist()}
    real, made = vectors_of(found.real), vectors_of(found.generated)
    own = torch.tensor([group_of[tuple(vector)] for vector in made.tolist()])
    whole, left_out = groups.distances()
    expected = [mmd(real, made[own != group]) - mmd(real, made) for group in range(3)]
    np.testing.assert_allclose(left_out - whole, expected, rtol=1e-9)


def test_a_sample_with_room_keeps_everything_and_a_full_one_never_grows():
    everything, few = no_sample(500, 5), no_sample(40, 5)
    for video, _, features in videos():
        everything, few = (add_to_sample(sample, features, video, 0) for sample in (everything, few))
    features = torch.cat([f for _, _, f in videos()])
    kept = vectors_of(everything)
    torch.testing.assert_close(kept.sort(0).values, features.sort(0).values)
    assert few.shape == (40, 6)
    torch.testing.assert_close(vectors_of(few), kept[:40], rtol=0, atol=0)


def test_every_vector_is_as_likely_to_be_kept():
    """A video of 300 vectors and one of 20: of 200 seeds, each gets its share of 32 places within 4 deviations."""
    long, short = torch.zeros(300, 1), torch.ones(20, 1)
    kept = []
    for seed in range(200):
        sample = add_to_sample(no_sample(32, 1), long, "long", seed)
        kept.append(float(vectors_of(add_to_sample(sample, short, "short", seed)).sum()))
    assert np.mean(kept) == pytest.approx(32 * 20 / 320, abs=4 * 1.35 / 200**0.5)


def test_a_sample_is_written_in_place_and_only_where_a_vector_goes():
    sample = no_sample(40, 5)
    for video, _, features in videos():
        before = sample.clone()
        assert add_to_sample(sample, features, video, 0) is sample
        written = (sample != before).any(1)
        assert written.sum() <= len(features)
    assert set(map(tuple, vectors_of(sample).tolist())) <= {tuple(v) for _, _, f in videos() for v in f.tolist()}


def test_merging_with_an_empty_sample_changes_nothing():
    sample = add_to_sample(no_sample(10, 5), draw(25), "a", 0)
    torch.testing.assert_close(merge_samples(torch.stack([no_sample(10, 5), sample])), sample, rtol=0, atol=0)
    assert len(vectors_of(no_sample(10, 5))) == 0


def test_subsets_are_repeatable_and_sides_may_differ_in_size():
    first, again, other = metric(), metric(), metric(seed=1)
    for found in (first, again, other):
        found.update(draw(100), real=True, video="a")
        found.update(draw(25, 1, 0.5), real=False, video="b")
    result = values(first.compute())
    assert result == values(again.compute()) != values(other.compute())
    assert (result["real"], result["generated"]) == (60, 25) and result["spread"] > 0
    assert result["distance"] == pytest.approx(mmd(draw(100), draw(25, 1, 0.5)), abs=4 * result["spread"])


def test_too_few_vectors_and_impossible_subsets_are_refused():
    found = metric()
    found.update(draw(30), real=True, video="a")
    found.update(draw(19), real=False, video="b")
    with pytest.raises(ValueError, match=r"19 generated samples \(expected at least 20: the size of a subset\)"):
        found.compute()
    with pytest.raises(ValueError, match=r"subset_size 61 \(expected 2 to limit, 60\)"):
        metric(subset_size=61)
