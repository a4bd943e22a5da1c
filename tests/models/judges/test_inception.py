"""Laws of FID's InceptionV3: the official tensors, TensorFlow's resize, blocks computed once more by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from torchmetrics.image.fid import FrechetInceptionDistance

from joyvasa.models.judges import load
from joyvasa.models.judges.inception import resize_tf1
from joyvasa.models.judges.loading import build


@pytest.fixture(scope="module")
def judge():
    return load("inception", "random:0")


def test_tensors_are_those_of_the_official_file(signature):
    """The CRC is that of torch-fidelity's network, which loads the same file strictly."""
    state = build("inception").state_dict()
    assert signature(build("inception")) == (566, 472, 662074295)
    assert state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["fc.weight"].shape == (1008, 2048) and not any(name.startswith("Aux") for name in state)


class ByHand:
    """Layers of a block, from its tensors and the formulas alone."""

    def __init__(self, judge, block):
        prefix = f"{block}."
        self.state = {
            name.removeprefix(prefix): tensor.double()
            for name, tensor in judge.state_dict().items()
            if name.startswith(prefix)
        }

    def __call__(self, x, name, padding=0):
        weight, norm = self.state[f"{name}.conv.weight"], f"{name}.bn"
        x = F.conv2d(x, weight, padding=padding)
        mean, variance, gain, shift = (
            self.state[f"{norm}.{each}"][:, None, None] for each in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.relu((x - mean) / (variance + 0.001).sqrt() * gain + shift)


def nine(x, beyond):
    """The nine neighbours of every pixel, (9, B, C, H, W); `beyond` outside the picture."""
    padded = F.pad(x, (1, 1, 1, 1), value=beyond)
    height, width = x.shape[2:]
    return torch.stack([padded[:, :, y : y + height, z : z + width] for y in range(3) for z in range(3)])


def test_the_first_mixed_block_averages_inside_the_picture(judge):
    x, hand = torch.rand(1, 192, 6, 5, generator=torch.Generator().manual_seed(0)), ByHand(judge, "Mixed_5b")
    x_d = x.double()
    mean = nine(x_d, 0.0).sum(0) / nine(torch.ones_like(x_d), 0.0).sum(0)
    expected = [
        hand(x_d, "branch1x1"),
        hand(hand(x_d, "branch5x5_1"), "branch5x5_2", 2),
        hand(hand(hand(x_d, "branch3x3dbl_1"), "branch3x3dbl_2", 1), "branch3x3dbl_3", 1),
        hand(mean, "branch_pool"),
    ]
    assert_close(judge.Mixed_5b(x), torch.cat(expected, 1).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "channels"), [("Mixed_7b", 1280), ("Mixed_7c", 2048)])
def test_the_last_two_blocks_differ_in_their_pool(judge, name, channels):
    x, hand = torch.rand(1, channels, 4, 3, generator=torch.Generator().manual_seed(0)), ByHand(judge, name)
    x_d = x.double()
    largest = nine(x_d, -torch.inf).amax(0)
    mean = nine(x_d, 0.0).sum(0) / nine(torch.ones_like(x_d), 0.0).sum(0)
    once = hand(x_d, "branch3x3_1")
    twice = hand(hand(x_d, "branch3x3dbl_1"), "branch3x3dbl_2", 1)
    expected = [
        hand(x_d, "branch1x1"),
        hand(once, "branch3x3_2a", (0, 1)),
        hand(once, "branch3x3_2b", (1, 0)),
        hand(twice, "branch3x3dbl_3a", (0, 1)),
        hand(twice, "branch3x3dbl_3b", (1, 0)),
        hand(largest if name == "Mixed_7c" else mean, "branch_pool"),
    ]
    assert_close(getattr(judge, name)(x), torch.cat(expected, 1).float(), rtol=1e-4, atol=1e-4)


def test_resizing_is_tensorflow_1s():
    """Corners fall onto each other, the last pixel is repeated, nothing is smoothed."""
    ramp = torch.arange(8.0).expand(1, 1, 6, 8)
    assert_close(resize_tf1(ramp, 16)[0, 0, 0], (torch.arange(16) / 2).clamp(max=7))
    assert_close(resize_tf1(ramp.mT, 16)[0, 0, :, 0], (torch.arange(16) / 2).clamp(max=7))
    fine = torch.rand(1, 3, 12, 20)
    assert torch.equal(resize_tf1(fine, 4), fine[:, :, ::3, ::5])
    square = torch.rand(1, 3, 7, 7)
    assert torch.equal(resize_tf1(square, 7), square)


def test_features_do_not_depend_on_the_layout_or_size_of_a_plain_picture(judge, noise):
    picture = noise(1, 40, 30, 3)
    found = judge.features(picture)
    assert found.shape == (1, 2048) and torch.equal(found, judge(picture.permute(0, 3, 1, 2)))
    small, large = (torch.full((1, side, side + 3, 3), 77, dtype=torch.uint8) for side in (10, 350))
    assert_close(judge.features(small), judge.features(large))
    assert (found - judge.features(small)).norm() > 0.02 * found.norm()


def test_torchmetrics_takes_the_network(judge, noise):
    metric, pictures = FrechetInceptionDistance(feature=judge), noise(1, 3, 30, 30)
    metric.update(pictures, real=True)
    assert_close(metric.real_features_sum, judge(pictures).double().sum(0))


def test_what_does_not_fit_is_refused(judge, noise):
    with pytest.raises(ValueError, match="torch.uint8"):
        judge.features(noise(1, 20, 20, 3) / 255)
    with pytest.raises(ValueError, match="expected .pictures, height, width, 3"):
        judge.features(noise(1, 3, 20, 20))
