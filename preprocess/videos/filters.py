"""What the filters look at, and their verdict. Measures are rounded, so that a report says what was compared.

Shape suffixes: T kept frames, S samples (16 kHz), N motion frames (25 a second), C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from joyvasa.io.video_sound import loudness_db
from joyvasa.motion import EXP, PITCH, ROTATION, SCALE, TRANSLATION, YAW
from preprocess.videos.records import FaceTrack, Piece, Unusable
from preprocess.videos.settings import Filters
from preprocess.videos.speech import speech_share

DIGITS = 4
AT_PEAK = 0.98  # of a clip's highest sample; limiting leaves samples together there, also when the level was lowered
USUAL = 95  # percentile of the angles: a glance aside is no turned head
# Fourth difference, over the root mean square that it leaves of white noise: how much of a signal is white noise.
ALTERNATION = np.array([1, -4, 6, -4, 1]) / np.sqrt(70)
# Shake of one group of channels, and the motion from frame to frame below which nothing is seen of it: keypoint units,
# degrees. Networks without training give less motion than that.
GROUPS: tuple[tuple[tuple[slice, ...], float], ...] = (
    ((EXP,), 0.003),
    ((ROTATION,), 0.3),
    ((SCALE, TRANSLATION), 0.003),
)


@dataclass(frozen=True)
class _Limit:
    """One filter: the reason it counts under, what it compares with which setting, and a sentence for both numbers."""

    code: str
    measure: str
    setting: str
    sentence: str

    @property
    def is_least(self) -> bool:
        return self.setting.startswith("min_")


RATE = _Limit("low_rate", "fps", "min_fps", "{:.1f} pictures a second")
BEFORE = (
    RATE,
    _Limit("several_faces", "rivals", "max_rivals", "another face of nearly its size in {:.0%} of the looks"),
    _Limit("small_face", "face_px", "min_face_px", "the face is {:.0f} pixels wide"),
    _Limit("blurred", "sharpness", "min_sharpness", "sharpness {:.2f}"),
    _Limit("face_lost", "missed", "max_missed", "the face was not seen in {:.0%} of the looks"),
    _Limit("silent", "loudness_db", "min_loudness_db", "the loudest tenth of the sound is at {:.0f} dB"),
    _Limit("clipped", "clipped", "max_clipped", "{:.1%} of the samples are at the peak"),
    _Limit("no_speech", "speech", "min_speech", "{:.0%} of the sound is speech"),
)
AFTER = (
    _Limit("pose", "yaw_deg", "max_yaw_deg", "the head turns by {:.0f} degrees"),
    _Limit("pose", "pitch_deg", "max_pitch_deg", "the head nods by {:.0f} degrees"),
    _Limit("jitter", "jitter", "max_jitter", "shake {:.2f} of the motion"),
)

SYNC = (
    _Limit("out_of_sync", "sync_lag", "max_sync_lag", "voice and lips are {:.0f} frames apart"),
    _Limit("out_of_sync", "sync_confidence", "min_sync_confidence", "confidence {:.2f} that they belong together"),
)


def face_measures(track: FaceTrack, piece: Piece) -> dict[str, float]:
    """Of the face in a piece: fps, kept frames a second; face_px (shorter side of its box) and sharpness, medians;
    rivals and missed, shares of the looks at the whole track."""
    inside = slice(piece.start - track.start, piece.stop - track.start)
    side_T = track.square_T4[:, 2]
    return {
        "fps": round((piece.stop - piece.start) / piece.seconds, 2),
        "face_px": round(track.face_px * float(np.median(side_T[inside]) / np.median(side_T)), 1),
        "sharpness": _rounded(np.median(track.sharpness_T[inside])),
        "rivals": _rounded(track.rivals),
        "missed": _rounded(track.missed / max(1, track.sought)),
    }


def sound_measures(audio_S: np.ndarray) -> dict[str, float]:
    """Of 16 kHz mono sound in [-1, 1]: loudness_db below full scale, clipped and speech as shares."""
    peak = float(np.abs(audio_S).max(initial=0.0))
    return {
        "loudness_db": _rounded(loudness_db(audio_S)),
        "clipped": _rounded((np.abs(audio_S) >= AT_PEAK * peak).mean() if peak else 0.0),
        "speech": _rounded(speech_share(audio_S)),
    }


def motion_measures(motion_NC: np.ndarray) -> dict[str, float]:
    """Of un-normalised motion (N, 70): yaw_deg and pitch_deg either way, and `jitter`."""
    turned = np.percentile(np.abs(motion_NC[:, [YAW, PITCH]]), USUAL, axis=0)
    return {"yaw_deg": _rounded(turned[0]), "pitch_deg": _rounded(turned[1]), "jitter": _rounded(jitter(motion_NC))}


def jitter(motion_NC: np.ndarray) -> float:
    """How much of the motion from frame to frame is white noise: 0 none, 1 all; the highest of expression, pose, place.

    The root mean square change that noise of the measured alternation would give, over the one there is. Speech and
    lively faces measured 0.2 to 0.45; noise that moves a face as much as it moves itself raises that above 0.55.
    """
    if len(motion_NC) < len(ALTERNATION):
        return 0.0
    return max(_shake(motion_NC, channels, floor) for channels, floor in GROUPS)


def _shake(motion_NC: np.ndarray, channels: tuple[slice, ...], floor: float) -> float:
    group_NC = np.concatenate([motion_NC[:, each] for each in channels], axis=1).astype(np.float64)
    if channels == (ROTATION,):
        group_NC = np.unwrap(group_NC, axis=0, period=360.0)
    count = len(group_NC) - len(ALTERNATION) + 1
    noise_NC = sum(weight * group_NC[at : at + count] for at, weight in enumerate(ALTERNATION))
    change_NC = np.diff(group_NC, axis=0)
    noise, change = (np.sqrt(np.square(each).sum(axis=1).mean()) for each in (noise_NC, change_NC))
    return float(np.sqrt(2) * noise / np.hypot(change, floor))


def check_rate(times_T: np.ndarray, filters: Filters) -> None:
    """Raises Unusable for a film most of whose kept frames, shown at `times_T` seconds, stand for too long.

    Before faces are looked for: below 1 / lost_seconds every frame would be a track. Holes between frames are no slow
    rate; a track ends at them.
    """
    if len(times_T) > 1:
        _check((RATE,), {RATE.measure: 1 / float(np.median(np.diff(times_T)))}, filters)


def check_before(measures: Mapping[str, float], filters: Filters) -> None:
    """Raises Unusable for the first of BEFORE that face or sound do not pass."""
    _check(BEFORE, measures, filters)


def check_after(measures: Mapping[str, float], filters: Filters) -> None:
    """Raises Unusable for the first of AFTER that the motion does not pass, then of SYNC where an expert was asked."""
    _check(AFTER if filters.sync is None else AFTER + SYNC, measures, filters)


def _check(limits: tuple[_Limit, ...], measures: Mapping[str, float], filters: Filters) -> None:
    for limit in limits:
        value, bound = measures[limit.measure], getattr(filters, limit.setting)
        if not (value >= bound if limit.is_least else value <= bound):  # NaN passes nothing
            raise Unusable(limit.code, f"{limit.sentence.format(value)} (filters.{limit.setting}={bound:g})")


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
