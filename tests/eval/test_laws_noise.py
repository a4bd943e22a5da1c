"""The distances between distributions see noise: FVD, KVD, FID and KID rise from what is alike with every level of it.

The networks are the real classes with random weights: a number of theirs means nothing, but that it rises holds for any
network that has not lost its input on the way. I3D is thinned to a sixteenth, whole networks are `slow`.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from joyvasa.eval.feature_sample import vectors_of
from joyvasa.eval.frechet import FrechetDistance
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.models.judges import i3d, load, loading

CLIPS, FRAMES, SIDE = 6, 9, 48
LEVELS = (0, 4, 12, 36, 108)  # deviation of the noise, of bytes


def clips(seed: int, count: int = CLIPS) -> torch.Tensor:
    """Colours that flow into each other, uint8 (clips, frames, side, side, 3)."""
    coarse = torch.randint(0, 256, (count, 3, 4, 6, 6), generator=torch.Generator().manual_seed(seed)).float()
    smooth = F.interpolate(coarse, (FRAMES, SIDE, SIDE), mode="trilinear", align_corners=True)
    return smooth.permute(0, 2, 3, 4, 1).round().byte()


def noisy(video: torch.Tensor, level: float) -> torch.Tensor:
    grain = torch.randn(video.shape, generator=torch.Generator().manual_seed(7))
    return (video + level * grain).clamp(0, 255).round().byte()


def thin_i3d(seed: int):
    """I3D with a sixteenth of the channels, at least 2: all its layers, 400 features, a tenth of a second a clip."""

    def thinned(name: str, sizes: tuple) -> tuple:
        if name.startswith("MaxPool"):
            return sizes
        few = tuple(max(size // 16, 2) for size in sizes)
        return (few[0], *sizes[1:]) if name.startswith("Conv") else few

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(i3d, "LAYERS", {name: thinned(name, sizes) for name, sizes in i3d.LAYERS.items()})
        judge = loading.build("i3d")
    return loading._fill(judge, seed)


def distances(real_ND: torch.Tensor, generated_ND: torch.Tensor) -> dict[str, float]:
    """Both distances between two sets of features."""
    width, count = real_ND.shape[1], len(real_ND)
    metrics = {
        "frechet": FrechetDistance(features=width, ddof=0, minimum=2),
        "kernel": KernelDistance(features=width, limit=count, subsets=1, subset_size=count, seed=0),
    }
    for metric in metrics.values():
        metric.update(real_ND, real=True, video="recording")
        metric.update(generated_ND, real=False, video="imitation")
    return {name: float(metric.compute()["distance"]) for name, metric in metrics.items()}


def assert_rises(judge, video: torch.Tensor) -> None:
    real = judge.features(video)
    rows = [distances(real, judge.features(noisy(video, level))) for level in LEVELS]
    assert rows[0]["frechet"] == pytest.approx(0, abs=1e-9)
    for name in rows[0]:
        found = [row[name] for row in rows]
        assert all(low < high for low, high in zip(found, found[1:], strict=False)), (name, found)


def test_the_distance_of_clips_rises_with_noise():
    assert_rises(thin_i3d(0), clips(0))


def test_the_distance_of_clips_sees_that_nothing_moves():
    """Of one distribution is another draw of it, but not its own first frames, held."""
    judge, video = thin_i3d(0), clips(0)
    real = judge.features(video)
    another, held = (judge.features(each) for each in (clips(1), video[:, :1].expand_as(video)))
    for name, found in distances(real, held).items():
        assert found > 3 * abs(distances(real, another)[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["i3d", "i3d_videogpt"])
def test_the_distance_of_clips_rises_with_noise_at_full_size(entry):
    assert_rises(load(entry, "random:0"), clips(0, count=3))


@pytest.mark.slow
def test_the_distance_of_pictures_rises_with_noise_at_full_size():
    assert_rises(load("inception", "random:0"), clips(0, count=4)[:, 0])


def test_a_recording_and_its_imitation_are_sampled_apart():
    """Of one name and number of frames: kept together, what differs only a little would seem to differ not at all."""
    metric = KernelDistance(features=2, limit=20, subsets=1, subset_size=20, seed=0)
    frames = torch.arange(400.0).reshape(200, 2)
    for real in (True, False):
        metric.update(frames, real=real, video="interview")
    kept = [set(map(tuple, vectors_of(side).tolist())) for side in (metric.real, metric.generated)]
    assert len(kept[0]) == len(kept[1]) == 20 and len(kept[0] & kept[1]) < 10
