"""How a synthetic speaker moves: phones -> mouth gestures -> motion in the official space; and what no voice tells.

Gestures are unitless curves. Visemes blend by dominance (Cohen & Massaro 1993): each phone pulls with its grip, which
fades exponentially before and after it, further ahead than behind, so that lips round before the rounded vowel sounds.
Amplitudes follow official LivePortrait motion files: lips 0.014, lids 0.005, pitch, yaw, roll 2, 3, 1 degrees (std).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joyvasa.data.synthetic_phones import BILABIALS, Segment
from joyvasa.motion import BROWS, CHANNELS, EXP, EYELIDS, FPS, KEYPOINTS, LOWER_LIP, MOUTH_CORNERS, PITCH, UPPER_LIP

GESTURES = ("opening", "spread", "tuck", "smile", "brows", "blink", "gaze_x", "gaze_y")
_RATE = 100  # gestures are drawn at 100 Hz and read at the middle of each frame
_AHEAD, _BEHIND = 0.11, 0.07  # seconds in which a phone's pull fades, before and after it
_LIP_CLOSING = 0.07  # seconds the lips take to shut or part
_TRACKING_NOISE_EXP, _TRACKING_NOISE_DEG, _TRACKING_NOISE_SCALE, _TRACKING_NOISE_SHIFT = 1.5e-4, 0.04, 4e-4, 2e-4
_POSE_STD = np.array([0.012, 0.012, 0.010, 0.0, 1.9, 2.8, 1.1])  # scale, translation x y z, pitch, yaw, roll

_Y = {name: np.zeros((KEYPOINTS, 3)) for name in GESTURES}


def _set(gesture: str, keypoint: int, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
    _Y[gesture][keypoint] = (x, y, z)


_set("opening", LOWER_LIP, y=0.058, z=0.004)
_set("opening", UPPER_LIP, y=-0.006)
_set("opening", MOUTH_CORNERS, y=0.005)
_set("opening", 17, y=0.003, z=0.001)
_set("opening", 5, y=0.006)
_set("opening", 10, y=0.004)
_set("spread", MOUTH_CORNERS, x=0.004, y=-0.006)
_set("spread", UPPER_LIP, x=0.002, y=-0.010, z=-0.005)
_set("spread", LOWER_LIP, x=-0.003, y=0.002, z=-0.003)
_set("spread", 17, y=0.002, z=-0.004)
_set("spread", 3, y=-0.003)
_set("spread", 7, y=-0.003)
_set("tuck", LOWER_LIP, y=-0.006, z=-0.005)
_set("tuck", UPPER_LIP, y=-0.009, z=0.002)
_set("tuck", 17, y=-0.003, z=0.002)
_set("smile", MOUTH_CORNERS, y=-0.005)
_set("smile", UPPER_LIP, y=-0.003)
_set("smile", 17, y=0.002, z=0.001)
_set("smile", 3, y=-0.004)
_set("smile", 7, y=-0.004)
_set("smile", 13, y=-0.003)
_set("brows", BROWS[0], y=0.006)
_set("brows", BROWS[1], y=-0.008)
_set("brows", 0, y=-0.004)
_set("blink", EYELIDS[0], y=0.019)
_set("blink", EYELIDS[1], y=0.018)
_set("blink", 13, y=0.004)
_set("blink", 16, y=0.003)
_set("gaze_x", EYELIDS[0], x=0.003)
_set("gaze_x", EYELIDS[1], x=0.003)
_set("gaze_y", EYELIDS[0], y=0.003)
_set("gaze_y", EYELIDS[1], y=0.003)
_set("gaze_y", 2, y=0.002)

_MOVES = np.any([shape.ravel() != 0 for shape in _Y.values()], axis=0)  # like official files, most channels stand still


@dataclass(frozen=True)
class Manner:
    """One speaker's shapes and habits. `basis` (gestures, 63) turns gestures into expression offsets."""

    basis: np.ndarray
    neutral: np.ndarray  # (70,) the face at rest
    blinks_per_minute: float
    nod_deg: float
    brow_raise: float
    restlessness: float  # gain of head drift
    drift_seconds: float
    smile: float  # gain of the expression that audio does not tell
    anticipation: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Manner:
        basis = np.stack([_Y[name].ravel() for name in GESTURES])
        basis = basis * rng.uniform(0.75, 1.25, (len(GESTURES), 1)) * rng.normal(1.0, 0.12, basis.shape)
        neutral = np.zeros(CHANNELS)
        neutral[EXP] = rng.normal(0, 0.0008, 63) * _MOVES
        neutral[EXP].reshape(KEYPOINTS, 3)[[LOWER_LIP, UPPER_LIP], 1] += (-0.020, 0.003)
        neutral[EXP].reshape(KEYPOINTS, 3)[list(EYELIDS), 1] += -0.004
        neutral[EXP.stop :] = (1.35, 0, 0, 0, 2, 0, 0) + rng.normal(0, 1, 7) * (0.08, 0.015, 0.02, 0, 1.5, 1.5, 0.8)
        return cls(
            basis=basis,
            neutral=neutral,
            blinks_per_minute=float(rng.uniform(10, 28)),
            nod_deg=float(rng.uniform(0.8, 2.5)),
            brow_raise=float(rng.uniform(0.2, 0.8)),
            restlessness=float(rng.uniform(0.7, 1.3)),
            drift_seconds=float(rng.uniform(1.0, 2.2)),
            smile=float(rng.uniform(0.4, 1.0)),
            anticipation=float(rng.uniform(0.85, 1.2)),
        )


def _distance(times: np.ndarray, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds before the start and after the end of a segment, 0 inside."""
    return np.maximum(start - times, 0), np.maximum(times - end, 0)


def mouth_gestures(segments: list[Segment], manner: Manner, times: np.ndarray) -> dict[str, np.ndarray]:
    """Opening, spread and tuck (N,) at `times` seconds: what the voice determines of the mouth."""
    pulls = {name: (np.zeros_like(times), np.full_like(times, 1e-6)) for name in ("opening", "spread", "tuck")}
    shut = np.zeros_like(times)
    for segment in segments:
        phone, middle = segment.phone, (segment.start + segment.end) / 2
        before, after = _distance(times, segment.start, segment.end)
        near = (before < 0.6) & (after < 0.6)
        before, after, here = before[near], after[near], times[near]
        decay = np.exp(-before / (_AHEAD * manner.anticipation) - after / _BEHIND)
        rounding = np.exp(-before / (1.7 * _AHEAD * manner.anticipation) - after / _BEHIND)
        late = 1 / (1 + np.exp(-(here - middle) / 0.02)) if phone.glide_hz else 0.0
        opening = phone.opening + late * (phone.glide_opening - phone.opening) if phone.glide_hz else phone.opening
        spread = phone.spread + late * (phone.glide_spread - phone.spread) if phone.glide_hz else phone.spread
        opening = opening * (1 + 0.25 * segment.stress) + (0.08 if segment.breath else 0.0)
        for name, grip, target, fade in (
            ("opening", phone.opening_grip, opening, decay),
            ("spread", phone.spread_grip, spread, rounding),
            ("tuck", max(phone.opening_grip, 0.3), phone.tuck, decay),
        ):
            total, weight = pulls[name]
            total[near] += grip**2 * fade * target
            weight[near] += grip**2 * fade
        if phone.symbol in BILABIALS:
            ramp = np.clip(1 - np.maximum(before, after) / _LIP_CLOSING, 0, 1)
            shut[near] = np.maximum(shut[near], ramp * ramp * (3 - 2 * ramp))
    gestures = {name: total / weight for name, (total, weight) in pulls.items()}
    gestures["opening"] = gestures["opening"] * (1 - shut)
    gestures["spread"] = gestures["spread"] * (1 - 0.6 * shut)  # pressed lips can neither round nor part
    return gestures


def _accents(segments: list[Segment], times: np.ndarray) -> np.ndarray:
    """One hump of 0.5 s for each stressed vowel, as high as its stress."""
    humps = np.zeros_like(times)
    for segment in segments:
        if segment.stress > 0 and segment.phone.kind in ("vowel", "diphthong"):
            phase = np.clip((times - (segment.start + segment.end) / 2) / 0.5 + 0.5, 0, 1)
            humps = np.maximum(humps, segment.stress * np.sin(np.pi * phase) ** 2)
    return humps


def _drift(frames: int, seconds: float, width: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (frames, width) of unit variance that forgets itself within `seconds`."""
    reach = max(3, int(2 * seconds * FPS))
    kernel = np.hanning(reach + 2)[1:-1]
    white = rng.standard_normal((frames + reach - 1, width))
    return np.stack([np.convolve(column, kernel, "valid") for column in white.T], 1) / np.sqrt((kernel**2).sum())


def _blinks(frames: int, manner: Manner, rng: np.random.Generator) -> np.ndarray:
    """Lids 0 open … 1 shut: three frames down and up, gamma-distributed intervals."""
    lids, shape = np.zeros(frames + 16), np.array([0.35, 0.9, 1.0, 0.75, 0.4, 0.12])
    clock = rng.uniform(0, 60 / manner.blinks_per_minute) * FPS
    while clock < frames:
        at = int(clock)
        lids[at : at + len(shape)] = np.maximum(lids[at : at + len(shape)], shape)
        clock += FPS * (0.4 + rng.gamma(2.0, 0.5 * (60 / manner.blinks_per_minute - 0.4)))
    return lids[:frames]


def move(
    segments: list[Segment], manner: Manner, frames: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Motion (T, 70) and the part of it that the voice determines (T, 70), both float32.

    Determined: visemes, and the nods and brow raises on accents, on the speaker's neutral face.
    The rest: blinks, gaze, a drifting smile and brow, head drift, tracking noise.
    """
    times = (np.arange(frames * _RATE // FPS) + 0.5) / _RATE
    mouth = mouth_gestures(segments, manner, times)
    accents = _accents(segments, times)
    per_frame = {name: curve.reshape(frames, -1).mean(1) for name, curve in (mouth | {"accents": accents}).items()}

    gestures = np.zeros((frames, len(GESTURES)))
    for name in ("opening", "spread", "tuck"):
        gestures[:, GESTURES.index(name)] = per_frame[name]
    gestures[:, GESTURES.index("brows")] = manner.brow_raise * per_frame["accents"]
    determined = manner.neutral + np.zeros((frames, CHANNELS))
    determined[:, EXP] += gestures @ manner.basis
    determined[:, PITCH] += manner.nod_deg * per_frame["accents"]

    free = np.zeros_like(gestures)
    slow = _drift(frames, 1.5, 4, rng)
    for column, name in enumerate(("smile", "brows", "gaze_x", "gaze_y")):
        free[:, GESTURES.index(name)] = manner.smile * slow[:, column] * (0.5 if name == "brows" else 1.0)
    free[:, GESTURES.index("blink")] = _blinks(frames, manner, rng)
    motion = determined.copy()
    motion[:, EXP] += free @ manner.basis
    pose = _drift(frames, manner.drift_seconds, 7, rng)
    motion[:, EXP.stop :] += manner.restlessness * _POSE_STD * pose
    return _track(motion, rng), determined.astype(np.float32)


def _track(motion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the jitter of a motion extractor, of the size seen in official files; still channels stay still."""
    noise = rng.standard_normal(motion.shape)
    noise[:, EXP] *= _TRACKING_NOISE_EXP * _MOVES
    noise[:, EXP.stop] *= _TRACKING_NOISE_SCALE
    noise[:, EXP.stop + 1 : EXP.stop + 4] *= np.array([_TRACKING_NOISE_SHIFT, _TRACKING_NOISE_SHIFT, 0.0])
    noise[:, PITCH:] *= _TRACKING_NOISE_DEG
    return (motion + noise).astype(np.float32)
