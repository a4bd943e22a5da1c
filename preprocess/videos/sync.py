"""Do lips and voice belong together? Asked of a sync expert, from motion and sound, once M has given the motion.

N motion frames (25 a second), C channels, S samples (16 kHz).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from joyvasa.models.sync_expert_file import OpenedExpert, find_expert, open_expert
from joyvasa.motion import FPS
from joyvasa.weights import sha256_of
from preprocess.videos.settings import Filters

DIGITS = 4


@cache
def expert_of(path: str) -> OpenedExpert:
    """Opened once a process."""
    return open_expert(path)


def check_expert(filters: Filters) -> str | None:
    """Hash of the file of `filters.sync`, None where nobody is asked.

    Raises FileNotFoundError or ValueError where it is none, or where pieces may be too short for it.
    """
    if filters.sync is None:
        return None
    opened = expert_of(filters.sync)
    least = (opened.network.window + opened.max_shift) / FPS
    if filters.min_seconds < least:
        raise ValueError(
            f"filters.min_seconds={filters.min_seconds:g}: expected {least:g} or more, for {filters.sync} judges no "
            "shorter piece; filters.sync=null leaves it out"
        )
    return sha256_of(find_expert(filters.sync))


def sync_measures(path: str, motion_NC: np.ndarray, audio_S: np.ndarray) -> dict[str, float]:
    """sync_lag: frames by which lips and voice are apart, either way. sync_confidence: median distance over shifts −
    the smallest; 0 where no shift is better than another."""
    opened = expert_of(path)
    motion, audio = (torch.from_numpy(np.ascontiguousarray(each, np.float32)) for each in (motion_NC, audio_S))
    curve = opened.network.curve(motion, audio, opened.max_shift)
    best = int(curve.argmin())
    return {
        "sync_lag": float(abs(best - opened.max_shift)),
        "sync_confidence": round(float(curve.median() - curve[best]), DIGITS),
    }
