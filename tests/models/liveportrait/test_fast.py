"""Laws of the fast convolutions: they are the plain ones, to rounding, at every size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from joyvasa.models.liveportrait.fast import FastSpade
from joyvasa.models.liveportrait.fast_conv import Enlarging, Winograd, enlarging_volume, fast
from joyvasa.models.liveportrait.generator import Spade

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


@pytest.mark.parametrize("factor", [1, 4])
def test_a_fast_spade_is_the_spade(factor):
    spade, x, guide = Spade(channels=6, guide=5, hidden=4), noise(2, 6, 4 * factor, 3 * factor), noise(2, 5, 4, 3)
    assert_close(FastSpade(spade, factor)(x, guide), spade(x, guide), **CLOSE)


def test_only_layers_that_gain_are_replaced():
    kept = [
        nn.Conv2d(64, 3, 3, padding=1), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=64),
        nn.Conv3d(512, 512, 3, padding=1), nn.Conv3d(64, 64, 7, padding=3), nn.Conv2d(64, 64, 3, stride=2, padding=1),
    ]  # fmt: skip
    assert all(fast(conv) is conv for conv in kept)
    assert isinstance(fast(nn.Conv2d(64, 64, 3, padding=1)), Winograd)
    assert isinstance(fast(nn.Conv3d(64, 64, 3, padding=1)), Winograd)
