"""What the motion metrics are given: clips to judge, and scales fitted on the training split.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from joyvasa.motion import (
    CHANNELS,
    LIPS,
    LOWER_LIP,
    ROTATION,
    SCALE,
    STD_FLOOR,
    TRANSLATION,
    UPPER_LIP,
    check_motion,
    eye_closing,
    lip_opening,
)

Array = np.ndarray

# Scale, x and y of the translation (z is unused) and the three angles.
POSE = [SCALE.start, TRANSLATION.start, TRANSLATION.start + 1, *range(ROTATION.start, ROTATION.stop)]
COMPONENTS = 8
OPENING_LOW, OPENING_HIGH = 2, 90
BLINK_PERCENTILE = 99.5


@dataclass(frozen=True)
class ClipMotion:
    """One clip to judge; all motions (T, 70), un-normalised, 25 frames a second.

    truth        recorded motion
    determined   the part of the truth that audio determines, where known; else None
    generated    the system's motion for this clip's voice
    other        the system's motion for the voice of ANOTHER speaker's clip; else None. May be longer or shorter: what
                 is compared is the common beginning.
    phones       (start_s, end_s, symbol), where known; else None
    joins        frames where a new generation window begins (none for a clip generated in one piece)
    paired       whether the recorded face spoke with this voice; without it lips and voice are not compared

    Clips that share a key are several motions generated for one voice.
    Raises ValueError naming the clip: a wrong shape, NaN, or another number of frames than the truth's.
    """

    key: str
    truth: Array
    determined: Array | None
    generated: Array
    other: Array | None = None
    phones: list[tuple[float, float, str]] | None = None
    joins: tuple[int, ...] = ()
    paired: bool = True

    def __post_init__(self) -> None:
        for name in ("truth", "determined", "generated", "other"):
            if getattr(self, name) is not None:
                check_motion(getattr(self, name), f"clip {self.key}, {name}")
        for name in ("determined", "generated"):
            motion = getattr(self, name)
            if motion is not None and len(motion) != len(self.truth):
                raise ValueError(
                    f"clip {self.key}: {len(motion)} frames in {name} for {len(self.truth)} of the truth; "
                    "generate exactly as many frames as the clip has"
                )
        if any(not 0 < join < len(self.truth) for join in self.joins):
            raise ValueError(f"clip {self.key}: joins {self.joins} outside frames 1 to {len(self.truth) - 1}")

    @property
    def target(self) -> Array:
        """What the lips are compared with: the audio-determined part where known, else the recording."""
        return self.truth if self.determined is None else self.determined


@dataclass(frozen=True)
class MotionReference:
    """Scales and directions from the TRAINING split.

    mean, std         (70,) of every channel over all frames, std floored at `motion.STD_FLOOR`
    lip_directions    (2, 18): the principal directions of the six lip keypoints (`motion.LIPS`, un-normalised), of
                      largest variance within clips: each clip is centred first, since a speaker's resting face is no
                      movement; signed so that the lip opening rises along them
    components        (8, 70): the principal directions of all channels divided by std, over all frames
    component_std     (8,): the standard deviation along them
    opening_range     median over clips of the 90th less the 2nd percentile of the lip opening
    blink_amplitude   half the median over clips of the 99.5th percentile less the median of the eye closing: a smaller
                      movement of the lids is no blink
    """

    mean: Array
    std: Array
    lip_directions: Array
    components: Array
    component_std: Array
    opening_range: float
    blink_amplitude: float

    @classmethod
    def fit(cls, motions: Iterable[Array]) -> MotionReference:
        """One pass over motions (T, 70), kept in memory one at a time. Raises ValueError for no clip or bad motion."""
        frames, total, moment = 0, np.zeros(CHANNELS), np.zeros((CHANNELS, CHANNELS))
        within = np.zeros((len(LIPS), len(LIPS)))
        ranges, blinks = [], []
        for number, motion in enumerate(motions):
            motion = check_motion(motion, f"training clip {number}").astype(np.float64)
            frames, total, moment = frames + len(motion), total + motion.sum(0), moment + motion.T @ motion
            lips = motion[:, LIPS] - motion[:, LIPS].mean(0)
            within += lips.T @ lips
            low, high = np.percentile(lip_opening(motion), [OPENING_LOW, OPENING_HIGH])
            ranges.append(high - low)
            blinks.append(np.percentile(eye_closing(motion), BLINK_PERCENTILE) - np.median(eye_closing(motion)))
        if frames == 0:
            raise ValueError("no training clip to fit the motion reference on: is the training split empty?")
        mean = total / frames
        covariance = moment / frames - np.outer(mean, mean)
        std = np.sqrt(np.diag(covariance).clip(min=STD_FLOOR**2))
        variance, vectors = np.linalg.eigh(covariance / np.outer(std, std))
        largest = np.argsort(variance)[::-1][:COMPONENTS]
        return cls(
            mean=mean,
            std=std,
            lip_directions=_signed(np.linalg.eigh(within)[1][:, [-1, -2]].T),
            components=vectors[:, largest].T,
            component_std=np.sqrt(variance[largest].clip(min=STD_FLOOR**2)),
            opening_range=float(np.median(ranges)),
            blink_amplitude=float(np.median(blinks)) / 2,
        )

    def normalise(self, motion_TC: Array) -> Array:
        """(motion − mean) / std in float64; nothing is clipped, so that no excess is hidden."""
        return (np.asarray(motion_TC, np.float64) - self.mean) / self.std

    def lip_curves(self, motion_TC: Array) -> Array:
        """Projections of the lip channels on the two principal directions, (T, 70) -> (2, T), keypoint units."""
        return self.lip_directions @ np.asarray(motion_TC, np.float64)[:, LIPS].T


def _signed(directions: Array) -> Array:
    """Flip each (18,) direction so that the lip opening rises along it (its largest entry, where it has no effect)."""
    rises = directions[:, LIPS.index(3 * LOWER_LIP + 1)] - directions[:, LIPS.index(3 * UPPER_LIP + 1)]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)[:, 0]
    return directions * np.where(np.where(np.abs(rises) > 1e-9, rises, largest) < 0, -1.0, 1.0)[:, None]
