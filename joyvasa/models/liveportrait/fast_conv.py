"""Convolutions with fewer multiplications, for CPUs: Winograd's for 3 x 3, by Fourier transforms for larger kernels.

Both cut a picture into overlapping tiles, transform them, multiply by the transformed kernel place by place (a matrix
product over channels), and transform back; a third axis, depth, is summed tap by tap. The result differs from the plain
convolution by rounding. Winograd's F(4 x 4, 3 x 3): Lavin and Gray 2016, 4 times fewer multiplications.

B batch, C channels in, O out, D depth, H height, W width, P places of a transformed tile, N tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
         (0, 4, 0, -5, 0, 1))  # fmt: skip
KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # over 24
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
FOURIER_TILE = 24  # pixels: larger ones need more memory for the kernel, smaller ones overlap more
CHUNK_BYTES = 12_000_000  # of transformed tiles at a time: they stay in the processor's cache


@dataclass(frozen=True)
class Transform:
    """tile, step: pixels of a tile and between tiles. into: (S, N), S = tile² pixels -> (P, N); back: (P, N) ->
    (step², N); kernel: (…, k, k) float64 -> (P, …)."""

    tile: int
    step: int
    into: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    kernel: Callable[[Tensor], Tensor]


def winograd() -> Transform:
    """For 3 x 3 kernels: 4 x 4 outputs from 6 x 6 inputs with 36 products instead of 144."""
    input_66, kernel_63, output_46 = (torch.tensor(rows, dtype=torch.float64) for rows in (INPUT, KERNEL, OUTPUT))
    into, back = (torch.kron(each, each).float() for each in (input_66, output_46))

    def kernel(weight: Tensor) -> Tensor:
        return torch.einsum("pi,...ij,qj->pq...", kernel_63 / 24, weight, kernel_63 / 24).flatten(0, 1).float()

    return Transform(6, 4, lambda x: into @ x, lambda y: back @ y, kernel)


def fourier(size: int) -> Transform:
    """For kernels size x size: products of spectra, the part of a tile where nothing wraps around is kept."""
    tile, step = FOURIER_TILE, FOURIER_TILE - size + 1

    def into(x: Tensor) -> Tensor:
        return torch.fft.rfft2(x.unflatten(0, (tile, tile)), dim=(0, 1)).flatten(0, 1)

    def back(y: Tensor) -> Tensor:
        whole = torch.fft.irfft2(y.unflatten(0, (tile, -1)), s=(tile, tile), dim=(0, 1))
        return whole[:step, :step].flatten(0, 1)

    def kernel(weight: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(weight, s=(tile, tile)).conj()  # correlation, as convolution layers do
        return spectrum.permute(-2, -1, *range(weight.ndim - 2)).flatten(0, 1).resolve_conj().to(torch.complex64)

    return Transform(tile, step, into, back, kernel)


class TiledConv(nn.Module):
    """A convolution layer of stride 1 that keeps the size, done tile by tile in float32.

    (B, C, H, W) -> (B, O, H, W), or (B, C, D, H, W) -> (B, O, D, H, W).
    """

    def __init__(self, conv: nn.Conv2d | nn.Conv3d):
        super().__init__()
        size = conv.kernel_size[-1]
        self.transform = winograd() if size == 3 else fourier(size)
        weight = conv.weight.detach().double()
        weight = weight.unsqueeze(2) if weight.ndim == 4 else weight
        self.size, self.depth = size, weight.shape[2]
        # (taps in depth, P, O, C)
        self.kernel = self.transform.kernel(weight.permute(2, 0, 1, 3, 4)).movedim(1, 0).contiguous()
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return self._volume(x) if x.ndim == 5 else self._volume(x[:, :, None])[:, :, 0]

    def _volume(self, x: Tensor) -> Tensor:
        """The picture is cut into rows of tiles, and so many rows done at once as stay in the cache."""
        batch, _, depth, height, width = x.shape
        step, tile, pad = self.transform.step, self.transform.tile, self.size // 2
        high, wide = -(-height // step), -(-width // step)
        below, right = ((count - 1) * step + tile - side - pad for count, side in ((high, height), (wide, width)))
        x = functional.pad(x, (pad, right, pad, below, self.depth // 2, self.depth // 2))
        places, outputs, inputs = self.kernel.shape[1:]
        row_bytes = self.kernel.element_size() * places * max(inputs, outputs) * x.shape[2] * batch * wide
        rows = max(1, min(high, CHUNK_BYTES // row_bytes))
        made = x.new_empty(batch, outputs, depth, high * step, wide * step)
        for top in range(0, high, rows):
            count = min(rows, high - top)
            part = x[..., top * step : (top + count - 1) * step + tile, :]
            made[..., top * step : (top + count) * step, :] = self._rows(part, depth, count, wide)
        made = made[..., :height, :width]
        return made if self.bias is None else made + self.bias[:, None, None, None]

    def _rows(self, x: Tensor, depth: int, high: int, wide: int) -> Tensor:
        """Padded (B, C, D + taps - 1, …, …) -> (B, O, D, high · step, wide · step)."""
        batch, inputs, deep = x.shape[:3]
        step, tile = self.transform.step, self.transform.tile
        tiles = x.unfold(3, tile, step).unfold(4, tile, step).permute(5, 6, 1, 2, 0, 3, 4)
        seen = self.transform.into(tiles.reshape(tile * tile, -1)).unflatten(1, (inputs, deep, -1))
        made = torch.bmm(self.kernel[0], seen[:, :, :depth].flatten(2))
        for tap in range(1, self.depth):
            made.baddbmm_(self.kernel[tap], seen[:, :, tap : tap + depth].flatten(2))
        outputs = made.shape[1]
        y = self.transform.back(made.flatten(1)).view(step, step, outputs, depth, batch, high, wide)
        return y.permute(4, 2, 3, 5, 0, 6, 1).flatten(5, 6).flatten(3, 4)
