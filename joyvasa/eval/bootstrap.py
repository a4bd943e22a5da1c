"""Scores with intervals: every score is a function of clip weights, resampled over voices.

A metric's per-clip terms are computed once; its *estimate* maps weights (R, N) on the N clips to values (R,). Weights
of one give the score, weights drawn by the bootstrap give its interval, all resamples in one matrix product.

Below LEAST_FOR_INTERVAL voices there is no interval. A bootstrap of so few repeats the same values: measured on normal
and on exponential values, its 95 % interval holds the true mean in 49 of 100 cases of two voices, 72 of three, 79 of
four, 80 of five, 89 of ten and 93 of twenty; of one voice it is the value itself.

Shape suffixes: R resamples, N clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Estimate = Callable[[Array], Array]

RESAMPLES = 1000
CONFIDENCE = 0.95
TABLE_WIDTH = 120
LEAST_FOR_INTERVAL = 5  # voices, films or speakers below which there is no interval, and nothing is told apart


@dataclass(frozen=True)
class Score:
    """A value with the bounds of its 95 % interval; `n` clips entered; NaN always comes with a `note`, also NaN bounds
    of a value that is none."""

    value: float
    low: float
    high: float
    n: int
    note: str = ""


def resample_weights(keys: Sequence[str], seed: int, resamples: int = RESAMPLES) -> Array:
    """How often each clip is drawn, (R, N): voices (distinct keys) drawn with replacement, as many as there are.

    Several motions generated for one voice share its key and are drawn together: they are not independent evidence.
    """
    voices, voice_of_clip = np.unique(np.asarray(keys), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(voices), np.full(len(voices), 1 / len(voices)), size=resamples)
    return draws[:, voice_of_clip].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Resamples:
    """Draws of independent units.

    Attributes:
        weights_RN: how often each clip is drawn, as `resample_weights` gives it.
        units: how many independent units there are.
        unit: what they are called, in the singular: "voice", "film", "speaker" or "clip".
    """

    weights_RN: Array
    units: int
    unit: str


def draw_resamples(keys: Sequence[str], seed: int, unit: str) -> Resamples:
    """Draw units (distinct keys) with replacement, see `resample_weights`."""
    return Resamples(resample_weights(keys, seed), len(set(keys)), unit)


def too_few(units: int, unit: str) -> str:
    """Why there is no interval of so few units; empty where there are enough."""
    if units >= LEAST_FOR_INTERVAL:
        return ""
    return f"no interval: {units} {unit}{'' if units == 1 else 's'} (expected {LEAST_FOR_INTERVAL} or more)"


def mean_of(values_N: Array) -> Estimate:
    """Weighted mean of the finite values."""
    values, present = np.nan_to_num(values_N, nan=0.0), np.isfinite(values_N).astype(np.float64)
    return lambda weights_RN: divide(weights_RN @ values, weights_RN @ present)


def ratio_of(numerator_N: Array, denominator_N: Array) -> Estimate:
    """Ratio of weighted sums, so that long and lively clips count by what they hold."""
    return lambda weights_RN: divide(weights_RN @ numerator_N, weights_RN @ denominator_N)


def divide(numerator: Array, denominator: Array) -> Array:
    """Quotient, NaN (without a warning) where the denominator is not positive."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def interval(estimate: Estimate, resamples: Resamples, n: int, note: str = "") -> Score:
    """The estimate at equal weights and its percentile interval over the resamples.

    Resamples where it is undefined are left out of the percentiles and counted in the note. Of fewer units than
    LEAST_FOR_INTERVAL, or fewer clips that entered, the bounds are NaN, and the note says why.
    """
    weights_RN = resamples.weights_RN
    value = float(estimate(np.ones((1, weights_RN.shape[1])))[0])
    if not np.isfinite(value):
        return Score(np.nan, np.nan, np.nan, n, note or "undefined on these clips")
    few = too_few(min(n, resamples.units), resamples.unit)
    if few:
        return Score(value, np.nan, np.nan, n, join_notes(note, few))
    drawn = estimate(weights_RN)
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < len(drawn):
        note = join_notes(note, f"undefined in {len(drawn) - len(defined)} of {len(drawn)} resamples")
    if len(defined) == 0:
        return Score(value, np.nan, np.nan, n, note)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Score(value, float(low), float(high), n, note)


def join_notes(*notes: str) -> str:
    """The notes that say something, separated by semicolons."""
    return "; ".join(note for note in notes if note)


def paired_difference(per_clip_a: Array, per_clip_b: Array, seed: int) -> Score:
    """Mean of a − b over clips where both are finite, with its bootstrap interval over clips.

    Both (N,), the same clips in the same order, one value a voice. An interval that excludes 0 tells the systems apart.
    """
    a, b = np.asarray(per_clip_a, np.float64), np.asarray(per_clip_b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired scores of shapes {a.shape} and {b.shape} (expected the same (clips,)): same clips?")
    difference = (a - b)[np.isfinite(a) & np.isfinite(b)]
    left_out = len(a) - len(difference)
    note = f"{left_out} clips without a value in both left out" if left_out else ""
    if len(difference) == 0:
        return Score(np.nan, np.nan, np.nan, 0, join_notes("no clip has both values", note))
    resamples = draw_resamples([str(i) for i in range(len(difference))], seed, "clip")
    return interval(mean_of(difference), resamples, len(difference), note)


def table(rows: Mapping[str, Mapping[str, Score]]) -> str:
    """Plain text: a row per system, a column per metric (value and interval), wrapped into blocks of 120 columns.

    Notes follow, each once, with the systems and metrics they belong to.
    """
    metrics = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    label = max([len(name) for name in rows] + [len("system")])
    cells = {(r, m): _cell(rows[r].get(m)) for r in rows for m in metrics}
    width = {m: max([len(m)] + [len(cells[r, m]) for r in rows]) for m in metrics}
    blocks: list[list[str]] = [[]]
    used = label
    for metric in metrics:
        if blocks[-1] and used + 2 + width[metric] > TABLE_WIDTH:
            blocks.append([])
            used = label
        blocks[-1].append(metric)
        used += 2 + width[metric]
    lines = []
    for block in blocks:
        lines.append("  ".join(["system".ljust(label)] + [m.rjust(width[m]) for m in block]))
        lines += ["  ".join([r.ljust(label)] + [cells[r, m].rjust(width[m]) for m in block]) for r in rows]
        lines.append("")
    return "\n".join(lines + _notes(rows)).rstrip() + "\n"


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    if np.isnan(score.value):
        return "-"
    value, low, high = (f"{round(each, 2) + 0.0:.2f}" for each in (score.value, score.low, score.high))  # no -0.00
    return value if np.isnan(score.low) or np.isnan(score.high) else f"{value} [{low}, {high}]"


def _notes(rows: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """One line a note: `note: metric (system, system), metric (system)`."""
    where: dict[str, dict[str, list[str]]] = {}
    for system, scores in rows.items():
        for metric, score in scores.items():
            if score.note:
                where.setdefault(score.note, {}).setdefault(metric, []).append(system)

    def places(metrics: dict[str, list[str]]) -> str:
        shared = list(metrics.values())
        if all(systems == shared[0] for systems in shared):
            return f"{', '.join(metrics)} ({'all' if len(shared[0]) == len(rows) else ', '.join(shared[0])})"
        return ", ".join(f"{metric} ({', '.join(systems)})" for metric, systems in metrics.items())

    return [f"note: {note}: {places(metrics)}" for note, metrics in where.items()]
