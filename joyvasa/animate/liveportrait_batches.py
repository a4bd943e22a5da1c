"""Batches of keypoints become pictures, in host memory, while the next batch is already on its way.

Shape suffixes: B batch, K keypoints, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")
Decode = Callable[[Tensor, Tensor, Tensor], Tensor]  # feature, source, driving -> images (B, 3, H, W) in 0..1

WARM_UPS = 3  # runs before a CUDA graph is captured: libraries choose their algorithms in them


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter; only one is held at a time."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def quantise(images_B3HW: Tensor) -> Tensor:
    """Images in 0..1 -> uint8 (B, H, W, 3) on the same device, truncated (official `parse_output`)."""
    return (images_B3HW.float().clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def filled(rows: Tensor, size: int) -> Tensor:
    """`size` rows: the last one repeated."""
    missing = size - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def to_host(batches: Iterable[tuple[Tensor, int]]) -> Iterator[np.ndarray]:
    """The first n pictures of each (uint8 (B, H, W, 3), n), one by one, as arrays of host memory.

    From a GPU a batch is copied without waiting, and its pictures are given out once the next one is under way: the
    caller encodes while the GPU works. On a CPU they are given out at once.
    """
    waiting: tuple[np.ndarray, torch.cuda.Event] | None = None
    for pictures, count in batches:
        if not pictures.is_cuda:
            yield from pictures[:count].numpy()
            continue
        host = torch.empty(pictures[:count].shape, dtype=torch.uint8, pin_memory=True)
        host.copy_(pictures[:count], non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        if waiting:
            yield from _arrived(*waiting)
        waiting = host.numpy(), copied
    if waiting:
        yield from _arrived(*waiting)


def _arrived(pictures: np.ndarray, copied: torch.cuda.Event) -> np.ndarray:
    copied.synchronize()
    return pictures


class Graphed:
    """A decoder recorded as a CUDA graph: one launch for a batch instead of hundreds.

    Recorded at the first call, for its shapes alone; later calls of other shapes raise ValueError.
    """

    def __init__(self, decode: Decode):
        self.decode = decode
        self.inputs: tuple[Tensor, ...] | None = None

    def __call__(self, *given: Tensor) -> Tensor:
        if self.inputs is None:
            self._record(given)
        for kept, new in zip(self.inputs, given, strict=True):
            if kept.shape != new.shape:
                raise ValueError(f"CUDA graph of shape {tuple(kept.shape)} called with {tuple(new.shape)}")
            kept.copy_(new)
        self.graph.replay()
        return self.output

    def _record(self, given: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(tensor.clone() for tensor in given)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                self.decode(*self.inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = self.decode(*self.inputs)
