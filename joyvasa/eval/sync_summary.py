"""Lip-sync scores of a corpus: means over clips, and how its offsets are spread.

Searching ± 15 shifts hides a constant lag: LSE-C and LSE-D are those of the best shift. So the offset, the share of
clips within one frame of none, the distance at no shift, and the share whose best shift is the outermost stand beside.

Shape suffixes: S shifts (2 v + 1).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from joyvasa.eval.sync import ClipSync, SyncScore

SCORES = ("reference", "masked")
WITHIN = 1


class SyncSummary(Metric):
    """Scores of all clips, each weighing the same: `update(ClipSync)` once a clip. Exact over ranks: all states add.

    `compute` gives, for `reference` and for `masked`:

        NAME/lse_c, NAME/lse_d, NAME/distance_at_zero    means over clips
        NAME/offset                                      lower median over clips, frames
        NAME/within_1, NAME/at_edge                      shares of clips

    and `clips`. NaN without a clip.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, *, max_shift: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.max_shift = max_shift
        for name in SCORES:
            # Confidence, distance, distance at no shift, at edge.
            self.add_state(f"{name}_sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{name}_offsets_S", torch.zeros(2 * max_shift + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clip: ClipSync) -> None:
        """Raises ValueError for a clip scored with other shifts."""
        for name in SCORES:
            score: SyncScore = getattr(clip, name)
            if len(score.curve_S) != 2 * self.max_shift + 1:
                raise ValueError(
                    f"a clip scored with {len(score.curve_S)} shifts (expected {2 * self.max_shift + 1}); "
                    "score every clip with the same max_shift"
                )
            values = [score.confidence, score.distance, score.distance_at_zero, float(score.at_edge)]
            sums: Tensor = getattr(self, f"{name}_sums")
            sums += torch.tensor(values, dtype=torch.float64, device=sums.device)
            getattr(self, f"{name}_offsets_S")[score.offset + self.max_shift] += 1

    def compute(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {"clips": self.reference_offsets_S.sum()}
        for name in SCORES:
            offsets_S = getattr(self, f"{name}_offsets_S")
            mean = getattr(self, f"{name}_sums") / offsets_S.sum()
            near = offsets_S[self.max_shift - WITHIN : self.max_shift + WITHIN + 1].sum()
            values = (*mean[:3], self._median(offsets_S), near / offsets_S.sum(), mean[3])
            keys = ("lse_c", "lse_d", "distance_at_zero", "offset", f"within_{WITHIN}", "at_edge")
            found |= {f"{name}/{key}": value for key, value in zip(keys, values, strict=True)}
        return found

    def _median(self, offsets_S: Tensor) -> Tensor:
        """Lower median of offsets −v ... v counted by `offsets_S`."""
        clips = offsets_S.sum()
        if not clips:
            return torch.tensor(float("nan"), device=offsets_S.device)
        at = torch.searchsorted(offsets_S.cumsum(0), (clips + 1) // 2)
        return (at - self.max_shift).double()
