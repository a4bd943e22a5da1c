"""Lip-sync scores of one clip, from SyncNet's embeddings of its lips and of its voice.

The voice is moved by every shift s = −v ... v frames against the lips:

    d[i, s] = ‖lip[i] − audio[i + s] + 1e-6‖      D[s] = mean of d[i, s] over the frames i

    LSE-D = min D      LSE-C = median D − min D      offset = −argmin D     (positive: the voice comes too early)

The *reference* score (Chung and Zisserman 2016, `SyncNetInstance.py` of syncnet_python) takes audio of zeros beyond
the clip's ends. A zero is nearer to any lip than strange audio is: that lowers the median of short clips in sync, and
the minimum, at the edge, of those out of it. The *masked* score means over the frames whose audio exists.

Shape suffixes: N windows (one a frame), D width of an embedding, S shifts (2 v + 1), F cepstra (100 a second).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from joyvasa.eval.mfcc import HOP
from joyvasa.motion import SAMPLES_PER_FRAME

Array = np.ndarray

WINDOW_FRAMES = 5
WINDOW_CEPSTRA = 20
CEPSTRA_PER_FRAME = SAMPLES_PER_FRAME // HOP
EPS = 1e-6
SMOOTHING = 9
BLOCK_WINDOWS = 1024  # bounds the differences held at once: 1024 of 1024 numbers, 8 MB


def window_count(frames: int, samples: int) -> int:
    """Windows of a clip: min(frames, samples // 640) − 5. One more would fit; the reference leaves it out.

    Raises ValueError for a clip without one.
    """
    windows = min(frames, samples // SAMPLES_PER_FRAME) - WINDOW_FRAMES
    if windows < 1:
        raise ValueError(
            f"{frames} frames and {samples} samples give no window "
            f"(expected {WINDOW_FRAMES + 1} frames and as many times {SAMPLES_PER_FRAME} samples); leave the clip out"
        )
    return windows


def audio_windows(cepstra_13F: Array, windows: int) -> Array:
    """Cepstra (13, F) -> SyncNet's audio input (N, 1, 13, 20), window n from cepstrum 4 n: a view, nothing is copied.

    Raises ValueError where there are too few cepstra for so many windows.
    """
    needed = CEPSTRA_PER_FRAME * (windows - 1) + WINDOW_CEPSTRA
    if cepstra_13F.shape[1] < needed:
        raise ValueError(
            f"{cepstra_13F.shape[1]} cepstra for {windows} windows (expected {needed}); ask window_count how many fit"
        )
    views = np.lib.stride_tricks.sliding_window_view(cepstra_13F, WINDOW_CEPSTRA, axis=1)
    return views[:, ::CEPSTRA_PER_FRAME][:, :windows].transpose(1, 0, 2)[:, None]


def shift_distances(lip_ND: Tensor, audio_ND: Tensor, max_shift: int) -> Tensor:
    """Distance of every lip embedding from the audio of every shift, (N, 2 max_shift + 1), float64; zeros beyond ends.

    Raises ValueError for embeddings of different shapes, none, or with a number that is not finite.
    """
    if lip_ND.shape != audio_ND.shape or lip_ND.ndim != 2 or not len(lip_ND):
        raise ValueError(
            f"lip embeddings {tuple(lip_ND.shape)} and audio embeddings {tuple(audio_ND.shape)} "
            "(expected the same (N, D), N at least 1); cut both to window_count"
        )
    windows, width = lip_ND.shape
    out = torch.empty(windows, 2 * max_shift + 1, dtype=torch.float64, device=lip_ND.device)
    for first in range(0, windows, BLOCK_WINDOWS):
        lip = lip_ND[first : first + BLOCK_WINDOWS].double() + EPS
        # Audio from max_shift before the block to max_shift after it, zeros where the clip has none.
        near = lip.new_zeros(len(lip) + 2 * max_shift, width)
        start, stop = max(first - max_shift, 0), min(first + len(lip) + max_shift, windows)
        near[start - first + max_shift : stop - first + max_shift] = audio_ND[start:stop]
        for shift in range(2 * max_shift + 1):
            out[first : first + len(lip), shift] = torch.linalg.vector_norm(lip - near[shift : shift + len(lip)], dim=1)
    if not torch.isfinite(out).all():
        bad = [int((~torch.isfinite(embeddings)).any(1).sum()) for embeddings in (lip_ND, audio_ND)]
        raise ValueError(
            f"{bad[0]} lip and {bad[1]} audio embeddings of {windows} windows are not finite; leave the clip out"
        )
    return out


def has_audio(windows: int, max_shift: int) -> Array:
    """(N, S) bool: whether lip n has, at shift s − max_shift, audio of the clip rather than zeros."""
    audio = np.arange(windows)[:, None] + np.arange(-max_shift, max_shift + 1)
    return (audio >= 0) & (audio < windows)


@dataclass(frozen=True)
class SyncScore:
    """Of one clip: LSE-C, LSE-D, offset in frames, distance at shift 0, mean distance of every shift (S,).

    `at_edge`: the smallest distance was found at the first or last shift, so the true one may lie beyond.
    """

    confidence: float
    distance: float
    offset: int
    distance_at_zero: float
    at_edge: bool
    curve_S: Array


@dataclass(frozen=True)
class ClipSync:
    """Both scores of one clip, and the reference's confidence of every frame (N,), as it is and median-filtered (9)."""

    windows: int
    reference: SyncScore
    masked: SyncScore
    frame_confidence_N: Array
    smooth_confidence_N: Array


def score_curve(curve_S: Array) -> SyncScore:
    """Score of mean distances for shifts −v ... v; shifts without audio are NaN and left out. Ties: the first shift."""
    max_shift, present = len(curve_S) // 2, np.flatnonzero(np.isfinite(curve_S))
    best = int(np.nanargmin(curve_S))
    return SyncScore(
        confidence=float(lower_median(curve_S[present]) - curve_S[best]),
        distance=float(curve_S[best]),
        offset=max_shift - best,
        distance_at_zero=float(curve_S[max_shift]),
        at_edge=best in (present[0], present[-1]),
        curve_S=curve_S,
    )


def lower_median(values: Array) -> float:
    """The middle value, of an even number of values the lower of two, as torch.median has it."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def clip_sync(lip_ND: Tensor, audio_ND: Tensor, *, max_shift: int) -> ClipSync:
    """Scores of a clip from its embeddings (N, D); `max_shift` is 15 in the published protocols.

    Raises ValueError as `shift_distances` does.
    """
    distances_NS = shift_distances(lip_ND, audio_ND, max_shift).cpu().numpy()
    reference = score_curve(distances_NS.mean(0))
    present_NS = has_audio(len(distances_NS), max_shift)
    frames_S = present_NS.sum(0)
    sums_S = np.where(present_NS, distances_NS, 0.0).sum(0)
    masked = score_curve(np.where(frames_S > 0, sums_S / np.maximum(frames_S, 1), np.nan))
    frame_confidence = lower_median(reference.curve_S) - distances_NS[:, max_shift - reference.offset]
    return ClipSync(len(distances_NS), reference, masked, frame_confidence, _median_filtered(frame_confidence))


def _median_filtered(values_N: Array) -> Array:
    """Median of every value with the 4 before and the 4 after it, zeros beyond the ends."""
    return np.median(np.lib.stride_tricks.sliding_window_view(np.pad(values_N, SMOOTHING // 2), SMOOTHING), axis=1)
