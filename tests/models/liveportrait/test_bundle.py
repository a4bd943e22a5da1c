"""Laws of the five networks together: one at a time as in a batch, precise where it counts, pictures that are some."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.liveportrait import LivePortrait, load
from joyvasa.models.liveportrait.sizes import SMALL, Sizes
from joyvasa.motion import CHANNELS, KEYPOINTS, transform_keypoints

RUNTIME = {"device": "cpu", "dtype": torch.float32, "channels_last": False, "compile": False}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(count: int) -> Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)


def keypoints(made: LivePortrait, count: int) -> tuple[Tensor, Tensor]:
    """Of a source, and of so many driving frames around it."""
    source = transform_keypoints(*made.motion(pictures(1)))
    return source, source + 0.05 * noise(count, KEYPOINTS, 3)


@pytest.fixture
def made() -> LivePortrait:
    return load("random:0:small", "human")


def test_sizes_and_types(made):
    canonical, motion = made.motion(pictures(2))
    assert canonical.shape == (2, KEYPOINTS, 3) and motion.shape == (2, CHANNELS)
    source, driving = keypoints(made, 3)
    picture = made.decode(made.features(pictures(1)), source, driving)
    assert picture.shape == (3, 3, made.output_px, made.output_px) and picture.dtype == torch.float32
    assert made.features(pictures(2)).shape == (2, *made.sizes.feature)
    assert not picture.requires_grad


def test_a_picture_of_another_size_is_refused(made):
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 64\) \(expected \(batch, 3, 64, 64\)"):
        made.motion(torch.zeros(1, 3, 32, 64))


def test_one_source_for_many_frames_is_many_sources(made):
    """A feature of batch 1, repeated, and frame by frame: the same pictures."""
    source, driving = keypoints(made, 3)
    feature = made.features(pictures(1))
    together = made.decode(feature, source, driving)
    assert_close(together, made.decode(feature.repeat(3, 1, 1, 1, 1), source.repeat(3, 1, 1), driving))
    alone = [made.decode(feature, source, driving[k : k + 1]) for k in range(3)]
    assert_close(together, torch.cat(alone))


def test_sources_of_a_video_keep_to_their_frames(made):
    features = made.features(pictures(2))
    source, driving = keypoints(made, 2)
    sources = torch.cat([source, source + 0.02])
    both = made.decode(features, sources, driving)
    for k in range(2):
        assert_close(both[k], made.decode(features[k : k + 1], sources[k : k + 1], driving[k : k + 1])[0])


@pytest.mark.parametrize(("channels_last", "exact"), [(False, False), (True, False), (False, True)])
def test_made_ready_the_networks_give_the_same(made, channels_last, exact, monkeypatch):
    monkeypatch.setattr("joyvasa.models.liveportrait.fast_conv.WORTH", 8)
    feature, (source, driving) = made.features(pictures(2))[:1], keypoints(made, 2)
    before = made.decode(feature, source, driving)
    ready = load("random:0:small", "human").to_runtime(**RUNTIME | {"channels_last": channels_last, "exact": exact})
    assert_close(ready.features(pictures(2))[:1], feature, atol=2e-5, rtol=2e-5)
    assert_close(ready.decode(feature, source, driving), before, atol=2e-5, rtol=2e-5)
    assert_close(ready.motion(pictures(2)), made.motion(pictures(2)))


def tiny(dtype: torch.dtype) -> LivePortrait:
    """Two keypoints and a volume of 2 x 8 x 8: half precision is slow on a CPU that has no instructions for it."""
    dense = {"block_expansion": 2, "max_features": 4, "num_blocks": 1, "reshape_depth": 2, "compress": 1}
    changes = {
        "F": {"block_expansion": 4, "max_features": 8, "reshape_channel": 4, "reshape_depth": 2},
        "W": {"num_kp": 2, "block_expansion": 2, "max_features": 8, "reshape_channel": 4, "dense_motion_params": dense},
        "G": {"block_expansion": 2, "max_features": 8, "out_channels": 4, "hidden": 4, "middle_blocks": 1},
    }
    networks = {letter: {**SMALL.networks[letter], **changes.get(letter, {})} for letter in "FMWG"}
    made = load("random:0", "human", "FMWG", Sizes(input_px=32, networks=networks))
    return made.to_runtime(**RUNTIME | {"dtype": dtype})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_keypoints_and_grids_stay_float32_in_half_precision(dtype):
    exact, half, image = tiny(torch.float32), tiny(dtype), pictures(1)[..., ::2, ::2]
    assert_close(half.motion(image), exact.motion(image), atol=0, rtol=0)
    source, driving = 0.5 * noise(1, 2, 3), 0.5 * noise(2, 2, 3, seed=1)
    features = [made.features(image) for made in (exact, half)]
    assert features[1].dtype == dtype
    expected, found = exact.warp(features[0], source, driving), half.warp(features[1], source, driving)
    assert found.feature.dtype == dtype
    assert found.motion.deformation.dtype == found.motion.mask.dtype == torch.float32
    # What is left is the precision of the mask, not of positions.
    apart = (found.motion.deformation - expected.motion.deformation).abs().max()
    assert apart <= (source - driving).abs().sum() * (found.motion.mask - expected.motion.mask).abs().max() + 1e-6
    pictures_of = [made.decode(feature, source, driving) for made, feature in zip((exact, half), features, strict=True)]
    assert pictures_of[1].dtype == torch.float32
    assert (pictures_of[1] - pictures_of[0]).abs().mean() < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_make_pictures_that_move(seed):
    made = load(f"random:{seed}:small", "human")
    source, driving = keypoints(made, 2)
    picture = made.decode(made.features(pictures(1)), source, driving)
    assert 0.3 < picture.mean() < 0.7 and picture.std() > 0.1
    assert ((picture < 0.02) | (picture > 0.98)).float().mean() < 0.1
    assert (picture[0] - picture[1]).abs().mean() > 1e-3
    _, motion = made.motion(pictures(2))
    assert motion.abs().max() < 20


def test_an_unknown_type_is_refused(made):
    with pytest.raises(ValueError, match="float64: choose from"):
        made.to_runtime(**RUNTIME | {"dtype": torch.float64})


def test_networks_made_ready_twice_are_the_same_or_refused(made):
    feature, (source, driving) = made.features(pictures(1)), keypoints(made, 1)
    made.to_runtime(**RUNTIME)
    first = made.decode(feature, source, driving)
    assert torch.equal(made.to_runtime(**RUNTIME).decode(feature, source, driving), first)
    with pytest.raises(ValueError, match="load it again"):
        made.to_runtime(**RUNTIME | {"dtype": torch.bfloat16})
