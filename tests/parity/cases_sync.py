"""From sound to cepstra, and from embeddings to lip-sync scores."""

from __future__ import annotations

import re

import numpy as np
import torch

from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.sync import clip_sync, shift_distances

from .case import Case
from .registry import Outputs, covers


@covers("mfcc")
def cepstra(case: Case) -> Outputs:
    return {"mfcc": mfcc(case.inputs["wave"].astype(np.int16))}


@covers("sync_offset")
def sync_offset(case: Case) -> Outputs:
    """Outputs are named after the largest shift, as in v10_offset."""
    lip = case.tensor("lip")
    audio = torch.roll(lip, 3, dims=0) + case.tensor("noise")
    found: Outputs = {}
    for max_shift in {int(re.match(r"v(\d+)_", key)[1]) for key in case.outputs}:
        sync = clip_sync(lip, audio, max_shift=max_shift)
        score = sync.reference
        of_shift = {
            "mean_dist": score.curve_S,
            "offset": np.array([score.offset]),
            "min_dist": np.array([score.distance]),
            "conf": np.array([score.confidence]),
            "frame_conf": sync.frame_confidence_N,
            "frame_conf_medfilt9": sync.smooth_confidence_N,
            "dists": shift_distances(lip, audio, max_shift),
        }
        found |= {f"v{max_shift}_{name}": value for name, value in of_shift.items()}
    return found
