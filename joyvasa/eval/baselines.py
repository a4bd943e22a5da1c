"""Honest baselines: what a score is worth beside a fit that takes seconds and knows no time beyond 0.3 s.

    mean_motion   the training mean, held still
    loudness      per channel a line on the loudness of the frame's 40 ms
    ridge         per channel a ridge regression on log-mel of 7 frames (−3 … +3)
    retrieval     the motion of the training frame whose 7 frames of log-mel are nearest

Shape suffixes: T frames, N training frames, F features, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from joyvasa.models.mel import log_mel
from joyvasa.motion import SAMPLES_PER_FRAME, STD_FLOOR, check_motion

Array = np.ndarray

BANDS = 40
CONTEXT = 3
FIT_FRAMES = 60_000
RETRIEVAL_FRAMES = 20_000
RETRIEVAL_COMPONENTS = 32
RETRIEVAL_CHUNK = 512
LOUDNESS_FLOOR = 1e-4  # -80 dB: digital silence is finite and no quieter than a quiet room
HELD_OUT = 0.1
LEAST_CLIPS = 2  # one of them to choose the penalty
PENALTIES = np.logspace(-5, 1, 13)  # times the number of frames; inputs and targets are standardised


def loudness_db(audio: Array) -> Array:
    """Loudness of each frame, (640 T,) -> (T,): 20 log10(max(RMS of its 640 samples, 1e-4)), in dB."""
    frames = _whole_frames(audio).reshape(-1, SAMPLES_PER_FRAME)
    return 20 * np.log10(np.sqrt(np.square(frames).mean(1)).clip(min=LOUDNESS_FLOOR))


def context_features(audio: Array) -> Array:
    """Log-mel of frames −3 … +3 side by side, (640 T,) -> (T, 280) float32; the ends are repeated.

    40 bands at 50 frames a second, pairs averaged to 25.
    """
    samples = torch.from_numpy(_whole_frames(audio).astype(np.float32))
    mel = log_mel(samples[None], bands=BANDS)[0].numpy()
    mel = mel.reshape(-1, 2, BANDS).mean(1)
    padded = np.pad(mel, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[i : i + len(mel)] for i in range(2 * CONTEXT + 1)], axis=1)


def _whole_frames(audio: Array) -> Array:
    audio = np.asarray(audio, np.float64)
    if audio.ndim != 1 or len(audio) == 0 or len(audio) % SAMPLES_PER_FRAME:
        raise ValueError(
            f"audio of shape {audio.shape} (expected a positive multiple of {SAMPLES_PER_FRAME} samples, 16 kHz mono); "
            "pad it to whole frames"
        )
    return audio


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines. Inputs are standardised by `feature_*`, motion by `motion_*`, both of the training frames."""

    motion_mean: Array  # (C,)
    loudness_slope: Array  # (C,) motion units a dB
    loudness_mean: float  # dB
    feature_mean: Array  # (F,)
    feature_std: Array  # (F,)
    ridge_weights: Array  # (F, C) motion units a standardised feature
    penalty: float  # the chosen one of PENALTIES
    components: Array  # (F, 32)
    library_features: Array  # (N, 32)
    library_motion: Array  # (N, C)

    def predict(self, audio: Array) -> dict[str, Array]:
        """Motion (T, 70) float32 of each baseline for a voice (640 T,). Raises ValueError for part of a frame."""
        loudness = loudness_db(audio) - self.loudness_mean
        features = (context_features(audio) - self.feature_mean) / self.feature_std
        motions = {
            "mean_motion": np.tile(self.motion_mean, (len(features), 1)),
            "loudness": self.motion_mean + loudness[:, None] * self.loudness_slope,
            "ridge": self.motion_mean + features @ self.ridge_weights,
            "retrieval": self.library_motion[self._nearest(features @ self.components)],
        }
        return {name: motion.astype(np.float32) for name, motion in motions.items()}

    def _nearest(self, queries: Array) -> Array:
        """Index of the library entry at the smallest Euclidean distance, (T, 32) -> (T,)."""
        squares = np.square(self.library_features).sum(1)
        chunks = [queries[i : i + RETRIEVAL_CHUNK] for i in range(0, len(queries), RETRIEVAL_CHUNK)]
        return np.concatenate([(squares - 2 * chunk @ self.library_features.T).argmin(1) for chunk in chunks])


def fit_baselines(train: Iterable[tuple[Array, Array]]) -> Baselines:
    """Fit every baseline on training clips (audio (640 T,), motion (T, 70)), read once.

    At most 60,000 frames are kept, evenly spread over all clips (every k-th, no chance); retrieval keeps 20,000 of
    these. The ridge penalty is the best of `PENALTIES` for the last tenth of the clips (so that, in a corpus ordered
    by speaker, it is chosen on other speakers), then the fit is repeated on all.
    Raises ValueError for fewer than two clips and for audio that does not fit its motion.
    """
    features, loudness, motion, clip_of_frame = _collect(train)
    held_from = max(clip_of_frame[-1] + 1 - max(1, round(HELD_OUT * (clip_of_frame[-1] + 1))), 1)
    held_out = clip_of_frame >= held_from
    feature_mean, feature_std = features.mean(0), features.std(0).clip(min=STD_FLOOR)
    motion_mean, motion_std = motion.mean(0), motion.std(0).clip(min=STD_FLOOR)
    inputs, targets = (features - feature_mean) / feature_std, (motion - motion_mean) / motion_std
    penalty = _choose_penalty(inputs[~held_out], targets[~held_out], inputs[held_out], targets[held_out])
    centred = loudness - loudness.mean()
    _, vectors = np.linalg.eigh(inputs.T @ inputs)
    components = vectors[:, ::-1][:, :RETRIEVAL_COMPONENTS]
    library = _spread(len(inputs), RETRIEVAL_FRAMES)
    return Baselines(
        motion_mean=motion_mean,
        loudness_slope=centred @ (motion - motion_mean) / max(float(centred @ centred), STD_FLOOR),
        loudness_mean=float(loudness.mean()),
        feature_mean=feature_mean,
        feature_std=feature_std,
        ridge_weights=ridge_paths(inputs, targets, [penalty])[0] * motion_std,
        penalty=penalty,
        components=components,
        library_features=inputs[library] @ components,
        library_motion=motion[library],
    )


def ridge_paths(inputs_NF: Array, targets_NC: Array, penalties: Iterable[float]) -> list[Array]:
    """Ridge weights (F, C) for each penalty λ: argmin_W |X W − Y|² + λ N |W|² = (XᵀX + λ N I)⁻¹ XᵀY.

    One symmetric eigen-decomposition serves all penalties.
    """
    values, vectors = np.linalg.eigh(inputs_NF.T @ inputs_NF)
    rotated = vectors.T @ (inputs_NF.T @ targets_NC)
    scales = [values.clip(min=0)[:, None] + penalty * len(inputs_NF) for penalty in penalties]
    return [vectors @ (rotated / scale) for scale in scales]


def _choose_penalty(inputs: Array, targets: Array, held_inputs: Array, held_targets: Array) -> float:
    """The penalty of least mean squared error on the held-out frames, all channels alike."""
    errors = [np.square(held_inputs @ w - held_targets).mean() for w in ridge_paths(inputs, targets, PENALTIES)]
    return float(PENALTIES[int(np.argmin(errors))])


def _collect(train: Iterable[tuple[Array, Array]]) -> tuple[Array, Array, Array, Array]:
    """Features (N, F), loudness (N,), motion (N, C) in float64 and clip numbers (N,), N <= FIT_FRAMES.

    Every `stride`-th frame is kept; whenever twice too many are held the stride doubles, so that memory is bounded.
    """
    kept: list[tuple[Array, Array, Array, Array]] = []
    stride, frames = 1, 0
    for number, (audio, motion) in enumerate(train):
        motion = check_motion(motion, f"training clip {number}")
        if len(audio) != SAMPLES_PER_FRAME * len(motion):
            raise ValueError(
                f"training clip {number}: {len(audio)} audio samples for {len(motion)} frames "
                f"(expected {SAMPLES_PER_FRAME * len(motion)}); cut both to whole frames"
            )
        columns = (context_features(audio), loudness_db(audio), motion, np.full(len(motion), number))
        kept.append(tuple(column[::stride] for column in columns))
        frames += len(kept[-1][0])
        if frames > 2 * FIT_FRAMES:
            kept = [tuple(column[::2] for column in columns) for columns in kept]
            stride, frames = 2 * stride, sum(len(columns[0]) for columns in kept)
    if len(kept) < LEAST_CLIPS:
        raise ValueError(f"{len(kept)} training clips for the baselines (expected at least {LEAST_CLIPS})")
    features, loudness, motion, clip_of_frame = (np.concatenate(column) for column in zip(*kept, strict=True))
    chosen = _spread(len(features), FIT_FRAMES)
    return (
        features[chosen].astype(np.float64),
        loudness[chosen],
        motion[chosen].astype(np.float64),
        clip_of_frame[chosen],
    )


def _spread(count: int, most: int) -> Array:
    """Indices of at most `most` of `count` entries, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)
