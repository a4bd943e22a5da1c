"""W and G for CPUs: the same networks in less than half the time, by the convolutions of `fast_conv` and `fast_large`.

They take four times the memory for the 3 x 3 kernels and 150 MB for the 7 x 7 x 7 kernel, and differ from the plain
networks by rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from joyvasa.models.liveportrait.blocks import Up3d
from joyvasa.models.liveportrait.dense_motion import DenseMotionNetwork
from joyvasa.models.liveportrait.fast_conv import Enlarging, enlarging_volume, fast
from joyvasa.models.liveportrait.fast_large import Fourier, ToOneChannel
from joyvasa.models.liveportrait.generator import SLOPE, Spade, SpadeBlock

EPSILON = 1e-5  # of the instance norms


def normal(x_BCHW: Tensor) -> Tensor:
    """Instance norm, quick where channels lie innermost: the library's would turn the picture round and back."""
    centred = x_BCHW - x_BCHW.mean((2, 3), keepdim=True)
    return centred * (centred.square().mean((2, 3), keepdim=True) + EPSILON).rsqrt()


class FastSpade(nn.Module):
    """`Spade` of a picture `factor` times the guide's size, already `normal`: gain and offset by one convolution.

    after: a 1 x 1 convolution behind the norm, done with it. The offset goes through it beforehand, in the weights.
    """

    def __init__(self, spade: Spade, factor: int, after: nn.Conv2d | None = None):
        super().__init__()
        gamma, weight, bias = spade.mlp_gamma, spade.mlp_beta.weight, spade.mlp_beta.bias
        if after is not None:
            through = after.weight.flatten(1).double()
            weight = torch.einsum("oc,chij->ohij", through, weight.double()).float()
            bias = (through @ bias.double()).float()
        self.widths = (gamma.out_channels, len(bias))
        both = nn.Conv2d(gamma.in_channels, sum(self.widths), gamma.kernel_size, padding=gamma.padding)
        both.weight = nn.Parameter(torch.cat([gamma.weight, weight]), requires_grad=False)
        both.bias = nn.Parameter(torch.cat([gamma.bias + 1, bias]), requires_grad=False)
        self.shared = Enlarging(spade.mlp_shared[0], factor)
        self.both, self.after = fast(both), after

    def forward(self, even: Tensor, guide: Tensor) -> Tensor:
        gain, offset = self.both(self.shared(guide)).split(self.widths, 1)
        if self.after is None:
            return torch.addcmul(offset, even, gain)
        return self.after(even * gain) + offset


class FastSpadeBlock(nn.Module):
    """`SpadeBlock` for a picture `factor` times the guide's size; both norms of the input are computed once."""

    def __init__(self, block: SpadeBlock, factor: int):
        super().__init__()
        self.conv_0, self.conv_1 = fast(block.conv_0), fast(block.conv_1)
        self.norm_0, self.norm_1 = (FastSpade(norm, factor) for norm in (block.norm_0, block.norm_1))
        self.shortcut = FastSpade(block.norm_s, factor, block.conv_s) if block.widens else None

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        even = normal(x)
        inner = self.conv_0(functional.leaky_relu(self.norm_0(even, guide), SLOPE, inplace=True))
        inner = self.conv_1(functional.leaky_relu(self.norm_1(normal(inner), guide), SLOPE, inplace=True))
        return inner + (x if self.shortcut is None else self.shortcut(even, guide))


def quicken(network: nn.Module) -> None:
    """Put the fast convolutions into a network, in place. For float32 on a CPU, after norms are folded."""
    for name, part in list(network.named_modules()):
        if isinstance(part, Up3d) and isinstance(part.conv, nn.Conv3d):
            part.conv, part.enlarge = enlarging_volume(part.conv), nn.Identity()
        elif isinstance(part, DenseMotionNetwork) and isinstance(part.mask, nn.Conv3d):
            part.mask, part.occlusion = Fourier(part.mask), ToOneChannel(part.occlusion)
        elif isinstance(part, SpadeBlock):
            setattr(network, name, FastSpadeBlock(part, {"up_0": 2, "up_1": 4}.get(name, 1)))
    for part in list(network.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.Conv2d | nn.Conv3d):
                setattr(part, name, fast(child))
