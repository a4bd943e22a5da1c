"""Dense motion inside W: from the moves of 21 keypoints to where every voxel comes from.

Positions, heat maps and grids are float32 whatever the type of the weights: in bfloat16 a coordinate near the border
would be off by a quarter of a voxel.

B batch, K keypoints, N = K + 1 with the background first, C channels, D depth, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from joyvasa.models.liveportrait.blocks import Hourglass, fold_norm

VARIANCE = 0.01  # of the keypoints' heat maps, in squared units of half the volume


@dataclass(frozen=True)
class DenseMotion:
    """deformation (B, D, H, W, 3) float32: the source position x, y, z in -1..1 of every voxel.

    occlusion (B, 1, H, W) in 0..1: what of the warped feature is seen. mask (B, N, D, H, W) float32: how much a voxel
    follows each keypoint, sum 1 over N.
    """

    deformation: Tensor
    occlusion: Tensor
    mask: Tensor


def axes(volume: tuple[int, int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (W,), (H,), (D,) from -1 to 1, ends included, of a volume (D, H, W)."""
    depth, height, width = volume
    # Not linspace: this rounds as the published code does.
    return tuple(
        2 * (torch.arange(n, dtype=torch.float32, device=device) / (n - 1)) - 1 for n in (width, height, depth)
    )


def identity_grid(volume: tuple[int, int, int], device: torch.device) -> Tensor:
    """(D, H, W, 3): the position x, y, z of every voxel. Official: make_coordinate_grid."""
    x, y, z = axes(volume, device)
    return torch.stack(torch.broadcast_tensors(x, y[:, None], z[:, None, None]), -1)


def heat_maps(keypoints_BK3: Tensor, volume: tuple[int, int, int]) -> Tensor:
    """(B, K, D, H, W): exp(-|voxel - keypoint|² / (2 · 0.01)), as the product over the axes. Official: kp2gaussian."""
    x, y, z = (
        torch.exp((position - keypoints_BK3[..., axis, None]) ** 2 * (-0.5 / VARIANCE))
        for axis, position in enumerate(axes(volume, keypoints_BK3.device))
    )
    return z[..., :, None, None] * (y[..., :, None] * x[..., None, :])[..., None, :, :]


class DenseMotionNetwork(nn.Module):
    """Feature volume and keypoints -> `DenseMotion`. Official: src/modules/dense_motion.py."""

    def __init__(
        self,
        *,
        num_kp: int,
        feature_channel: int,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        reshape_depth: int,
        compress: int,
    ):
        super().__init__()
        inputs = (num_kp + 1) * (compress + 1)
        outputs = block_expansion + inputs
        self.hourglass = Hourglass(inputs=inputs, base=block_expansion, widest=max_features, blocks=num_blocks)
        self.mask = nn.Conv3d(outputs, num_kp + 1, 7, padding=3)
        self.compress = nn.Conv3d(feature_channel, compress, 1)
        self.norm = nn.BatchNorm3d(compress)
        self.occlusion = nn.Conv2d(outputs * reshape_depth, 1, 7, padding=3)

    def fold(self) -> None:
        fold_norm(self, "compress", "norm")

    def forward(self, feature_BCDHW: Tensor, source_BK3: Tensor, driving_BK3: Tensor) -> DenseMotion:
        volume = tuple(feature_BCDHW.shape[2:])
        grid = identity_grid(volume, source_BK3.device)
        small = functional.relu(self.norm(self.compress(feature_BCDHW)))
        shift_BN3 = functional.pad(source_BK3 - driving_BK3, (0, 0, 1, 0))
        moved = self._moved(small, grid, shift_BN3)
        heat = heat_maps(driving_BK3, volume) - heat_maps(source_BK3, volume)
        heat = functional.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0)).to(moved.dtype)
        seen = self.hourglass(torch.cat([heat[:, :, None], moved], 2).flatten(1, 2))
        mask = self.mask(seen).float().softmax(1)
        with torch.autocast(grid.device.type, enabled=False):
            deformation = grid + torch.einsum("bndhw,bnc->bdhwc", mask, shift_BN3)
        return DenseMotion(deformation, torch.sigmoid(self.occlusion(seen.flatten(1, 2))), mask)

    @staticmethod
    def _moved(small_BCDHW: Tensor, grid: Tensor, shift_BN3: Tensor) -> Tensor:
        """The feature moved as a whole by every shift, (B, N, C, D, H, W).

        The shifted grids lie one behind the other in depth: one sampling, and the feature is not repeated for each.
        """
        batch, count, _ = shift_BN3.shape
        grids = (grid + shift_BN3[:, :, None, None, None]).flatten(1, 2)
        moved = functional.grid_sample(small_BCDHW.float().expand(batch, -1, -1, -1, -1), grids, align_corners=False)
        return moved.unflatten(2, (count, -1)).transpose(1, 2).to(small_BCDHW.dtype)
