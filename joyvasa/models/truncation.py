"""A recording that ends early: what stands behind its end in voice and motion.

B batch, S samples, T frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from joyvasa.motion import SAMPLES_PER_FRAME

PADS = ("zero", "replicate")


def truncate(audio_BS: Tensor, motion_BTC: Tensor, end_B: Tensor, pad: str) -> tuple[Tensor, Tensor]:
    """Audio behind sample 640 `end` and motion behind frame `end` become zero, or hold what came last (`replicate`).

    `end` (B,) are integers in 1 … T; at T nothing changes. After JoyVASA's `truncate_motion_coef_and_audio`
    (src/utils/common.py), which draws `end` itself. Raises ValueError for another `pad`.
    """
    if pad not in PADS:
        raise ValueError(f"truncation pad={pad!r}: choose from {', '.join(PADS)}")
    return _end(audio_BS, end_B * SAMPLES_PER_FRAME, pad), _end(motion_BTC, end_B, pad)


def _end(values: Tensor, end_B: Tensor, pad: str) -> Tensor:
    """(B, T, …) with the rest behind `end` replaced."""
    place = torch.arange(values.shape[1], device=values.device)
    behind = place >= end_B[:, None]
    if pad == "zero":
        return values.masked_fill(behind.view(behind.shape + (1,) * (values.ndim - 2)), 0.0)
    last = torch.minimum(place, end_B[:, None] - 1)
    return values[torch.arange(len(values), device=values.device)[:, None], last]
