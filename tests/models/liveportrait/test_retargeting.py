"""Laws of stitching and retargeting: corrections are added where the official code adds them."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from joyvasa.models.liveportrait import load


def points(batch: int, seed: int = 0) -> torch.Tensor:
    return 0.4 * torch.randn(batch, 21, 3, generator=torch.Generator().manual_seed(seed))


def test_networks_that_say_nothing_change_nothing():
    made = load("random:0:small", "human", "S").retargeting
    for each in made.parameters():
        each.zero_()
    assert torch.equal(made.stitch(points(1), points(3, 1)), points(3, 1))
    assert not made.eye_delta(points(2), torch.rand(2, 3)).any()
    assert made.lip_delta(points(2), torch.rand(2, 2)).shape == (2, 21, 3)


def test_the_last_two_numbers_of_stitching_shift_all_in_x_and_y():
    made = load("random:0:small", "human", "S").retargeting
    for each in made.parameters():
        each.zero_()
    made.retarget_shoulder.mlp[-1].bias[-2:] = torch.tensor([0.5, -0.25])
    made.retarget_shoulder.mlp[-1].bias[5] = 1.0
    shift = made.stitch(points(1), points(2, 1)) - points(2, 1)
    expected = torch.tensor([0.5, -0.25, 0.0]).expand(2, 21, 3).clone()
    expected[:, 1, 2] += 1.0
    assert_close(shift, expected)


def test_one_source_serves_all_frames():
    made = load("random:0:small", "human", "S").retargeting
    frames, ratios = points(3, 1), torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    assert_close(made.stitch(points(1), frames), made.stitch(points(1).repeat(3, 1, 1), frames))
    assert_close(made.eye_delta(points(1), ratios), made.eye_delta(points(1).repeat(3, 1, 1), ratios))
