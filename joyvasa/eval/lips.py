"""Do the lips follow the voice: correlation on principal directions, offset in time, closures at p, b, m.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from joyvasa.eval.reference import OPENING_HIGH, OPENING_LOW, ClipMotion, MotionReference
from joyvasa.motion import FPS, lip_opening

Array = np.ndarray

MAX_SHIFT = 10
MIN_SYNC_FRAMES = 3 * MAX_SHIFT  # so that a shifted pair still overlaps by two thirds
STILL = 1e-5  # a curve that moves less than this share of the usual opening range is constant (float32 rounding)

BILABIALS = frozenset({"p", "b", "m"})
PAUSES = frozenset({"sil", "sp", "pau", ""})
MIN_PAUSE_FRAMES = 3  # shorter gaps are stop closures or rounding of the labels
TOLERANCE = 2
PAUSE_MARGIN = 3
MERGE_GAP = 3
LEVEL = 0.35
PROMINENCE = 0.2
MIN_RANGE = 0.2


def correlation(generated_T: Array, truth_T: Array, still: float) -> float:
    """Pearson correlation r = Σ (g − ḡ)(t − t̄) / (T σ_g σ_t) over the common beginning of two curves.

    A generated curve with σ <= `still` says nothing and scores 0; a truth with σ <= `still` has nothing to be said
    about and scores NaN. Invariant to gain and offset. Smoothing a noisy curve can raise it, which is why the ratios of
    deviation and jerk stand beside it.
    """
    frames = min(len(generated_T), len(truth_T))
    g, t = generated_T[:frames] - generated_T[:frames].mean(), truth_T[:frames] - truth_T[:frames].mean()
    if t.std() <= still:
        return float("nan")
    if g.std() <= still:
        return 0.0
    return float(np.clip((g @ t) / (frames * g.std() * t.std()), -1, 1))


def lip_correlations(motion_TC: Array | None, clip: ClipMotion, reference: MotionReference) -> tuple[float, float]:
    """Correlation of `motion` with the clip's target along the first and second principal lip direction; None: NaN."""
    if motion_TC is None:
        return float("nan"), float("nan")
    still = STILL * reference.opening_range
    pairs = zip(reference.lip_curves(motion_TC), reference.lip_curves(clip.target), strict=True)
    first, second = (correlation(g, t, still) for g, t in pairs)
    return first, second


def cross_correlation(clip: ClipMotion, reference: MotionReference) -> Array:
    """Normalised cross-correlation (2 MAX_SHIFT + 1,) of the first lip curve, generated against target.

    Entry s + MAX_SHIFT is the Pearson correlation of generated[t + s] with target[t] over the frames both have:
    its peak at s > 0 means that the generated lips are s frames late. NaN for clips under 30 frames or a still target.
    """
    generated, target = reference.lip_curves(clip.generated)[0], reference.lip_curves(clip.target)[0]
    if len(target) < MIN_SYNC_FRAMES:
        return np.full(2 * MAX_SHIFT + 1, np.nan)
    still = STILL * reference.opening_range
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    return np.array([correlation(generated[max(s, 0) :], target[max(-s, 0) :], still) for s in shifts])


def best_shift(mean_correlation: Array) -> Array:
    """Shift in frames of the largest mean cross-correlation, (..., 21) -> (...); NaN where none is positive."""
    filled = np.nan_to_num(mean_correlation, nan=0.0)
    return np.where(filled.max(-1) > 0, filled.argmax(-1) - float(MAX_SHIFT), np.nan)


@dataclass(frozen=True)
class ClosureCounts:
    """Bilabials matched by a closure, closures counted, bilabials counted; zeros where phones are unknown."""

    matched: int
    closures: int
    bilabials: int


@dataclass(frozen=True)
class _Span:
    """First and last frame of one bilabial, or of several that were merged."""

    first: int
    last: int
    phones: int = 1

    def holds(self, frame: int) -> bool:
        return self.first - TOLERANCE <= frame <= self.last + TOLERANCE


@dataclass(frozen=True)
class _Speech:
    """Frames of a clip by its phones: `speech` (T,) mask; bilabial spans to be found; `unjudged` (T,) mask."""

    speech: Array
    spans: list[_Span]
    unjudged: Array


def closure_counts(motion_TC: Array, clip: ClipMotion, reference: MotionReference) -> ClosureCounts:
    """Lip closures of `motion` against the bilabials p, b, m of the clip's phones.

    Curve. o(t) = `motion.lip_opening`, compared with itself alone, so that a speaker's resting mouth does not matter:
    over speech frames low and high are its 2nd and 90th percentile; a *closure* is a local minimum (a plateau is one,
    at its middle) with o <= low + 0.35 (high − low) and a topographic prominence >= 0.2 (high − low), that is, the
    lips open by that much on both sides before they close further. Not lower: rounded lips (w, u) can stand closer than
    lips pressed together beside spread vowels. A curve whose high − low is under a fifth of the training clips' median
    has no closures: it does not visibly move.

    Target. Every p, b, m is the frames of its phone; those fewer than 3 frames apart are one (mb, pm), for which one
    closure is asked and as many as it has phones are allowed. Closures and bilabials are paired one to one (a maximum
    matching) where the minimum lies within the phone ± 2 frames.
    Pauses are 3 or more frames of `sil`, of no phone, or outside the phones. Since the mouth may rest closed there, a
    bilabial within 3 frames of a pause is not asked for, and an unmatched closure in a pause, within 3 frames of one,
    or within 2 frames of such a bilabial, is not counted.

        recall = matched / bilabials, precision = matched / closures, F1 = 2 matched / (closures + bilabials)

    Why it cannot be had cheaply: a constant or always closed mouth has no minimum with prominence: 0. One closure
    answers one bilabial, so a long closed stretch earns at most one and a fluttering mouth pays for each extra closure:
    of closures at random, at any rate, only the share of frames that the bilabials' windows cover hits (about a quarter
    in speech of one bilabial in two seconds), which is their precision. Smoothing lifts the brief closures above the
    level and loses recall; jitter adds minima that lack prominence (no gain) or have it (loss of precision). Loudness
    closes the mouth at every silent stop, t and k too (precision), and not at m, which sounds (recall).
    """
    if clip.phones is None:
        return ClosureCounts(0, 0, 0)
    motion_TC = np.asarray(motion_TC, np.float64)
    marks = _mark_speech(clip.phones, len(motion_TC))
    events = closure_frames(lip_opening(motion_TC), marks.speech, MIN_RANGE * reference.opening_range)
    matched = _match(events, marks.spans)
    false = {event for event in events if event not in matched and not marks.unjudged[event]}
    for span in marks.spans:
        further = sorted(event for event in false if span.holds(event))
        false -= set(further[: span.phones - 1])
    return ClosureCounts(len(matched), len(matched) + len(false), len(marks.spans))


def closure_frames(opening_T: Array, speech_T: Array, min_range: float) -> list[int]:
    """Frames of the closures of an opening curve, as `closure_counts` defines them."""
    if not speech_T.any():
        return []
    low, high = np.percentile(opening_T[speech_T], [OPENING_LOW, OPENING_HIGH])
    span = high - low
    if span <= max(min_range, 0.0):
        return []
    return find_peaks(-opening_T, height=-(low + LEVEL * span), prominence=PROMINENCE * span)[0].tolist()


def _mark_speech(phones: list[tuple[float, float, str]], frames: int) -> _Speech:
    """Speech, bilabial spans away from pauses, and the frames where an unmatched closure is not judged."""
    voiced, spans = np.zeros(frames, bool), []
    for start_s, end_s, symbol in sorted(phones, key=lambda phone: phone[0]):
        # Rounded first: 0.28 s * 25 is 7.000000000000001, not frame 8.
        first, last = int(np.floor(round(start_s * FPS, 6))), int(np.ceil(round(end_s * FPS, 6))) - 1
        if first >= frames or symbol.lower() in PAUSES:
            continue
        voiced[first : last + 1] = True
        if symbol.lower() in BILABIALS:
            spans.append(_Span(first, min(last, frames - 1)))
    pause = _long_runs(~voiced, MIN_PAUSE_FRAMES)
    near_pause = _widen(pause, PAUSE_MARGIN)
    asked, unjudged = [], near_pause.copy()
    for span in _merge(spans):
        if near_pause[span.first : span.last + 1].any():
            unjudged[max(span.first - TOLERANCE, 0) : span.last + TOLERANCE + 1] = True
        else:
            asked.append(span)
    return _Speech(~pause, asked, unjudged)


def _merge(spans: list[_Span]) -> list[_Span]:
    """Spans in order, those with fewer than MERGE_GAP frames between them joined."""
    merged: list[_Span] = []
    for span in spans:
        if merged and span.first - merged[-1].last - 1 < MERGE_GAP:
            before = merged.pop()
            merged.append(_Span(before.first, max(span.last, before.last), before.phones + span.phones))
        else:
            merged.append(span)
    return merged


def _match(events: list[int], spans: list[_Span]) -> set[int]:
    """Events of a maximum one-to-one matching: in order of time, each takes the free span around it that ends first."""
    free, matched = list(spans), set()
    for event in sorted(events):
        around = [span for span in free if span.holds(event)]
        if around:
            free.remove(min(around, key=lambda span: span.last))
            matched.add(event)
    return matched


def _long_runs(mask_T: Array, length: int) -> Array:
    """Only the runs of True that are at least `length` long, or touch an end of the clip."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask_T.astype(int), [0]])))
    out = np.zeros_like(mask_T)
    for start, stop in edges.reshape(-1, 2):
        out[start:stop] = stop - start >= length or start == 0 or stop == len(mask_T)
    return out


def _widen(mask_T: Array, frames: int) -> Array:
    """True also within `frames` of a True."""
    return np.convolve(mask_T, np.ones(2 * frames + 1), mode="full")[frames : frames + len(mask_T)] > 0.5
