"""InceptionV3 of 2015 as FID knows it (mseitzer/pytorch-fid's port of the TensorFlow graph): what is in a picture.

B pictures, C channels, H, W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from joyvasa.models.judges.judge import Judge, exact, expect

SIDE = 299  # pixels
WIDTH = 2048
CLASSES = 1008  # the file holds their layer, features leave before it
EPS = 1e-3
# A layer: outputs, kernel, stride. A branch: layers one after the other, or one list of layers side by side; branches
# stand side by side, in this order. What a pooled branch pools is said in `Mixed`.
Branches = dict[str, list]
TALL_AND_WIDE = [(384, (1, 3)), (384, (3, 1))]


def _block_a(pooled: int) -> Branches:
    return {
        "branch1x1": [(64, 1)],
        "branch5x5": [(48, 1), (64, 5)],
        "branch3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "branch_pool": [(pooled, 1)],
    }


def _block_c(inner: int) -> Branches:
    return {
        "branch1x1": [(192, 1)],
        "branch7x7": [(inner, 1), (inner, (1, 7)), (192, (7, 1))],
        "branch7x7dbl": [(inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))],
        "branch_pool": [(192, 1)],
    }


BLOCK_E: Branches = {
    "branch1x1": [(320, 1)],
    "branch3x3": [(384, 1), TALL_AND_WIDE],
    "branch3x3dbl": [(448, 1), (384, 3), TALL_AND_WIDE],
    "branch_pool": [(192, 1)],
}
BLOCK_B: Branches = {"branch3x3": [(384, 3, 2)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3, 2)]}
BLOCK_D: Branches = {
    "branch3x3": [(192, 1), (320, 3, 2)],
    "branch7x7x3": [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)],
}
MIXED: dict[str, Branches] = {
    "Mixed_5b": _block_a(32), "Mixed_5c": _block_a(64), "Mixed_5d": _block_a(64),
    "Mixed_6a": BLOCK_B, "Mixed_6b": _block_c(128), "Mixed_6c": _block_c(160), "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": BLOCK_D, "Mixed_7b": BLOCK_E, "Mixed_7c": BLOCK_E,
}  # fmt: skip


class InceptionV3(Judge):
    """Names of tensors are the official ones. torchvision's network has other weights and other pools."""

    num_features = WIDTH  # torchmetrics' FID asks for it

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        channels = 192
        for name, branches in MIXED.items():
            block = Mixed(channels, branches, pool_largest=name == "Mixed_7c")
            self.add_module(name, block)
            channels = block.outputs
        self.fc = nn.Linear(WIDTH, CLASSES)

    @exact
    def forward(self, image_B3HW: Tensor) -> Tensor:
        """uint8 RGB pictures (B, 3, H, W) of any size -> features (B, 2048), "pool3".

        As the TensorFlow graph prepares them, and torch-fidelity and torchmetrics (antialias=False) with it:
        `resize_tf1` to 299 by 299, then (x - 128) / 128. pytorch-fid itself resizes with half-pixel centres and maps
        0..255 to -1..1: its features differ a little.
        """
        image = expect("pictures", image_B3HW, "pictures", 3, "height", "width", dtype=torch.uint8)
        x = (resize_tf1(image.to(self.device).float(), SIDE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        for name in MIXED:
            x = getattr(self, name)(x)
        return x.mean((2, 3))

    def features(self, image_BHW3: Tensor) -> Tensor:
        """uint8 RGB pictures (B, H, W, 3) of any size -> (B, 2048), as `forward` makes them."""
        expect("pictures", image_BHW3, "pictures", "height", "width", 3, dtype=torch.uint8)
        return self(image_BHW3.permute(0, 3, 1, 2))


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Any, stride: int = 1, padding: Any = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side. A block of strides adds a largest-of-nine of its input, the others pool in a branch.

    There the mean is over what lies inside the picture, as in TensorFlow. pool_largest: officially the very last block
    takes the largest of nine instead, which is no slip of ours.
    """

    def __init__(self, inputs: int, branches: Branches, *, pool_largest: bool) -> None:
        super().__init__()
        self.pool_largest, self.outputs, self.branches = pool_largest, 0, {}
        for branch, steps in branches.items():
            self.branches[branch], channels = [], inputs
            for number, step in enumerate(steps, 1):
                name = branch if len(steps) == 1 else f"{branch}_{number}"
                side_by_side = step if isinstance(step, list) else [step]
                names = [name] if step is not side_by_side else [f"{name}{'ab'[each]}" for each in range(len(step))]
                for each, layer in zip(names, side_by_side, strict=True):
                    self.add_module(each, _unit(channels, *layer))
                self.branches[branch].append(names)
                channels = sum(layer[0] for layer in side_by_side)
            self.outputs += channels
        self.strided = "branch_pool" not in branches
        self.outputs += inputs if self.strided else 0

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for branch, steps in self.branches.items():
            seen = self._pooled(x) if branch == "branch_pool" else x
            for names in steps:
                seen = torch.cat([getattr(self, name)(seen) for name in names], 1)
            found.append(seen)
        if self.strided:
            found.append(F.max_pool2d(x, 3, stride=2))
        return torch.cat(found, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool_largest:
            return F.max_pool2d(x, 3, stride=1, padding=1)
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _unit(inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1) -> Unit:
    """In a block: without stride the size stays, with stride nothing is padded."""
    high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    return Unit(inputs, outputs, (high, wide), stride, (high // 2, wide // 2) if stride == 1 else 0)


def resize_tf1(image_BCHW: Tensor, side: int) -> Tensor:
    """float32 pictures of any size -> (B, C, side, side), bilinear as TensorFlow 1 resizes (align_corners=False).

    Pixel x of the result lies at x * W / side of the picture: corners, not centres, fall onto each other, and beyond
    the last pixel it is repeated. Nothing is smoothed before making smaller.
    """
    for axis in (3, 2):
        size = image_BCHW.shape[axis]
        place = torch.arange(side, dtype=torch.float32, device=image_BCHW.device) * (size / side)
        low = place.long()
        left, right = (image_BCHW.index_select(axis, each) for each in (low, (low + 1).clamp(max=size - 1)))
        share = (place - low).view([-1 if each == axis else 1 for each in range(4)])
        image_BCHW = left + (right - left) * share
    return image_BCHW
