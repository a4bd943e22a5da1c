"""M, the motion extractor: a picture of a face -> canonical keypoints, pose, expression (LivePortrait, section 3.1).

A ConvNeXt V2 (Woo et al. 2023) with seven linear heads. B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6  # of every norm, as published


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response norm of (B, H, W, C): gamma · (x · n) + beta + x, n a channel's L2 norm over the picture by their
    mean over channels (ConvNeXt V2, equations 1 to 4)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        return self.gamma * (x * (norm / (norm.mean(-1, keepdim=True) + EPS))) + self.beta + x


class Block(nn.Module):
    """Depthwise 7 x 7, layer norm, two linear maps over four times the channels with GELU and response norm between."""

    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        inner = self.pwconv2(self.grn(functional.gelu(self.pwconv1(inner))))
        return x + inner.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """(B, 3, H, W) -> the raw heads by official name, see `MotionExtractor`. Official: src/modules/convnextv2.py."""

    def __init__(self, *, num_kp: int, depths: Sequence[int], dims: Sequence[int], num_bins: int):
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, stride=4), LayerNorm2d(dims[0], eps=EPS))
        smaller = (
            nn.Sequential(LayerNorm2d(before, eps=EPS), nn.Conv2d(before, after, 2, stride=2))
            for before, after in zip(dims, dims[1:], strict=False)
        )
        self.downsample_layers = nn.ModuleList([stem, *smaller])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(channels) for _ in range(depth)))
            for depth, channels in zip(depths, dims, strict=True)
        )
        self.norm = nn.LayerNorm(dims[-1], eps=EPS)
        self.fc_kp = nn.Linear(dims[-1], 3 * num_kp)
        self.fc_scale = nn.Linear(dims[-1], 1)
        self.fc_pitch = nn.Linear(dims[-1], num_bins)
        self.fc_yaw = nn.Linear(dims[-1], num_bins)
        self.fc_roll = nn.Linear(dims[-1], num_bins)
        self.fc_t = nn.Linear(dims[-1], 3)
        self.fc_exp = nn.Linear(dims[-1], 3 * num_kp)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for smaller, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(smaller(x))
        # Within autocast too: keypoints and angles of 8 bits would shake.
        with torch.autocast(x.device.type, enabled=False):
            pooled = self.norm(x.to(self.norm.weight.dtype).mean((-2, -1)))
            return {name: getattr(self, f"fc_{name}")(pooled) for name in HEADS}


HEADS = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")


class MotionExtractor(nn.Module):
    """(B, 3, H, W) in 0..1 -> raw heads: pitch, yaw, roll (B, num_bins) logits; t (B, 3); exp, kp (B, 3 num_kp); scale
    (B, 1). Official: src/modules/motion_extractor.py."""

    def __init__(self, *, num_kp: int, depths: Sequence[int], dims: Sequence[int], num_bins: int):
        super().__init__()
        self.detector = ConvNeXt(num_kp=num_kp, depths=depths, dims=dims, num_bins=num_bins)

    def forward(self, image_B3HW: Tensor) -> dict[str, Tensor]:
        return self.detector(image_B3HW)
