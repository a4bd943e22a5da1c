"""W, the warping network: the source's feature volume moved to where the driving keypoints say (LivePortrait 3.1).

B batch, K keypoints, C channels, D depth, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from joyvasa.models.liveportrait.blocks import ConvNorm
from joyvasa.models.liveportrait.dense_motion import DenseMotion, DenseMotionNetwork

LEAK = 0.01


@dataclass(frozen=True)
class Warped:
    """feature (B, block_expansion · 2 ** num_down_blocks, H, W): what G decodes, times the occlusion."""

    feature: Tensor
    motion: DenseMotion


class WarpingNetwork(nn.Module):
    """Feature volume of F and keypoints of source and driving -> `Warped`. Official: src/modules/warping_network.py."""

    def __init__(
        self,
        *,
        num_kp: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        reshape_channel: int,
        dense_motion_params: Mapping[str, int],
    ):
        super().__init__()
        width = block_expansion << num_down_blocks
        self.dense_motion_network = DenseMotionNetwork(
            num_kp=num_kp, feature_channel=reshape_channel, **dense_motion_params
        )
        self.third = ConvNorm(dims=2, inputs=max_features, outputs=width, leak=LEAK)
        self.fourth = nn.Conv2d(width, width, 1)

    def forward(self, feature_BCDHW: Tensor, source_BK3: Tensor, driving_BK3: Tensor) -> Warped:
        """feature and source may have batch 1: one picture for all driving keypoints (B, K, 3), float32."""
        batch = driving_BK3.shape[0]
        motion = self.dense_motion_network(feature_BCDHW, source_BK3.expand(batch, -1, -1), driving_BK3)
        volume = feature_BCDHW.float().expand(batch, -1, -1, -1, -1)
        warped = functional.grid_sample(volume, motion.deformation, align_corners=False)
        flat = warped.to(feature_BCDHW.dtype).flatten(1, 2)
        return Warped(self.fourth(self.third(flat)) * motion.occlusion, motion)
