"""Convolutions with a batch norm behind them, and the hourglass: what F, W and their dense motion are built of.

Names of parameters are those of the official files (src/modules/util.py of LivePortrait). Networks are for inference:
`fold` merges a batch norm into the convolution before it, which changes the output by rounding alone.

B batch, C channels, D depth, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

KERNEL = 3


class ConvNorm(nn.Module):
    """Convolution over the last `dims` axes, batch norm, leaky ReLU of slope `leak` (0: ReLU).

    (B, inputs, …) -> (B, outputs, …), same height and width. Official: SameBlock2d.
    """

    def __init__(self, *, dims: int, inputs: int, outputs: int, leak: float = 0.0):
        super().__init__()
        conv, norm = {2: (nn.Conv2d, nn.BatchNorm2d), 3: (nn.Conv3d, nn.BatchNorm3d)}[dims]
        self.conv = conv(inputs, outputs, KERNEL, padding=KERNEL // 2)
        self.norm = norm(outputs)
        self.leak = leak

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.norm(self.conv(x)), self.leak, inplace=True)

    def fold(self) -> None:
        fold_norm(self, "conv", "norm")


class Down2d(ConvNorm):
    """ConvNorm, then half the height and width. Official: DownBlock2d."""

    def __init__(self, *, inputs: int, outputs: int):
        super().__init__(dims=2, inputs=inputs, outputs=outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(super().forward(x), 2)


class Down3d(ConvNorm):
    """ConvNorm, then half the height and width, not the depth. Official: DownBlock3d."""

    def __init__(self, *, inputs: int, outputs: int):
        super().__init__(dims=3, inputs=inputs, outputs=outputs)

    def forward(self, x: Tensor) -> Tensor:
        volume = super().forward(x)
        # Depth among the channels: the three-dimensional pooling knows no half precision on a CPU.
        return functional.avg_pool2d(volume.flatten(1, 2), 2).unflatten(1, volume.shape[1:3])


class Up3d(ConvNorm):
    """Twice the height and width by repetition, then ConvNorm. Official: UpBlock3d."""

    def __init__(self, *, inputs: int, outputs: int):
        super().__init__(dims=3, inputs=inputs, outputs=outputs)
        self.enlarge: nn.Module = nn.Upsample(scale_factor=(1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.enlarge(x))


class Residual3d(nn.Module):
    """x + conv2(ReLU(norm2(conv1(ReLU(norm1(x)))))). Official: ResBlock3d."""

    def __init__(self, *, channels: int):
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, KERNEL, padding=KERNEL // 2)
        self.conv2 = nn.Conv3d(channels, channels, KERNEL, padding=KERNEL // 2)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(functional.relu(self.norm1(x)))
        return x + self.conv2(functional.relu(self.norm2(inner)))

    def fold(self) -> None:
        fold_norm(self, "conv1", "norm2")


class Encoder(nn.Module):
    """(B, inputs, D, H, W) -> it and ever smaller volumes, widths base · 2, · 4 … up to `widest`."""

    def __init__(self, *, inputs: int, base: int, widest: int, blocks: int):
        super().__init__()
        widths = [inputs, *(min(widest, base << (k + 1)) for k in range(blocks))]
        self.down_blocks = nn.ModuleList(
            Down3d(inputs=before, outputs=after) for before, after in zip(widths, widths[1:], strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        volumes = [x]
        for block in self.down_blocks:
            volumes.append(block(volumes[-1]))
        return volumes


class Decoder(ConvNorm):
    """The encoder's volumes -> (B, base + inputs, D, H, W): up, beside what went down, and a last ConvNorm."""

    def __init__(self, *, inputs: int, base: int, widest: int, blocks: int):
        super().__init__(dims=3, inputs=base + inputs, outputs=base + inputs)
        levels = range(blocks - 1, -1, -1)
        self.up_blocks = nn.ModuleList(
            Up3d(
                inputs=min(widest, base << (level + 1)) * (1 if level == blocks - 1 else 2),
                outputs=min(widest, base << level),
            )
            for level in levels
        )

    def forward(self, volumes: list[Tensor]) -> Tensor:
        *skips, x = volumes
        for block, skip in zip(self.up_blocks, reversed(skips), strict=True):
            x = torch.cat([block(x), skip], 1)
        return super().forward(x)


class Hourglass(nn.Module):
    """(B, inputs, D, H, W) -> (B, base + inputs, D, H, W); height and width divisible by 2 ** blocks.

    Official: Hourglass.
    """

    def __init__(self, *, inputs: int, base: int, widest: int, blocks: int):
        super().__init__()
        self.encoder = Encoder(inputs=inputs, base=base, widest=widest, blocks=blocks)
        self.decoder = Decoder(inputs=inputs, base=base, widest=widest, blocks=blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def fold_norm(owner: nn.Module, conv: str, norm: str) -> None:
    """Merge batch norm `norm` of `owner` into the convolution `conv` before it, in place; nothing for a merged one."""
    before, after = getattr(owner, conv), getattr(owner, norm)
    if isinstance(after, nn.Identity):
        return
    tensors = (before.weight, before.bias, after.running_mean, after.running_var)
    exact = (each.double() for each in tensors)  # so that it is rounded once
    merged = fuse_conv_bn_weights(*exact, after.eps, after.weight.double(), after.bias.double())
    before.weight, before.bias = (nn.Parameter(each.to(before.weight.dtype), requires_grad=False) for each in merged)
    setattr(owner, norm, nn.Identity())


def fold_norms(network: nn.Module) -> None:
    """`fold` every part of a network that has something to fold, in place. For evaluation mode alone."""
    for part in list(network.modules()):
        if part is not network and hasattr(part, "fold"):
            part.fold()
