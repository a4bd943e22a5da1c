"""G, the SPADE generator: a warped feature -> the picture (LivePortrait, section 3.1; Park et al. 2019).

B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
IMAGE_CHANNELS = 3


class Spade(nn.Module):
    """Instance norm of x whose gain and offset are read off a second feature, `guide`.

    x (B, channels, H, W), guide (B, guide, H', W') with H a multiple of H' -> (B, channels, H, W). Official: SPADE.
    """

    def __init__(self, *, channels: int, guide: int, hidden: int):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(guide, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        shared = self.mlp_shared(functional.interpolate(guide, size=x.shape[2:], mode="nearest"))
        return functional.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Two SPADE norms with a convolution behind each, beside a shortcut. Official: SPADEResnetBlock.

    The official convolutions are spectrally normalised; here the weights are as they come out of it.
    """

    def __init__(self, *, inputs: int, outputs: int, guide: int, hidden: int):
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, outputs, 3, padding=1)
        self.norm_0 = Spade(channels=inputs, guide=guide, hidden=hidden)
        self.norm_1 = Spade(channels=middle, guide=guide, hidden=hidden)
        self.widens = inputs != outputs
        if self.widens:
            self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(channels=inputs, guide=guide, hidden=hidden)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        shortcut = self.conv_s(self.norm_s(x, guide)) if self.widens else x
        inner = self.conv_0(functional.leaky_relu(self.norm_0(x, guide), SLOPE))
        return shortcut + self.conv_1(functional.leaky_relu(self.norm_1(inner, guide), SLOPE))


class SpadeGenerator(nn.Module):
    """Warped feature (B, C, H, W) -> picture (B, 3, 4 · upscale · H, 4 · upscale · W) in 0..1.

    C = min(max_features, block_expansion · 2 ** num_down_blocks); `out_channels` before the last convolution; `hidden`
    inside the SPADE norms; `middle_blocks` at the feature's size. Official: src/modules/spade_generator.py.
    """

    def __init__(
        self,
        *,
        upscale: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        out_channels: int,
        hidden: int,
        middle_blocks: int,
    ):
        super().__init__()
        guide = min(max_features, block_expansion << num_down_blocks)
        rest = {"guide": guide, "hidden": hidden}
        self.fc = nn.Conv2d(guide, 2 * guide, 3, padding=1)
        self.middle = [f"G_middle_{k}" for k in range(middle_blocks)]
        for name in self.middle:
            self.add_module(name, SpadeBlock(inputs=2 * guide, outputs=2 * guide, **rest))
        self.up_0 = SpadeBlock(inputs=2 * guide, outputs=guide, **rest)
        self.up_1 = SpadeBlock(inputs=guide, outputs=out_channels, **rest)
        last = nn.Conv2d(out_channels, IMAGE_CHANNELS * upscale**2, 3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(upscale))

    def logits(self, feature_BCHW: Tensor) -> Tensor:
        """The picture before the last sigmoid; precision is judged here, where nothing is saturated."""
        x = self.fc(feature_BCHW)
        for name in self.middle:
            x = getattr(self, name)(x, feature_BCHW)
        for block in (self.up_0, self.up_1):
            x = block(functional.interpolate(x, scale_factor=2), feature_BCHW)
        return self.conv_img(functional.leaky_relu(x, SLOPE))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(feature_BCHW))
