"""Laws of dense motion: nothing moves where keypoints stand still, and heat maps are Gaussians."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.liveportrait import load
from joyvasa.models.liveportrait.dense_motion import VARIANCE, DenseMotionNetwork, heat_maps, identity_grid

VOLUME = (4, 6, 5)
CPU = torch.device("cpu")


def points(batch: int, seed: int = 0) -> torch.Tensor:
    return 0.4 * torch.randn(batch, 21, 3, generator=torch.Generator().manual_seed(seed))


def test_the_grid_counts_x_y_z_from_end_to_end():
    grid = identity_grid(VOLUME, CPU)
    assert grid.shape == (*VOLUME, 3)
    assert grid[0, 0, 0].tolist() == [-1, -1, -1]
    assert grid[-1, -1, -1].tolist() == [1, 1, 1]
    assert grid[0, 0, 1].tolist() == [-0.5, -1, -1]
    assert_close(grid[0, 1, 0], torch.tensor([-1, -0.6, -1]))


def test_a_heat_map_is_a_gaussian_around_its_keypoint():
    distance = identity_grid(VOLUME, CPU) - points(2)[:, :, None, None, None]
    assert_close(heat_maps(points(2), VOLUME), torch.exp(-distance.square().sum(-1) / (2 * VARIANCE)))


def test_standing_keypoints_move_nothing():
    made = load("random:0:small", "human", "W")
    feature = torch.randn(1, *made.sizes.feature, generator=torch.Generator().manual_seed(0))
    motion = made.warp(feature, points(1), points(1)).motion
    assert_close(motion.deformation[0], identity_grid(made.sizes.feature[1:], CPU))
    assert_close(motion.mask.sum(1), torch.ones_like(motion.mask[:, 0]))


def test_a_voxel_moves_between_its_keypoints():
    """All keypoints shifted alike: every voxel comes from between where it is and the shift."""
    made, shift = load("random:0:small", "human", "W"), torch.tensor([0.1, -0.2, 0.05])
    feature = torch.randn(1, *made.sizes.feature, generator=torch.Generator().manual_seed(0))
    motion = made.warp(feature, points(1) + shift, points(1)).motion
    moved = (motion.deformation[0] - identity_grid(made.sizes.feature[1:], CPU)) / shift
    assert moved.min() > -1e-5 and moved.max() < 1 + 1e-5
    assert_close(moved[..., 0], 1 - motion.mask[0, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_positions_are_float32_under_autocast(dtype):
    torch.manual_seed(0)
    tiny = DenseMotionNetwork(
        num_kp=2, feature_channel=2, block_expansion=2, max_features=4, num_blocks=1, reshape_depth=2, compress=1
    ).eval()
    feature, source, driving = torch.randn(1, 2, 2, 8, 8), points(1)[:, :2], points(1, 1)[:, :2]
    exact = tiny(feature, source, driving)
    with torch.autocast("cpu", dtype):
        found = tiny(feature, source, driving)
    assert found.deformation.dtype == found.mask.dtype == torch.float32
    # What is left is the precision of the mask, not of positions.
    shifts = (source - driving).abs().sum()
    assert (found.deformation - exact.deformation).abs().max() <= shifts * (found.mask - exact.mask).abs().max() + 1e-6
