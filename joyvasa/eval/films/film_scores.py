"""From a film's readings to its numbers, by protocol; what excludes a film from a protocol.

N windows of a track, D width of an embedding, S shifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from joyvasa.eval.films.gauge import Reading, Unfit
from joyvasa.eval.films.results import OFFSET, SHARE
from joyvasa.eval.identity import VideoIdentity
from joyvasa.eval.protocol_fields import Identity, LipSync
from joyvasa.eval.protocol_hash import Protocol
from joyvasa.eval.sync import SyncScore, clip_sync

HIGHER, LOWER, ZERO, NEITHER = "higher", "lower", "zero", ""
# By metric: quantity -> which end is good, unit.
QUANTITIES: dict[str, dict[str, tuple[str, str]]] = {
    "lipsync": {
        "lse_c": (HIGHER, ""),
        "lse_d": (LOWER, ""),
        OFFSET: (ZERO, "frames"),
        "within_1": (HIGHER, SHARE),
        "distance_at_zero": (LOWER, ""),
        "at_edge": (LOWER, SHARE),
    },
    "csim": {
        "csim": (HIGHER, ""),
        "csim_min": (HIGHER, ""),
        "csim_p5": (HIGHER, ""),
        "csim_pessimistic": (HIGHER, ""),
        "face_rate": (HIGHER, SHARE),
    },
    # Pooled first: one copied frame makes the mean of the frames infinite.
    "psnr": {"psnr_pooled": (HIGHER, "dB"), "psnr": (HIGHER, "dB"), "identical": (NEITHER, SHARE)},
    "ssim": {"ssim": (HIGHER, "")},
    "lpips": {"lpips": (LOWER, "")},
}
DECIDING = {"lipsync": ("min_face_rate", "min_loudness_db"), "csim": ("min_face_rate",)}  # of `Rules`, by metric
WITH_LOST_FACES = ("csim_pessimistic", "face_rate")
Pair = tuple[np.ndarray, np.ndarray]  # embeddings of lips and voice of a track, each (N, D)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a film is excluded. max_excluded: share of a system's films above which a run fails. min_face_rate: share of
    frames with a face that counts, for lipsync and csim. min_loudness_db: of the loudest tenth of the sound."""

    max_excluded: float
    min_face_rate: float
    min_loudness_db: float

    def __post_init__(self) -> None:
        if not (0 <= self.max_excluded <= 1 and 0 <= self.min_face_rate <= 1 and self.min_loudness_db <= 0):
            raise ValueError(f"evaluate.rules: {self} (expected shares from 0 to 1, and at most 0 dB)")

    def of(self, metric: str) -> dict[str, float]:
        """Those that decide which films a number is of: they are hashed with its protocol."""
        return {name: getattr(self, name) for name in DECIDING.get(metric, ())}


@dataclass(frozen=True)
class FilmScore:
    """weight: how much it counts in means (its tracks, where each is a row of its own). offsets: of its tracks.
    excluded: why some of the protocol's numbers are not among the values, or ""."""

    values: Mapping[str, float]
    weight: float = 1.0
    offsets: Sequence[float] = ()
    curve: list[float] = field(default_factory=list)
    facts: Mapping[str, float | str] = field(default_factory=dict)
    excluded: str = ""


def score_film(protocol: Protocol, reading: Reading, rules: Rules) -> FilmScore:
    """Raises Unfit: the film is excluded from this protocol."""
    if reading.fault is not None:
        raise Unfit(reading.fault)
    if isinstance(protocol, LipSync):
        check_voice(reading, rules)
        return score_lips(protocol, tracks_of(reading), reading.facts)
    if isinstance(protocol, Identity):
        return _score_identity(reading, rules)
    return FilmScore({name: reading.facts[name] for name in QUANTITIES[protocol.metric]})


def check_voice(reading: Reading, rules: Rules) -> None:
    """Raises Unfit for a silent film, one without a face that counts, and one with a face in too few frames."""
    facts = reading.facts
    if facts["loudness_db"] < rules.min_loudness_db:
        raise Unfit(
            f"silent: the loudest tenth of the sound is at {facts['loudness_db']:.0f} dB "
            f"(expected at least {rules.min_loudness_db:g})"
        )
    if not reading.arrays:
        raise Unfit(_no_track(facts["tracks"]))
    _check_faces(facts["face_rate"], rules)


def voice_facts(facts: Mapping[str, Any]) -> dict[str, float]:
    """What is told beside the numbers of lip sync, also of a film that has none; nothing where it was not read."""
    return {name: facts[name] for name in ("face_rate", "loudness_db") if name in facts}


def _check_faces(share: float, rules: Rules) -> None:
    if share < rules.min_face_rate:
        raise Unfit(f"a face in {share:.0%} of the frames (expected at least {rules.min_face_rate:.0%})")


def _no_track(tracks: Sequence[Mapping[str, Any]]) -> str:
    if not tracks:
        return "no face seen"
    return max(tracks, key=lambda track: track["detections"])["refused"]


def tracks_of(reading: Reading) -> list[Pair]:
    count = sum("array" in track for track in reading.facts["tracks"])
    return [(reading.arrays[f"lip_{number}"], reading.arrays[f"audio_{number}"]) for number in range(count)]


def score_lips(protocol: LipSync, tracks: Sequence[Pair], facts: Mapping[str, Any]) -> FilmScore:
    """Means over a film's tracks; the offset as the protocol sums it up."""
    if protocol.ends == "masked":
        tracks = [pair for pair in tracks if len(pair[0]) > protocol.max_shift]
    if not tracks:
        raise Unfit(f"no more than {protocol.max_shift} windows: at the largest shift no voice is left to compare with")
    found = [_score_track(protocol, pair) for pair in tracks]
    offsets = [score.offset for score in found]
    middle = sorted(offsets)[(len(offsets) - 1) // 2]
    values = {
        "lse_c": _mean(score.confidence for score in found),
        "lse_d": _mean(score.distance for score in found),
        OFFSET: float(int(np.mean(offsets)) if "mean" in protocol.offsets else middle),
        "within_1": _mean(abs(offset) <= protocol.within for offset in offsets),
        "distance_at_zero": _mean(score.distance_at_zero for score in found),
        "at_edge": _mean(score.at_edge for score in found),
    }
    each = protocol.tracks == "each"
    curve_S = np.ma.masked_invalid(np.stack([score.curve_S for score in found])).mean(0).filled(np.nan)
    told = {"tracks": float(len(found)), **voice_facts(facts)}
    weight, own_offsets = (float(len(found)), offsets) if each else (1.0, [values["offset"]])
    return FilmScore(values, weight, own_offsets, curve_S.tolist(), told)


def _score_track(protocol: LipSync, pair: Pair) -> SyncScore:
    lip_ND, audio_ND = (torch.from_numpy(side) for side in pair)
    scores = clip_sync(lip_ND, audio_ND, max_shift=protocol.max_shift)
    return scores.masked if protocol.ends == "masked" else scores.reference


def _mean(values) -> float:
    return float(np.mean([float(value) for value in values]))


def _score_identity(reading: Reading, rules: Rules) -> FilmScore:
    metric = VideoIdentity()
    metric.update(torch.from_numpy(reading.arrays["cosines"]))
    values = {name: float(value) for name, value in metric.compute().items() if name in QUANTITIES["csim"]}
    try:
        _check_faces(values["face_rate"], rules)
    except Unfit as error:  # what counts a lost face keeps the film: a system must not gain by losing it
        kept = {name: np.nan_to_num(values[name]) for name in WITH_LOST_FACES}
        return FilmScore({name: float(value) for name, value in kept.items()}, excluded=str(error))
    return FilmScore(values)
