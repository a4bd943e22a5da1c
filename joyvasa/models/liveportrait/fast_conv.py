"""Convolutions with fewer multiplications, for CPUs, whose matrix products are the limit. They differ from the plain
ones by rounding.

`Winograd`: 3 x 3 kernels by F(4 x 4, 3 x 3) (Lavin and Gray 2016), 4 times fewer. A picture is cut into tiles of 6 x 6
that overlap by 2; tile and kernel are transformed, multiplied place by place (a matrix product over channels), and
transformed back. A third axis, depth, is summed tap by tap.

After an enlargement by repetition, neighbours under a kernel are often the same number: `Enlarging` and
`enlarging_volume` add up the weights beforehand.

B batch, C channels in, O out, D depth, H height, W width, P = 36 places of a transformed tile, N = D · B pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
         (0, 4, 0, -5, 0, 1))  # fmt: skip
KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # in 24ths
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
TILE, STEP, SIZE, PAD = 6, 4, 3, 1
CHUNK_BYTES = 16_000_000  # of transformed tiles at a time: they stay in the processor's cache
WORTH = 32  # channels in and out from which on the transforms cost less than they save
WORTH_VOLUME, WIDEST_VOLUME = 64, 256  # wider volumes are small, and reading the larger kernels costs more


def _forward(lines_ASL: Tensor) -> Tensor:
    """INPUT along S = 4 n + 2 -> (6, A, n, L)."""
    last = lines_ASL.shape[1] - TILE + 1
    a, b, c, d, e, f = (lines_ASL[:, k : k + last : STEP] for k in range(TILE))
    even, odd, near, far = e - 4 * c, d - 4 * b, e - c, 2 * (d - b)
    return torch.stack((4 * a - 5 * c + e, even + odd, even - odd, near + far, near - far, 4 * b - 5 * d + f))


def _backward(places_6L: Tensor) -> Tensor:
    """OUTPUT: (6, L) -> (4, L)."""
    a, b, c, d, e, f = places_6L
    even, odd, far, farther = b + c, b - c, d + e, d - e
    return torch.stack((a + even + far, odd + 2 * farther, even + 4 * far, odd + 8 * farther + f))


def _backward_last(places_46TO: Tensor, bias_O: Tensor) -> Tensor:
    """OUTPUT along the second axis, and the bias: (4, 6, T, O) -> (4, T, 4, O)."""
    a, b, c, d, e, f = places_46TO.unbind(1)
    even, odd, far, farther = b + c, b - c, d + e, d - e
    return torch.stack((a + even + far, odd + 2 * farther, even + 4 * far, odd + 8 * farther + f), 2) + bias_O


class _Sums:
    """The transforms written as sums along one axis after the other; `wrap` compiles them, else they would be slow."""

    def __init__(self, wrap: Callable[[Callable], Callable]):
        self.forward, self.backward, self.last = wrap(_forward), wrap(_backward), wrap(_backward_last)

    def into(self, framed_NHWC: Tensor) -> Tensor:
        pictures, height, width, inputs = framed_NHWC.shape
        across = self.forward(framed_NHWC.view(pictures * height, width, inputs))  # (6, N · H, columns, C)
        both = self.forward(across.view(TILE * pictures, height, -1))
        return both.view(TILE * TILE, -1, inputs)

    def back(self, places_PTO: Tensor, bias_O: Tensor) -> Tensor:
        _, tiles, outputs = places_PTO.shape
        rows = self.backward(places_PTO.view(TILE, -1)).view(STEP, TILE, tiles, outputs)
        return self.last(rows, bias_O.detach())  # For every size of a parameter there would be a compilation.


class _Products:
    """The transforms as matrix products: without a compiler, the way that passes over memory least often."""

    def __init__(self) -> None:
        rows_in, rows_out = (torch.tensor(rows, dtype=torch.float32) for rows in (INPUT, OUTPUT))
        self.input_PP, self.output_QP = torch.kron(rows_in, rows_in), torch.kron(rows_out, rows_out)

    def into(self, framed_NHWC: Tensor) -> Tensor:
        tiles = framed_NHWC.unfold(1, TILE, STEP).unfold(2, TILE, STEP).permute(4, 5, 0, 1, 2, 3)
        return (self.input_PP @ tiles.reshape(TILE * TILE, -1)).view(TILE * TILE, -1, framed_NHWC.shape[-1])

    def back(self, places_PTO: Tensor, bias_O: Tensor) -> Tensor:
        y = (self.output_QP @ places_PTO.flatten(1)).view(STEP, STEP, *places_PTO.shape[1:])
        return y.transpose(1, 2).add(bias_O)


EAGER, COMPILED = _Products(), _Sums(lambda sums: torch.compile(sums, dynamic=True))


def _multiply(places_PTC: Tensor, kernel_DPCO: Tensor, plane: int) -> Tensor:
    """(P, T, O), summed over the taps of the depth, which is the outermost part of T: `plane` tiles each."""
    middle = len(kernel_DPCO) // 2
    total = torch.bmm(places_PTC, kernel_DPCO[middle])
    if middle and plane < total.shape[1]:
        total[:, plane:].baddbmm_(places_PTC[:, :-plane], kernel_DPCO[0])
        total[:, :-plane].baddbmm_(places_PTC[:, plane:], kernel_DPCO[2])
    return total


def _convolve(x: Tensor, kernel: Tensor, bias: Tensor, how: _Sums | _Products) -> Tensor:
    """As many rows of tiles at once as stay in the cache; the result lies with its channels innermost."""
    batch, inputs, depth, height, width = x.shape
    outputs = kernel.shape[-1]
    high, wide = -(-height // STEP), -(-width // STEP)
    pictures = x.permute(2, 0, 3, 4, 1).flatten(0, 1)
    made = x.new_empty(batch, depth, high, STEP, wide, STEP, outputs)
    rows = max(1, min(high, CHUNK_BYTES // (4 * TILE * TILE * max(inputs, outputs) * batch * depth * wide)))
    for top in range(0, high, rows):
        last = min(top + rows, high)
        first, end = max(0, top * STEP - PAD), min(height, last * STEP + PAD)
        framed = x.new_zeros(len(pictures), (last - top) * STEP + 2 * PAD, wide * STEP + 2 * PAD, inputs)
        offset = first - top * STEP + PAD
        framed[:, offset : offset + end - first, PAD : PAD + width] = pictures[:, first:end]
        places = _multiply(how.into(framed), kernel, batch * (last - top) * wide)
        y = how.back(places, bias).view(STEP, depth, batch, last - top, wide, STEP, outputs)
        made[:, :, top:last] = y.permute(2, 1, 3, 0, 4, 5, 6)
    return made.flatten(4, 5).flatten(2, 3)[:, :, :height, :width].permute(0, 4, 1, 2, 3)


@torch.library.custom_op("joyvasa::winograd", mutates_args=())
def winograd(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`_convolve` as one operation for the compiler, which would unroll it otherwise: x (B, C, D, H, W)."""
    return _convolve(x, kernel, bias, COMPILED)


@winograd.register_fake
def _(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    batch, _, depth, height, width = x.shape
    sides = (-(-side // STEP) * STEP for side in (height, width))
    whole = x.new_empty(batch, depth, *sides, kernel.shape[-1])
    return whole[:, :, :height, :width].permute(0, 4, 1, 2, 3)


class Winograd(nn.Module):
    """A 3 x 3 (x 3) convolution layer of stride 1 and padding 1, in float32: (B, C, …) -> (B, O, …), same sides."""

    def __init__(self, conv: nn.Conv2d | nn.Conv3d):
        super().__init__()
        weight = conv.weight.detach().double()
        weight = weight.unsqueeze(2) if weight.ndim == 4 else weight
        kernel_63 = torch.tensor(KERNEL, dtype=torch.float64) / 24
        kernel = torch.einsum("pi,ocdij,qj->dpqco", kernel_63, weight, kernel_63).flatten(1, 2)
        self.register_buffer("kernel", kernel.float().contiguous())  # (taps in depth, P, C, O)
        self.bias = nn.Parameter(weight.new_zeros(len(weight)).float()) if conv.bias is None else conv.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return self.forward(x[:, :, None])[:, :, 0]
        if torch.compiler.is_compiling():
            return winograd(x, self.kernel, self.bias)
        return _convolve(x, self.kernel, self.bias, EAGER)


def fast(conv: nn.Conv2d | nn.Conv3d) -> nn.Module:
    """`conv` by Winograd's algorithm where that pays, else itself."""
    plain = conv.stride[-1] == 1 and conv.groups == 1 and conv.padding[-1] == PAD
    volume = isinstance(conv, nn.Conv3d)
    worth = min(conv.in_channels, conv.out_channels) >= (WORTH_VOLUME if volume else WORTH)
    if volume:
        worth = worth and conv.kernel_size[0] == SIZE and max(conv.in_channels, conv.out_channels) <= WIDEST_VOLUME
    return Winograd(conv) if conv.kernel_size[-1] == SIZE and plain and worth else conv


class Enlarging(nn.Module):
    """Every pixel repeated `factor` times in both directions, then a 3 x 3 convolution and ReLU; done before repeating.

    (B, C, H, W) -> (B, O, factor · H, factor · W). An output pixel sees at most two pixels of the original in each
    direction; of the `factor` phases a pixel can have, those in the middle see one alone and are equal.
    """

    def __init__(self, conv: nn.Conv2d, factor: int):
        super().__init__()
        phases = sorted({self.seen(phase, factor) for phase in range(factor)})
        self.factor = factor
        self.count = len(phases)
        self.register_buffer("phase", torch.tensor([phases.index(self.seen(k, factor)) for k in range(factor)]))
        # sums[a, k, t] = 1: in phase a, tap t of the kernel falls on pixel k - 1 of the original.
        sums = torch.tensor([[[float(pixel == k) for pixel in seen] for k in (-1, 0, 1)] for seen in phases])
        weight = torch.einsum("akt,bls,octs->abockl", sums.double(), sums.double(), conv.weight.detach().double())
        low = nn.Conv2d(conv.in_channels, self.count**2 * conv.out_channels, SIZE, padding=PAD)
        low.weight = nn.Parameter(weight.flatten(0, 2).float(), requires_grad=False)
        low.bias = nn.Parameter(conv.bias.detach().repeat(self.count**2), requires_grad=False)
        self.conv = fast(low)

    @staticmethod
    def seen(phase: int, factor: int) -> tuple[int, ...]:
        """Original pixel, relative to the phase's own, below each of the three taps."""
        return tuple((phase + tap) // factor for tap in (-1, 0, 1))

    def forward(self, x: Tensor) -> Tensor:
        # With the channels innermost, as they lie in a picture of `Winograd`.
        y = functional.relu(self.conv(x)).permute(0, 2, 3, 1).unflatten(3, (self.count, self.count, -1))
        y = y.index_select(3, self.phase).index_select(4, self.phase)
        return y.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def enlarging_volume(conv: nn.Conv3d) -> nn.ConvTranspose3d:
    """Twice the height and width by repetition, then the 3 x 3 x 3 `conv`: one transposed convolution, 4 / 9 of it."""
    weight = conv.weight.detach().double()
    flipped = weight.flip(2, 3, 4).transpose(0, 1)
    box = functional.pad(flipped, (0, 1, 0, 1)) + functional.pad(flipped, (1, 0, 0, 1))
    box = box + functional.pad(flipped, (0, 1, 1, 0)) + functional.pad(flipped, (1, 0, 1, 0))
    made = nn.ConvTranspose3d(conv.in_channels, conv.out_channels, box.shape[2:], (1, 2, 2), PAD)
    made.weight = nn.Parameter(box.float(), requires_grad=False)
    made.bias = conv.bias
    return made
