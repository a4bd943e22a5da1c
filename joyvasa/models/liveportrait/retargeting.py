"""S: three small networks that correct keypoints (LivePortrait, sections 3.2 and 3.3): stitching, eyes, lips.

B batch, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EYE_RATIOS, LIP_RATIOS = 3, 2  # both eyes of the source and the wanted; the source's lips and the wanted
SHIFT = 2  # x and y of all keypoints


class Mlp(nn.Module):
    """Linear maps with ReLU between. Official: src/modules/stitching_retargeting_network.py."""

    def __init__(self, *, inputs: int, hidden: Sequence[int], outputs: int):
        super().__init__()
        widths = [inputs, *hidden]
        layers = [
            layer
            for before, after in zip(widths, widths[1:], strict=False)
            for layer in (nn.Linear(before, after), nn.ReLU())
        ]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x)


class Retargeting(nn.Module):
    """The three networks under their names in the official file. Arguments: keypoints, hidden widths of each.

    Sources may have batch 1. Everything is float32.
    """

    def __init__(self, *, num_kp: int, stitching: Sequence[int], eye: Sequence[int], lip: Sequence[int]):
        super().__init__()
        flat = 3 * num_kp
        self.retarget_shoulder = Mlp(inputs=2 * flat, hidden=stitching, outputs=flat + SHIFT)
        self.retarget_mouth = Mlp(inputs=flat + LIP_RATIOS, hidden=lip, outputs=flat)
        self.retarget_eye = Mlp(inputs=flat + EYE_RATIOS, hidden=eye, outputs=flat)

    @torch.no_grad()
    def stitch_delta(self, source_BK3: Tensor, driving_BK3: Tensor) -> Tensor:
        """(B, 3 K + 2): an offset of every driving keypoint, and of all in x and y."""
        return self.retarget_shoulder(_beside(source_BK3, driving_BK3.flatten(1)))

    @torch.no_grad()
    def stitch(self, source_BK3: Tensor, driving_BK3: Tensor) -> Tensor:
        """Driving keypoints (B, K, 3) corrected so that shoulders and surroundings stay where they are."""
        delta = self.stitch_delta(source_BK3, driving_BK3)
        stitched = driving_BK3 + delta[:, :-SHIFT].unflatten(1, driving_BK3.shape[1:])
        return stitched + nn.functional.pad(delta[:, -SHIFT:], (0, 1))[:, None]

    @torch.no_grad()
    def eye_delta(self, source_BK3: Tensor, ratios_B3: Tensor) -> Tensor:
        """(B, K, 3): offsets that bring the eyes from the source's closing ratios to the wanted one (the last)."""
        return self.retarget_eye(_beside(source_BK3, ratios_B3)).unflatten(1, source_BK3.shape[1:])

    @torch.no_grad()
    def lip_delta(self, source_BK3: Tensor, ratios_B2: Tensor) -> Tensor:
        """(B, K, 3): offsets that bring the lips from the source's closing ratio to the wanted one (the last)."""
        return self.retarget_mouth(_beside(source_BK3, ratios_B2)).unflatten(1, source_BK3.shape[1:])


def _beside(source_BK3: Tensor, other: Tensor) -> Tensor:
    return torch.cat([source_BK3.flatten(1).expand(len(other), -1), other], 1)
