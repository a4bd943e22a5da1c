"""Does the head move in time with the voice: alignment of beats, both ways, beside what chance gives.

Beats of the head are the moments where its speed is smallest, beats of the voice the onsets in its spectrum. For beats
x of the one and y of the other

    A(x -> y) = mean over x of exp(-d² / 2 σ²), d: seconds to the nearest y

is the beat alignment of dances to music (arXiv 2101.08779), which SadTalker (arXiv 2211.12194) takes over for heads.
There x is the motion alone: a head that stops once, at an onset, is perfect; in the other direction a trembling head
is, since one of its many stops is always near. So both directions are taken, and `beat_chance`, which grows with the
number of beats, stands beside: the same motion with the same voice moved to other places. A nod comes with the vowel
rather than with the onset before it: σ is wider than a dance's (0.05 s), and the lag of the best alignment is told.

Numbers of other harnesses are not comparable: each finds onsets, smooths the speed and chooses σ in its own way.

Shape suffixes: T frames, H hops of 10 ms, M beats of the motion, V beats of the voice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from joyvasa.eval.bootstrap import Estimate, Score, divide, draw_resamples, interval, join_notes
from joyvasa.eval.motion import as_other_voice
from joyvasa.eval.reference import POSE, ClipMotion, MotionReference
from joyvasa.models.mel import log_mel
from joyvasa.motion import FPS, SAMPLE_RATE

Array = np.ndarray

SIGMA_SECONDS = 0.1
MAX_LAG = 6  # frames that are searched both ways
# Of the head: deviation of the Gaussian over its speed in frames, depth of a minimum as a share of the mean speed, and
# the mean speed in standard deviations a frame below which it stands still (rounding is no movement).
SMOOTH_FRAMES = 1.0
DEPTH = 0.1
STILL = 1e-5
# Of the voice: hop in samples, mel bands, what lies further below the loudest band counts as silence, hops that a rise
# is taken over, deviation of the Gaussian in hops, least rise of an onset as a share of the largest, hops between two.
HOP = 160
BANDS = 40
RANGE_DB = 50.0
LAG = 2
SMOOTH_HOPS = 2.0
RISE = 0.15
APART_HOPS = 8
SILENT = 1e-4  # amplitude
CHANCE_SHIFTS = 64

NAMES = (
    "beat_alignment", "beat_motion_to_voice", "beat_voice_to_motion", "beat_chance", "beat_alignment_best",
    "beat_lag_frames",
)  # fmt: skip


def head_beats(motion_TC: Array, reference: MotionReference) -> Array:
    """Seconds (M,) at which the head's speed is smallest: scale, x, y and the three angles, each by its deviation.

    The speed between frames k and k + 1 is at (k + 1) / 25 s; minima are placed between frames by a parabola. None of
    a head that stands still.
    """
    pose = reference.normalise(motion_TC)[:, POSE]
    speed = np.linalg.norm(np.diff(pose, axis=0), axis=1)
    if len(speed) < 3 or speed.mean() < STILL:
        return np.zeros(0)
    smooth = gaussian_filter1d(speed, SMOOTH_FRAMES)
    found, _ = find_peaks(-smooth, prominence=DEPTH * smooth.mean())
    before, here, after = smooth[found - 1], smooth[found], smooth[found + 1]
    curve = before - 2 * here + after
    offset = np.where(curve > 0, (before - after) / 2 / np.where(curve > 0, curve, 1.0), 0.0)  # flat: its middle
    return (found + 1 + offset) / FPS


def voice_beats(audio: Array) -> Array:
    """Seconds (V,) of the onsets of a voice (samples,) at 16 kHz: peaks of spectral flux, whatever the loudness.

    flux(t) = mean over 40 mel bands of the rise of the log power within 20 ms. None of silence.
    """
    audio = np.asarray(audio, np.float32)
    if len(audio) < 4 * HOP or np.abs(audio).max() < SILENT:
        return np.zeros(0)
    loudest = audio / np.abs(audio).max()  # before the logarithm's floor, or quiet voices had fewer onsets
    power_HB = log_mel(torch.from_numpy(loudest)[None], bands=BANDS, hop=HOP)[0].double().numpy()
    power_HB = power_HB.clip(min=power_HB.max() - RANGE_DB * np.log(10) / 10)
    # Before the recording there was silence: what begins with it begins.
    padded = np.concatenate([np.full((LAG, BANDS), power_HB.min()), power_HB])
    flux_H = gaussian_filter1d((padded[LAG:] - padded[:-LAG]).clip(min=0).mean(1), SMOOTH_HOPS)
    found, _ = find_peaks(flux_H, prominence=RISE * flux_H.max(), distance=APART_HOPS)
    return (found + 0.5 - LAG / 2) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class BeatTerms:
    """Of one clip: how many beats motion and voice have, and sums of exp(-d² / 2 σ²) over them, one array of two for
    motion and voice: as they are; by chance, mean over the places the voice was moved to; and (2, lags) with the motion
    -MAX_LAG ... MAX_LAG frames earlier."""

    counts: Array
    sums: Array
    chance: Array
    lagged: Array


def compare(motion_M: Array, voice_V: Array, seconds: float) -> BeatTerms:
    """Beats, rising, of `seconds` of motion and voice. By chance: the voice moved round in `CHANCE_SHIFTS` equal steps,
    what leaves at the end coming in at the beginning."""
    moved = [np.sort((voice_V + seconds * k / CHANCE_SHIFTS) % seconds) for k in range(1, CHANCE_SHIFTS)]
    lags = [lag / FPS for lag in range(-MAX_LAG, MAX_LAG + 1)]
    return BeatTerms(
        counts=np.array([len(motion_M), len(voice_V)], np.float64),
        sums=_both(motion_M, voice_V),
        chance=np.mean([_both(motion_M, each) for each in moved], axis=0),
        lagged=np.stack([_both(motion_M - lag, voice_V) for lag in lags], axis=1),
    )


def _both(motion_M: Array, voice_V: Array) -> Array:
    return np.array([_near(motion_M, voice_V), _near(voice_V, motion_M)])


def _near(x: Array, y: Array) -> float:
    """Sum over x of exp(-d² / 2 σ²), d to the nearest of the rising y; 0 where there is none."""
    if len(y) == 0:
        return 0.0
    after = np.searchsorted(y, x)
    nearest = np.minimum(np.abs(x - y[after.clip(max=len(y) - 1)]), np.abs(x - y[(after - 1).clip(min=0)]))
    return float(np.exp(-(nearest**2) / (2 * SIGMA_SECONDS**2)).sum())


def clip_terms(motion_TC: Array, audio: Array, reference: MotionReference) -> BeatTerms:
    """Of the common beginning of a motion and a voice."""
    seconds = min(len(motion_TC) / FPS, len(audio) / SAMPLE_RATE)
    beats = head_beats(motion_TC[: round(seconds * FPS)], reference), voice_beats(audio[: round(seconds * SAMPLE_RATE)])
    return compare(*beats, seconds)


def _estimates(terms: Sequence[BeatTerms]) -> dict[str, Estimate]:
    counts = np.stack([each.counts for each in terms], axis=1)  # motion, voice

    def ways(sums: Array) -> Callable[[Array], Array]:
        """Sums (2, N, ...) -> estimate (2, R, ...) of both directions."""

        def estimate(weights_RN: Array) -> Array:
            motion, voice = (np.tensordot(weights_RN, each, 1) for each in sums)
            heads, onsets = (np.reshape(weights_RN @ each, (-1, *[1] * (motion.ndim - 1))) for each in counts)
            to_voice = np.nan_to_num(divide(motion, np.broadcast_to(heads, motion.shape)))  # a still head is in no time
            defined = np.broadcast_to(onsets, voice.shape)
            return np.stack([np.where(defined > 0, to_voice, np.nan), divide(voice, defined)])

        return estimate

    def stacked(name: str) -> Callable[[Array], Array]:
        return ways(np.stack([getattr(each, name) for each in terms], axis=1))

    sums, chance, lagged = stacked("sums"), stacked("chance"), stacked("lagged")

    def lag(weights_RN: Array) -> Array:
        curve_RL = lagged(weights_RN).mean(0)
        return np.where(curve_RL.max(1) > 0, curve_RL.argmax(1) - MAX_LAG, np.nan)

    return {
        "beat_alignment": lambda weights_RN: sums(weights_RN).mean(0),
        "beat_motion_to_voice": lambda weights_RN: sums(weights_RN)[0],
        "beat_voice_to_motion": lambda weights_RN: sums(weights_RN)[1],
        "beat_chance": lambda weights_RN: chance(weights_RN).mean(0),
        "beat_alignment_best": lambda weights_RN: lagged(weights_RN).mean(0).max(1),
        "beat_lag_frames": lag,
    }


def beat_scores(
    clips: Sequence[ClipMotion], voices: Sequence[Array], reference: MotionReference, seed: int
) -> dict[str, Score]:
    """Scores of generated heads, with intervals over voices:

        beat_motion_to_voice   share of the head's beats that meet an onset; 0 of a head that stands still
        beat_voice_to_motion   share of the onsets that meet a beat of the head
        beat_alignment         mean of the two: 1 where every beat meets one
        beat_chance            what `beat_alignment` is where head and voice have nothing to do with each other
        beat_alignment_best    `beat_alignment` at the best lag; never below it: to be read beside the row `other_voice`
        beat_lag_frames        that lag: frames by which the head is late, of -6 ... 6

    voices: audio (samples,) of each clip. Pooled over beats. Clips whose voice does not belong to their motion, or
    without an onset, are left out and said. Raises ValueError for another number of voices than clips.
    """
    if len(clips) != len(voices):
        raise ValueError(f"{len(voices)} voices for {len(clips)} clips (expected one each)")
    pairs = [(clip, voice) for clip, voice in zip(clips, voices, strict=True) if clip.paired]
    terms = [clip_terms(clip.generated, voice, reference) for clip, voice in pairs]
    heard = [bool(each.counts[1]) for each in terms]
    silent = len(heard) - sum(heard)
    unpaired = len(clips) - len(pairs)
    note = join_notes(
        f"not scored: {unpaired} clips whose voice does not belong to their motion" if unpaired else "",
        f"{silent} of {len(pairs)} clips left out: no onset in the voice" if silent else "",
    )
    if not any(heard):
        return {name: Score(np.nan, np.nan, np.nan, 0, note or "no clip") for name in NAMES}
    keys = [clip.key for (clip, _), hears in zip(pairs, heard, strict=True) if hears]
    resamples = draw_resamples(keys, seed, "voice")
    estimates = _estimates([each for each, hears in zip(terms, heard, strict=True) if hears])
    return {name: interval(estimate, resamples, sum(heard), note) for name, estimate in estimates.items()}


def beat_rows(
    clips: Sequence[ClipMotion], voices: Sequence[Array], reference: MotionReference, seed: int
) -> dict[str, dict[str, Score]]:
    """Rows as `motion.score_rows` has them: `model`; `ceiling`, the recorded heads; and, where clips have one,
    `other_voice`, the control: the motion made from another speaker's voice, which is to be at its chance."""
    pairs = list(zip(clips, voices, strict=True))
    others = [(as_other_voice(clip), voice) for clip, voice in pairs if clip.other is not None]
    recorded = [(replace(clip, generated=clip.truth), voice) for clip, voice in pairs]
    rows = {"model": pairs, "other_voice": others, "ceiling": recorded}
    return {name: beat_scores(*map(list, zip(*row, strict=True)), reference, seed) for name, row in rows.items() if row}
