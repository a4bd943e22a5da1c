"""Is the motion as lively and as smooth as the truth: deviations, jerk, jerk at window joins.

All on normalised motion, all ratios to the truth: 1 is right, too little is as wrong as too much, and smoothing, which
lowers them, cannot improve a motion that is already right.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joyvasa.eval.reference import POSE, ClipMotion, MotionReference
from joyvasa.motion import EYES, LIPS

Array = np.ndarray

REGIONS = {"lips": LIPS, "eyes": EYES, "pose": POSE}
JERK_ORDER = 3
JOIN_REACH = 2
LEAST_JERK = 1e-3


@dataclass(frozen=True)
class BoundaryJerk:
    """Sums of |third difference| near joins and elsewhere, and how many differences (of one channel) each sums."""

    near: float
    elsewhere: float
    near_count: int
    elsewhere_count: int


def deviation(motion_TC: Array, reference: MotionReference, channels: list[int]) -> float:
    """Mean over channels of the standard deviation within the clip, of normalised motion.

    `std_ratio` is its mean over clips, generated, over its mean over clips, truth. Within the clip: a wrong resting
    face is no liveliness.
    """
    return float(reference.normalise(motion_TC)[:, channels].std(0).mean())


def squared_jerk(motion_TC: Array, reference: MotionReference, channels: list[int]) -> float:
    """Sum over frames, mean over channels of (Δ³ x)², x normalised; 0 for clips under 4 frames.

    `jerk_ratio` = sqrt(sum over clips, generated / sum over clips, truth): the ratio of RMS third differences.
    """
    return float(np.square(third_difference(motion_TC, reference, channels)).mean(1).sum())


def third_difference(motion_TC: Array, reference: MotionReference, channels: list[int]) -> Array:
    """Δ³ x of normalised motion, (T, 70) -> (max(T − 3, 0), channels); row i spans frames i … i + 3."""
    return np.diff(reference.normalise(motion_TC)[:, channels], n=JERK_ORDER, axis=0)


def boundary_jerk(
    motion_TC: Array, clip: ClipMotion, reference: MotionReference, channels: list[int]
) -> BoundaryJerk | None:
    """|Δ³ x| near the clip's joins and elsewhere, of `motion`; None when the clip has no join.

    A join j is the first frame of a window: the step lies at j − 1/2. The difference of frames i … i + 3 is centred
    at i + 3/2 and is near when that is within 2 frames of the step: i = j − 4 … j, which holds all differences that
    the step enters.
    """
    if not clip.joins:
        return None
    jerk_T = np.abs(third_difference(motion_TC, reference, channels)).mean(1)
    near = np.zeros(len(jerk_T), bool)
    for join in clip.joins:
        near[max(join - JERK_ORDER + 1 - JOIN_REACH, 0) : max(join - 1 + JOIN_REACH, 0)] = True
    return BoundaryJerk(float(jerk_T[near].sum()), float(jerk_T[~near].sum()), int(near.sum()), int((~near).sum()))


def boundary_ratio(generated: Array, truth: Array) -> Array:
    """`boundary_jerk` of pooled terms, each (..., 4) in the order of `BoundaryJerk`, -> (...).

        (mean near / mean elsewhere)_generated / (mean near / mean elsewhere)_truth, at the same frames

    The generated mean elsewhere counts as at least a thousandth of the truth's, so that motion frozen between jumps
    gives a large number and frozen motion 0. NaN where the truth has no frame, or no movement, on either side.
    """
    near, elsewhere, near_count, elsewhere_count = np.moveaxis(truth, -1, 0)
    defined = (near > 0) & (elsewhere > 0)
    counts = [np.where(defined, count, 1.0) for count in (near_count, elsewhere_count)]
    truth_near, truth_else = np.where(defined, near, 1.0) / counts[0], np.where(defined, elsewhere, 1.0) / counts[1]
    made_near, made_else = generated[..., 0] / counts[0], generated[..., 1] / counts[1]
    ratio = made_near / np.maximum(made_else, LEAST_JERK * truth_else) / (truth_near / truth_else)
    return np.where(defined, ratio, np.nan)
