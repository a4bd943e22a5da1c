"""Motion metrics: what they are called, how they pool over clips, scores with intervals.

| name | is | best |
|---|---|---|
| `lip_pc1`, `lip_pc2` | correlation of lip movement with the audio-determined truth (`lips.correlation`) | ceiling's |
| `lip_pc1_other`, `lip_pc2_other` | the same for motion made from another speaker's voice | 0 |
| `closure_f1`, `_precision`, `_recall` | lips closed at p, b, m (`lips.closure_counts`) | ceiling's |
| `sync_offset_frames` | frames by which the lips are late (`lips.cross_correlation`) | 0 |
| `std_ratio_lips`, `_eyes`, `_pose` | movement, generated over truth (`smoothness.deviation`) | 1 |
| `jerk_ratio_lips`, `_pose` | RMS third difference, generated over truth (`smoothness.squared_jerk`) | 1 |
| `boundary_jerk_lips`, `_pose` | jerk at joins over elsewhere, over the truth's (`smoothness.boundary_ratio`) | 1 |
| `blink_rate`, `blink_rate_truth` | blinks a minute (`distribution.blinks`) | equal |
| `frechet_motion` | distance of distributions of 1 s windows (`distribution.frechet_motion`) | 0 |
| `diversity` | difference between motions, over the truth's (`distribution.diversity`) | 1 |
| `std_ratio_…_closeness`, `jerk_ratio_…`, `blink_rate_…` | the smaller over the larger (`closeness`) | 1, the most |

Correlations are per clip, then averaged; the others pool sums or counts over clips, then divide. The first four rows
compare lips with a voice: clips whose voice does not belong to their motion do not enter them.

Shape suffixes: R resamples, N clips, T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from joyvasa.eval import closeness, distribution, lips, smoothness
from joyvasa.eval.bootstrap import (
    Estimate,
    Score,
    divide,
    draw_resamples,
    interval,
    join_notes,
    mean_of,
    paired_difference,
    ratio_of,
    table,
)
from joyvasa.eval.jackknife import jackknifed
from joyvasa.eval.reference import ClipMotion, MotionReference

__all__ = ["ClipMotion", "MotionReference", "Score", "paired_difference", "per_clip", "score", "score_rows", "table"]

Array = np.ndarray

UNPAIRED = "whose voice does not belong to their motion"
STD_REGIONS = ("lips", "eyes", "pose")
JERK_REGIONS = ("lips", "pose")


@dataclass(frozen=True)
class _Terms:
    """What the pooled metrics add up, per clip; a leading axis of 2 is generated, truth. NaN where undefined."""

    correlations: dict[str, Array]  # name -> (N,)
    cross_correlations: Array  # (N, 21)
    closures: Array  # (N, 3): matched, closures, bilabials
    paired: Array  # (N,) bool; unpaired clips have NaN or zeros in the fields above
    phones_known: Array  # (N,) bool, of the paired
    deviations: dict[str, Array]  # region -> (2, N)
    jerks: dict[str, Array]  # region -> (2, N)
    boundaries: dict[str, Array]  # region -> (2, N, 4), zeros without joins
    joined: Array  # (N,) bool
    blinks: Array  # (2, N)
    minutes: Array  # (N,)


def _terms(clips: Sequence[ClipMotion], reference: MotionReference) -> _Terms:
    def correlate(which: str) -> Array:
        motions = [getattr(clip, which) if clip.paired else None for clip in clips]
        pairs = [lips.lip_correlations(m, clip, reference) for m, clip in zip(motions, clips, strict=True)]
        return np.array(pairs).T

    def both(measure) -> Array:
        return np.array([[measure(getattr(clip, which)) for clip in clips] for which in ("generated", "truth")])

    def joins(region: str) -> Array:
        channels, none = smoothness.REGIONS[region], smoothness.BoundaryJerk(0, 0, 0, 0)
        sums = [
            [smoothness.boundary_jerk(getattr(clip, which), clip, reference, channels) or none for clip in clips]
            for which in ("generated", "truth")
        ]
        return np.array([[astuple(s) for s in row] for row in sums], np.float64)

    phoned = [clip if clip.paired else replace(clip, phones=None) for clip in clips]
    shifts = np.full(2 * lips.MAX_SHIFT + 1, np.nan)
    made, other, regions = correlate("generated"), correlate("other"), smoothness.REGIONS
    return _Terms(
        correlations=dict(zip(("lip_pc1", "lip_pc2", "lip_pc1_other", "lip_pc2_other"), [*made, *other], strict=True)),
        cross_correlations=np.stack([lips.cross_correlation(c, reference) if c.paired else shifts for c in clips]),
        closures=np.array([astuple(lips.closure_counts(c.generated, c, reference)) for c in phoned], float),
        paired=np.array([clip.paired for clip in clips]),
        phones_known=np.array([clip.phones is not None for clip in phoned]),
        deviations={r: both(lambda m, r=r: smoothness.deviation(m, reference, regions[r])) for r in STD_REGIONS},
        jerks={r: both(lambda m, r=r: smoothness.squared_jerk(m, reference, regions[r])) for r in JERK_REGIONS},
        boundaries={region: joins(region) for region in JERK_REGIONS},
        joined=np.array([bool(clip.joins) for clip in clips]),
        blinks=both(lambda m: distribution.blinks(m, reference)).astype(np.float64),
        minutes=np.array([distribution.minutes(clip.truth) for clip in clips]),
    )


def per_clip(clips: Sequence[ClipMotion], reference: MotionReference) -> dict[str, Array]:
    """Every metric that a single clip has, name -> (N,), NaN where it is undefined; not Fréchet distance, diversity."""
    terms = _terms(clips, reference)
    matched, closures, bilabials = terms.closures.T
    values = dict(terms.correlations)
    values["closure_f1"] = divide(2 * matched, closures + bilabials)
    values["closure_precision"], values["closure_recall"] = divide(matched, closures), divide(matched, bilabials)
    values["sync_offset_frames"] = lips.best_shift(terms.cross_correlations)
    for region, (made, truth) in terms.deviations.items():
        values[f"std_ratio_{region}"] = divide(made, truth)
    for region, (made, truth) in terms.jerks.items():
        values[f"jerk_ratio_{region}"] = np.sqrt(divide(made, truth))
    for region, (made, truth) in terms.boundaries.items():
        values[f"boundary_jerk_{region}"] = smoothness.boundary_ratio(made, truth)
    values["blink_rate"], values["blink_rate_truth"] = terms.blinks / terms.minutes
    return values | closeness.of_values(values)


def _estimates(terms: _Terms) -> dict[str, tuple[Estimate, int, str]]:
    """name -> (estimate, clips that enter, note) of the metrics that per-clip terms determine."""
    clips = len(terms.minutes)

    def left_out(present: Array, reason: str, among: Array | None = None) -> tuple[int, str]:
        asked = np.ones(clips, bool) if among is None else among
        missing, unpaired = int((asked & ~present).sum()), clips - int(asked.sum())
        note = f"{missing} of {clips} clips left out: {reason}" if missing else ""
        return int(present.sum()), join_notes(f"not scored: {unpaired} clips {UNPAIRED}" if unpaired else "", note)

    found: dict[str, tuple[Estimate, int, str]] = {}
    for name, values in terms.correlations.items():
        reason = "no other voice, or still truth" if name.endswith("other") else "still truth"
        found[name] = (mean_of(values), *left_out(np.isfinite(values), reason, terms.paired))
    matched, closures, bilabials = terms.closures.T
    phones = left_out(terms.phones_known, "no phone times", terms.paired)
    found["closure_f1"] = (ratio_of(2 * matched, closures + bilabials), *phones)
    found["closure_precision"] = (ratio_of(matched, closures), *phones)
    found["closure_recall"] = (ratio_of(matched, bilabials), *phones)
    curves = np.nan_to_num(terms.cross_correlations, nan=0.0)
    reason = f"under {lips.MIN_SYNC_FRAMES} frames, or still truth"
    usable = left_out(np.isfinite(terms.cross_correlations).any(1), reason, terms.paired)
    found["sync_offset_frames"] = (lambda weights_RN: lips.best_shift(weights_RN @ curves), *usable)
    for region, (made, truth) in terms.deviations.items():
        found[f"std_ratio_{region}"] = (ratio_of(made, truth), clips, "")
    for region, (made, truth) in terms.jerks.items():
        found[f"jerk_ratio_{region}"] = (_root(ratio_of(made, truth)), clips, "")
    for region, sums in terms.boundaries.items():
        found[f"boundary_jerk_{region}"] = (_pooled_boundary(sums), *left_out(terms.joined, "no window join"))
    for name, counts in zip(("blink_rate", "blink_rate_truth"), terms.blinks, strict=True):
        found[name] = (ratio_of(counts, terms.minutes), clips, "")
    return found | closeness.of_estimates(found)


def _root(estimate: Estimate) -> Estimate:
    return lambda weights_RN: np.sqrt(estimate(weights_RN))


def _pooled_boundary(sums: Array) -> Estimate:
    """Estimate from (2, N, 4) sums: generated, truth."""
    return lambda weights_RN: smoothness.boundary_ratio(weights_RN @ sums[0], weights_RN @ sums[1])


def score(clips: Sequence[ClipMotion], reference: MotionReference, seed: int) -> dict[str, Score]:
    """Every metric with its 95 % interval over voices: percentile bootstrap, 1000 resamples drawn from `seed`; of the
    Fréchet distance, which a resample with its repeated clips moves up, jackknife. Of few voices there is no interval.

    A metric that the clips cannot give (no phones, no joins, too few windows) is NaN with a note that says why.
    Raises ValueError for no clip.
    """
    if not clips:
        raise ValueError("no clip to score: is the validation split empty?")
    resamples = draw_resamples([clip.key for clip in clips], seed, "voice")
    scores = {
        name: interval(estimate, resamples, n, note)
        for name, (estimate, n, note) in _estimates(_terms(clips, reference)).items()
    }
    spread, note = distribution.diversity(clips, reference)
    missing = Score(np.nan, np.nan, np.nan, len(clips), note)
    scores["diversity"] = missing if spread is None else interval(spread, resamples, len(clips), note)
    distance, note = distribution.frechet_motion(clips, reference)
    missing = Score(np.nan, np.nan, np.nan, len(clips), note)
    scores["frechet_motion"] = missing if distance is None else jackknifed(distance, [clip.key for clip in clips])
    return scores


def score_rows(
    clips: Sequence[ClipMotion],
    baselines_by_name: Mapping[str, Mapping[str, Array]],
    reference: MotionReference,
    seed: int,
) -> dict[str, dict[str, Score]]:
    """Rows for `table`: `model`, `other_voice` (where clips have one), `ceiling`, and every baseline.

    `baselines_by_name` is name -> clip key -> motion (T, 70). `other_voice` judges the motion made from another
    speaker's voice as if it were this clip's; `ceiling` judges the recorded motion itself: what its part that audio
    does not determine leaves of each score. Baselines and ceiling are judged once a voice. Rows other than `model` have
    no `*_other` scores.
    Raises ValueError naming a baseline that lacks a clip.
    """

    def judge(row: Sequence[ClipMotion]) -> dict[str, Score]:
        return {name: value for name, value in score(row, reference, seed).items() if not name.endswith("_other")}

    single = list({clip.key: replace(clip, other=None) for clip in clips}.values())
    rows = {"model": score(clips, reference, seed)}
    others = [as_other_voice(clip) for clip in clips if clip.other is not None]
    if others:
        rows["other_voice"] = judge(others)
        missing = len(clips) - len(others)
        if missing:
            note = f"{missing} of {len(clips)} clips have no other voice"
            rows["other_voice"] = {
                name: replace(value, note=join_notes(note, value.note)) for name, value in rows["other_voice"].items()
            }
    rows["ceiling"] = judge([replace(clip, generated=clip.truth) for clip in single])
    for name, motions in baselines_by_name.items():
        lacking = [clip.key for clip in single if clip.key not in motions]
        if lacking:
            raise ValueError(f"baseline {name} lacks {len(lacking)} clips, first {lacking[0]}; predict every clip")
        rows[name] = judge([replace(clip, generated=motions[clip.key]) for clip in single])
    return rows


def as_other_voice(clip: ClipMotion) -> ClipMotion:
    """The clip judged by its `other` motion, everything cut to the common beginning."""
    frames = min(len(clip.other), len(clip.truth))
    return replace(
        clip,
        truth=clip.truth[:frames],
        determined=None if clip.determined is None else clip.determined[:frames],
        generated=clip.other[:frames],
        other=None,
        joins=tuple(join for join in clip.joins if join < frames),
    )
