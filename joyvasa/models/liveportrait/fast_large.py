"""7 x 7 (x 7) kernels on a CPU with fewer multiplications; they differ from the plain ones by rounding.

B batch, C channels in, O out, D depth, H height, W width, K side of a kernel, F frequencies of a tile, T tiles.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STEP, FFT, BEFORE = 32, 40, 3  # sides of a tile and of its transform, which has room for the kernel; its left part


@torch.library.custom_op("joyvasa::fourier", mutates_args=())
def fourier(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """See `Fourier`. One operation, because compilers know no complex numbers."""
    batch, inputs, depth, height, width = x.shape
    outputs = len(bias)
    taps = kernel.shape[1] // outputs
    high, wide = -(-height // STEP), -(-width // STEP)
    after = FFT - STEP - BEFORE
    sides = (BEFORE, wide * STEP - width + after, BEFORE, high * STEP - height + after)
    tiles = functional.pad(x, sides).unfold(3, FFT, STEP).unfold(4, FFT, STEP)
    seen = torch.fft.rfft2(tiles).permute(5, 6, 1, 2, 0, 3, 4).reshape(len(kernel), inputs, -1)
    made = torch.bmm(torch.view_as_complex(kernel), seen).view(len(kernel), taps, outputs, depth, -1)
    total = torch.zeros_like(made[:, 0])
    for tap in range(taps):
        shift = tap - taps // 2
        first, last = max(0, -shift), depth - max(0, shift)
        if first < last:
            total[:, :, first:last] += made[:, tap, :, first + shift : last + shift]
    total = total.view(FFT, -1, outputs, depth, batch, high, wide).permute(4, 2, 3, 5, 6, 0, 1)
    y = torch.fft.irfft2(total, (FFT, FFT))[..., :STEP, :STEP].transpose(4, 5).flatten(5, 6).flatten(3, 4)
    return y[..., :height, :width] + bias[:, None, None, None]


@fourier.register_fake
def _(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(len(x), len(bias), *x.shape[2:])


class Fourier(nn.Module):
    """A volume's convolution of stride 1 that keeps the sides, height and width by Fourier transform.

    (B, C, D, H, W) -> (B, O, D, H, W). At every frequency the channels are one matrix product for all taps of the
    depth, whose results are then shifted and summed: about 7 times fewer multiplications than a 7 x 7 x 7 kernel has.
    """

    def __init__(self, conv: nn.Conv3d):
        super().__init__()
        spectrum = torch.fft.rfft2(conv.weight.detach(), (FFT, FFT)).conj()
        kernel = spectrum.permute(3, 4, 2, 0, 1).flatten(2, 3).flatten(0, 1)
        # Real and imaginary parts as real numbers: `nn.Module.to` would drop one of them. (F, taps · O, C, 2)
        self.register_buffer("kernel", torch.view_as_real(kernel.resolve_conj()).contiguous())
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        # One picture at a time: the spectrum of several would leave the cache.
        return torch.cat([fourier(picture, self.kernel, self.bias) for picture in x.split(1)])


class ToOneChannel(nn.Module):
    """A convolution of stride 1 that keeps the sides and has one channel out: (B, C, H, W) -> (B, 1, H, W).

    All taps of a pixel are one matrix product; their results are then summed where they belong.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.side = conv.kernel_size[0]
        self.register_buffer("taps", conv.weight.detach()[0].flip(1, 2).flatten(1).T.contiguous())  # (K · K, C)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return functional.fold(self.taps @ x.flatten(2), x.shape[2:], self.side, padding=self.side // 2) + self.bias
