"""Laws of the fast convolutions: they are the plain ones, to rounding, at every size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from joyvasa.models.liveportrait import load
from joyvasa.models.liveportrait.fast import FastSpadeBlock, normal
from joyvasa.models.liveportrait.fast_conv import Enlarging, Winograd, enlarging_volume, fast
from joyvasa.models.liveportrait.fast_large import Fourier, ToOneChannel
from joyvasa.models.liveportrait.generator import SpadeBlock

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def still():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("sides", [(4, 4), (1, 1), (8, 12), (9, 7), (2, 13)])
def test_winograd_is_the_convolution(sides):
    conv = nn.Conv2d(5, 7, 3, padding=1)
    assert_close(Winograd(conv)(noise(2, 5, *sides)), conv(noise(2, 5, *sides)), **CLOSE)


def test_winograd_sums_over_depth_and_works_in_parts(monkeypatch):
    conv, x = nn.Conv3d(3, 4, 3, padding=1, bias=False), noise(2, 3, 5, 11, 9)
    whole = Winograd(conv)(x)
    assert_close(whole, conv(x), **CLOSE)
    monkeypatch.setattr("joyvasa.models.liveportrait.fast_conv.CHUNK_BYTES", 1)
    assert_close(Winograd(conv)(x), whole)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_enlarging_first_or_convolving_first_is_the_same(factor):
    conv, x = nn.Conv2d(5, 6, 3, padding=1), noise(2, 5, 4, 3)
    big = functional.interpolate(x, scale_factor=factor)
    assert_close(Enlarging(conv, factor)(x), conv(big).relu(), **CLOSE)


def test_enlarging_a_volume_is_a_transposed_convolution():
    conv, x = nn.Conv3d(5, 6, 3, padding=1), noise(2, 5, 4, 3, 6)
    assert_close(enlarging_volume(conv)(x), conv(functional.interpolate(x, scale_factor=(1, 2, 2))), **CLOSE)


def test_instance_norm():
    assert_close(normal(3 + 2 * noise(2, 3, 8, 8)), functional.instance_norm(3 + 2 * noise(2, 3, 8, 8)), **CLOSE)


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("outputs", [6, 3])
def test_a_fast_spade_block_is_the_spade_block(factor, outputs):
    block = SpadeBlock(inputs=6, outputs=outputs, guide=5, hidden=4)
    x, guide = noise(2, 6, 4 * factor, 3 * factor), noise(2, 5, 4, 3)
    assert_close(FastSpadeBlock(block, factor)(x, guide), block(x, guide), **CLOSE)


@pytest.mark.parametrize("sides", [(16, 64, 64), (2, 5, 33)])
def test_a_large_kernel_by_fourier_transform(sides):
    conv, x = nn.Conv3d(3, 2, 7, padding=3), noise(2, 3, *sides)
    assert_close(Fourier(conv)(x), conv(x), **CLOSE)


def test_a_large_kernel_to_one_channel():
    conv, x = nn.Conv2d(5, 1, 7, padding=3), noise(2, 5, 8, 9)
    assert_close(ToOneChannel(conv)(x), conv(x), **CLOSE)


@pytest.mark.slow
def test_compiled_transforms_are_the_same():
    conv, x = nn.Conv3d(3, 4, 3, padding=1), noise(2, 3, 5, 11, 9)
    compiled = torch.compile(Winograd(conv), fullgraph=True)(x)
    assert_close(compiled, conv(x), **CLOSE)
    assert compiled.stride() == Winograd(conv)(x).stride()


@pytest.mark.slow
def test_compiled_and_plain_draw_the_same_picture():
    pictures = []
    for compile in (True, False):
        networks = load("random:0:small", "human")
        networks.to_runtime(device="cpu", dtype=torch.float32, channels_last=True, compile=compile, exact=not compile)
        feature, keypoints = (
            noise(1, *networks.sizes.feature),
            0.2 * noise(3, networks.sizes.networks["M"]["num_kp"], 3),
        )
        pictures.append(networks.decode(feature, keypoints[:1], keypoints[1:]))
    assert_close(*pictures, atol=1e-3, rtol=0)


def test_only_layers_that_gain_are_replaced():
    kept = [
        nn.Conv2d(64, 3, 3, padding=1), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=64),
        nn.Conv3d(512, 512, 3, padding=1), nn.Conv3d(32, 32, 3, padding=1),
        nn.Conv3d(64, 64, 7, padding=3), nn.Conv2d(64, 64, 3, stride=2, padding=1),
    ]  # fmt: skip
    assert all(fast(conv) is conv for conv in kept)
    assert isinstance(fast(nn.Conv2d(64, 64, 3, padding=1)), Winograd)
    assert isinstance(fast(nn.Conv3d(64, 64, 3, padding=1)), Winograd)
