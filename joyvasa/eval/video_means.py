"""Scores of a corpus as means over its videos, each weighing the same however long it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class VideoMeans(Metric):
    """`update(row)` once a video, a row being name -> number for the names given. Exact over ranks: all states add.

    `compute` gives for every name the mean over the videos that have a number there, NaN meaning none, and
    `NAME/videos`, how many they are. NaN where no video has one.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, *, names: Sequence[str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.names = tuple(names)
        for state in ("sums", "videos"):
            self.add_state(state, torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, row: Mapping[str, float | Tensor]) -> None:
        """Raises ValueError for a row of other names."""
        if set(row) != set(self.names):
            raise ValueError(f"a video with {', '.join(row)} (expected {', '.join(self.names)})")
        values = torch.tensor([float(row[name]) for name in self.names], dtype=torch.float64, device=self.sums.device)
        known = ~values.isnan()
        self.sums += torch.where(known, values, 0.0)
        self.videos += known

    def compute(self) -> dict[str, Tensor]:
        means = dict(zip(self.names, self.sums / self.videos, strict=True))
        return means | {f"{name}/videos": count for name, count in zip(self.names, self.videos, strict=True)}
