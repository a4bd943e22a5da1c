"""What the judging networks have in common: a name, a file, and numbers that do not depend on how the run is set up."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Judge(nn.Module):
    """A fixed network that judges pictures or sound.

    name: its entry in the registry of weights; sha256: of its file, None for random weights; untrained: whether the
    weights are random, so that its numbers mean nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name, self.sha256, self.untrained = "", None, True

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def exact(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run a judge's method in float32 without gradients: no autocast, no TF32 and one algorithm in convolutions.

    A training loop may have chosen otherwise for its own networks; scores of two runs must not differ by that.
    """

    @functools.wraps(method)
    def run(self: Judge, *arguments: Any, **named: Any) -> Tensor:
        autocast = torch.autocast(self.device.type, enabled=False)
        cudnn = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.no_grad(), autocast, cudnn:
            return method(self, *arguments, **named)

    return run


def expect(what: str, tensor: Tensor, *shape: int | str, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor itself. Raises ValueError where a number of `shape` is another; names stand for any size above 0."""
    right = tensor.ndim == len(shape) and all(
        size > 0 if isinstance(wanted, str) else size == wanted
        for wanted, size in zip(shape, tensor.shape, strict=True)
    )
    if not right or dtype not in (None, tensor.dtype):
        wanted = f"({', '.join(map(str, shape))})" + (f" {dtype}" if dtype else "")
        raise ValueError(f"{what}: {tuple(tensor.shape)} {tensor.dtype} (expected {wanted})")
    return tensor
