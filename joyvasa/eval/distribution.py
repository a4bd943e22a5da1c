"""Does the motion as a whole look like recorded motion: Fréchet distance, diversity, blinks.

Shape suffixes: R resamples, N clips, F features, W windows, T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import find_peaks

from joyvasa.eval.bootstrap import Estimate, divide
from joyvasa.eval.reference import BLINK_PERCENTILE, COMPONENTS, ClipMotion, MotionReference
from joyvasa.motion import FPS, eye_closing

Array = np.ndarray

WINDOW, HOP = 25, 12
FEATURES = 3 * COMPONENTS
MIN_WINDOWS = 5 * FEATURES


def blinks(motion_TC: Array, reference: MotionReference) -> int:
    """Number of blinks in a clip.

    c(t) = `motion.eye_closing`. A blink is a local maximum of c at or above the level halfway between c's median and
    its 99.5th percentile, with a prominence of at least `reference.blink_amplitude`. `blink_rate` is blinks a minute
    over all clips together; `blink_rate_truth` is the same of the recordings, to compare it with.
    """
    closing = eye_closing(np.asarray(motion_TC, np.float64))
    level = (np.median(closing) + np.percentile(closing, BLINK_PERCENTILE)) / 2
    return len(find_peaks(closing, height=level, prominence=max(reference.blink_amplitude, 1e-9))[0])


def minutes(motion_TC: Array) -> float:
    """Duration of a motion in minutes."""
    return len(motion_TC) / FPS / 60


def window_features(motion_TC: Array, reference: MotionReference) -> Array:
    """Features (W, 24) of every window of 25 frames (1 s), hop 12; W = 0 for clips under 25 frames.

    The 70 normalised channels (pose among them) are projected on their first 8 principal components, each divided by
    its training standard deviation; a window's features are mean, standard deviation and mean |velocity| (a frame) of
    each.
    """
    curves = reference.normalise(motion_TC) @ reference.components.T / reference.component_std
    if len(curves) < WINDOW:
        return np.zeros((0, FEATURES))
    windows = np.lib.stride_tricks.sliding_window_view(curves, WINDOW, axis=0)[::HOP]
    velocity = np.abs(np.diff(windows, axis=-1)).mean(-1)
    return np.concatenate([windows.mean(-1), windows.std(-1), velocity], axis=1)


def frechet_distance(mean_a: Array, covariance_a: Array, mean_b: Array, covariance_b: Array) -> Array:
    """Fréchet distance of Gaussians: |μa − μb|² + Tr(A + B − 2 (A^½ B A^½)^½), batched over leading dimensions.

    means (..., F), covariances (..., F, F), float64. Roots by symmetric eigen-decomposition, negative eigenvalues
    (rounding) taken as 0: defined for singular covariances too. Dowson and Landau 1982; as in FID (arXiv 1706.08500).
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(values.clip(min=0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(min=0)).sum(-1)
    traces = np.trace(covariance_a, axis1=-2, axis2=-1) + np.trace(covariance_b, axis1=-2, axis2=-1)
    return (np.square(mean_a - mean_b).sum(-1) + traces - 2 * cross).clip(min=0)


def frechet_motion(clips: Sequence[ClipMotion], reference: MotionReference) -> tuple[Estimate | None, str]:
    """Estimate of the Fréchet distance between generated and true window features, and a note.

    Every feature is first divided by its root mean square over all the truth's windows, so that velocity weighs as much
    as position: motion held still is at about 24, one from each feature. Population covariances. Needs 120 windows
    (five a feature: about 7 clips of 10 s); below, the estimate is None and the note says why. The distance of finite
    samples is biased upwards: compare systems on the same clips.
    """
    truth = [window_features(clip.truth, reference) for clip in clips]
    made = [window_features(clip.generated, reference) for clip in clips]
    windows = sum(len(features) for features in truth)
    if windows < MIN_WINDOWS:
        return None, f"{windows} windows of 1 s, {MIN_WINDOWS} needed: give more or longer clips"
    scale = np.sqrt(np.square(np.concatenate(truth)).mean(0))
    scale = np.where(scale > 0, scale, 1.0)
    truth_terms, made_terms = _moments(truth, scale), _moments(made, scale)

    def estimate(weights_RN: Array) -> Array:
        return frechet_distance(*_gaussian(weights_RN, *made_terms), *_gaussian(weights_RN, *truth_terms))

    return estimate, ""


def _moments(features: list[Array], scale: Array) -> tuple[Array, Array, Array]:
    """Per clip: number of windows (N,), sums (N, F), sums of outer products (N, F F) of features / scale."""
    scaled = [f / scale for f in features]
    counts = np.array([len(f) for f in scaled], np.float64)
    return counts, np.stack([f.sum(0) for f in scaled]), np.stack([(f.T @ f).ravel() for f in scaled])


def _gaussian(weights_RN: Array, counts: Array, sums: Array, outers: Array) -> tuple[Array, Array]:
    """Mean (R, F) and population covariance (R, F, F) of the weighted clips' windows."""
    # A resample of clips that are all too short for a window has no Gaussian: NaN would stop eigh, so it counts as 0.
    total = np.maximum(weights_RN @ counts, 1.0)[:, None]
    mean = weights_RN @ sums / total
    second = (weights_RN @ outers / total).reshape(-1, FEATURES, FEATURES)
    return mean, second - mean[:, :, None] * mean[:, None, :]


def diversity(clips: Sequence[ClipMotion], reference: MotionReference) -> tuple[Estimate | None, str]:
    """Estimate of diversity, and a note which says what was compared.

        d(a, b) = sqrt(mean over frames and channels of (a − b)²), normalised motion, each centred on its clip mean,
        all clips cut to the shortest

    The denominator is always the mean of d over pairs of true motions of different voices. The numerator is, when
    several motions were generated for a voice (clips sharing a key), the mean over voices of the mean d within a
    voice; else the mean of d over pairs of clips. 0: the same motion always (or none); about 1 between voices: as
    varied as the truth; above 1: more movement than the truth. Within a voice 1 means that the voice changes nothing.
    """
    keys = np.array([clip.key for clip in clips])
    different = (keys[:, None] != keys[None, :]).astype(np.float64)
    if different.sum() == 0:
        return None, "one voice: no pair of voices to compare with"
    frames = min(len(clip.truth) for clip in clips)
    truth = _distances([clip.truth[:frames] for clip in clips], reference) * different
    made = _distances([clip.generated[:frames] for clip in clips], reference)
    same = 1.0 - different - np.eye(len(clips))
    several = bool(same.sum())

    def estimate(weights_RN: Array) -> Array:
        expected = divide(_pair_sum(weights_RN, truth), _pair_sum(weights_RN, different))
        if not several:
            return divide(divide(_pair_sum(weights_RN, made), _pair_sum(weights_RN, different)), expected)
        # A voice is drawn with all its motions: its weight enters once, as the share of each motion's own mean.
        own = divide((made * same).sum(1), same.sum(1))
        shares = weights_RN * np.where(np.isnan(own), 0.0, 1.0 / (same.sum(1) + 1.0))
        return divide(divide(shares @ np.nan_to_num(own), shares.sum(1)), expected)

    return estimate, "motions of the same voice" if several else "between voices"


def _distances(motions: list[Array], reference: MotionReference) -> Array:
    """Root mean squared distances (N, N) between normalised, centred motions of equal length; 0 on the diagonal."""
    flat = []
    for motion in motions:
        norm = reference.normalise(motion)
        flat.append((norm - norm.mean(0)).ravel())
    points = np.stack(flat)
    squares = np.square(points).sum(1)
    distances = np.sqrt((squares[:, None] + squares[None, :] - 2 * points @ points.T).clip(min=0) / points.shape[1])
    np.fill_diagonal(distances, 0.0)
    return distances


def _pair_sum(weights_RN: Array, values_NN: Array) -> Array:
    """Σ w_i w_j v_ij, (R,)."""
    return ((weights_RN @ values_NN) * weights_RN).sum(1)
