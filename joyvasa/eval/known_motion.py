"""Known answers of motion scores: waves, planted closures, beats and jerks, differences by hand. No weights.

T frames, C channels, M beats of the head, V of the voice.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from joyvasa.eval import beats, closeness, distribution
from joyvasa.eval import motion as motion_scores
from joyvasa.eval.known_answers import Answers, compared
from joyvasa.eval.reference import COMPONENTS, ClipMotion, MotionReference
from joyvasa.motion import CHANNELS, EYELIDS, FPS, LIPS, LOWER_LIP, SAMPLE_RATE, SAMPLES_PER_FRAME, YAW

EXACT = 1e-9
PLAIN = MotionReference(  # under which normalised motion is the motion itself
    mean=np.zeros(CHANNELS), std=np.ones(CHANNELS), lip_directions=np.eye(2, len(LIPS)),
    components=np.eye(COMPONENTS, CHANNELS), component_std=np.ones(COMPONENTS), opening_range=1.0, blink_amplitude=0.5,
)  # fmt: skip


def waves() -> Answers:
    """Waves: twice as wide, twice as fast, two frames late; blinks that are counted."""
    period, late = 50, 2
    time = np.arange(4 * period + 3)  # third differences over whole periods
    slow, fast = (0.1 * np.sin(2 * np.pi * time * each / period) for each in (1, 2))
    still = np.zeros((len(time), CHANNELS), np.float32)
    truth = _moved(still, slow)
    truth[:, [3 * lid + 1 for lid in EYELIDS]] += np.isin(time % period, (10, 11, 12))[:, None]
    reference = replace(MotionReference.fit([truth]), std=np.ones(CHANNELS), mean=np.zeros(CHANNELS))
    clip = ClipMotion("wave", truth, None, truth)

    def scores(generated: np.ndarray) -> dict[str, np.ndarray]:
        return motion_scores.per_clip([replace(clip, generated=generated)], reference)

    equal, wide, quick = scores(truth), scores(2 * truth), scores(_moved(still, fast))
    shifted = scores(np.concatenate([truth[:1].repeat(late, 0), truth[:-late]]))
    names = ("lip_pc1", "std_ratio_lips", "std_ratio_pose", "jerk_ratio_lips")
    yield compared("equal motions", [[1.0]] * 4, [equal[name] for name in names], EXACT)
    yield compared("twice as wide", [[1.0], [2.0], [2.0], [2.0]], [wide[name] for name in names], 1e-6)
    ratio = (math.sin(2 * math.pi / period) / math.sin(math.pi / period)) ** 3
    yield compared("jerk of waves twice as fast", [ratio], quick["jerk_ratio_lips"], 1e-5)
    yield compared("two frames late", [late], shifted["sync_offset_frames"], 0)
    yield compared("blinks a minute", [4 * 60 * 25 / len(time)], equal["blink_rate"], EXACT)
    close = [f"{name}{closeness.SUFFIX}" for name in ("std_ratio_lips", "jerk_ratio_pose", "blink_rate")]
    yield compared("closeness of twice as wide", [[0.5], [0.5], [1.0]], [wide[name] for name in close], 1e-6)
    wider = distribution.frechet_distance(np.zeros(2), np.diag([1.0, 9]), np.array([3.0, 4]), np.diag([4.0, 0]))
    yield compared("distance of motions", 25 + 1 + 9, wider, EXACT)


def _moved(still_TC: np.ndarray, wave_T: np.ndarray) -> np.ndarray:
    """Every channel but the lids follows the wave."""
    lids = np.isin(np.arange(CHANNELS) // 3, EYELIDS) & (np.arange(CHANNELS) < 63)
    return (still_TC + wave_T[:, None] * ~lids).astype(np.float32)


def closures() -> Answers:
    """An open mouth (1) that shuts (0) in single frames; what `lips.closure_counts` makes of them, by its rules.

    | frame | what is there | counts as |
    |---|---|---|
    | 5 | silence, frames 0-9 | nothing: a mouth may rest shut |
    | 13 | 2 behind an m at 10-11, which begins within 3 of the silence | nothing, and that m is not asked for |
    | 33 | 2 behind a p at 30-31 | matched |
    | 51, 54 | a b at 50-51 and an m at 53-54, a frame apart: one to be found, two allowed | matched once |
    | 65, 67 | 0, and 0.05 behind no more than 0.15: the lips did not part by 0.2 between them | one too many |
    | 80 | half shut, over the level of 0.35, at a p at 80-81 | nothing: a bilabial without closure |
    | 84 | 3 behind that p | one too many |

    matched 2, closures 4, bilabials 3.
    """
    begins = {0: "sil", 10: "m", 12: "a", 30: "p", 32: "o", 50: "b", 52: "a", 53: "m", 55: "a", 80: "p", 82: "a"}
    shut = {5: 0, 13: 0, 33: 0, 51: 0, 54: 0, 65: 0, 66: 0.15, 67: 0.05, 80: 0.5, 84: 0}
    ends = [*list(begins)[1:], 110]
    phones = [(first / FPS, end / FPS, phone) for (first, phone), end in zip(begins.items(), ends, strict=True)]
    open_TC = np.zeros((ends[-1], CHANNELS), np.float32)
    open_TC[:, 3 * LOWER_LIP + 1] = 1
    made_TC = open_TC.copy()
    made_TC[list(shut), 3 * LOWER_LIP + 1] = list(shut.values())
    clip = ClipMotion("closures", made_TC, None, made_TC, phones=phones)
    found = motion_scores.per_clip([clip, replace(clip, generated=open_TC)], PLAIN)
    shares = [found[f"closure_{name}"][0] for name in ("f1", "precision", "recall")]
    yield compared("closures at p, b, m", [2 * 2 / (4 + 3), 2 / 4, 2 / 3], shares, EXACT)
    yield compared("closures of a mouth that stays open", 0, found["closure_f1"][1], 0)


def joins() -> Answers:
    """Third differences of 1, of 3 in the five that a step between frames 11 and 12 enters or is within 2 frames of."""
    frames, join, steep = 24, 12, 3
    true_T = np.ones(frames - 3)
    made_T = np.where(abs(np.arange(frames - 3) - (join - 2)) <= 2, steep, true_T)
    truth, made = (_with_third_difference(each) for each in (true_T, made_T))
    found = motion_scores.per_clip([ClipMotion("join", truth, None, made, joins=(join,))], PLAIN)
    names = ("boundary_jerk_lips", "boundary_jerk_pose")
    yield compared("jerk at a join", [[steep]] * 2, [found[name] for name in names], EXACT)
    whole = math.sqrt((5 * steep**2 + frames - 3 - 5) / (frames - 3))
    yield compared("jerk of all frames", [whole], found["jerk_ratio_pose"], EXACT)


def _with_third_difference(jerk_T: np.ndarray) -> np.ndarray:
    """(T + 3, 70), all channels the same; whole numbers stay exact."""
    summed = jerk_T
    for _ in range(3):
        summed = np.concatenate([[0], np.cumsum(summed)])
    return summed[:, None].repeat(CHANNELS, 1).astype(np.float32)


def close() -> Answers:
    """The smaller over the larger; 1 where nothing was asked for and nothing came, 0 where one is 0 or infinite."""
    made, true = [3, 4, 0, 0, 2, math.inf], [4, 3, 0, 2, 0, 1]
    yield compared("closeness", [0.75, 0.75, 1, 0, 0, 0], closeness.closeness(made, true), 0)
    unknown = closeness.closeness([math.nan, math.inf], [1, math.inf])
    yield compared("closeness of what is not known", [1, 1], np.isnan(unknown), 0)


def diversity() -> Answers:
    """Motions that are a ± wave in their channels: d is the difference of their amplitudes, times the root of the share
    of the channels. Truth: 1 and -1, 2 apart. Made, of two voices: 1 and -1 in half of the channels, beside another
    resting face: 2 √½. Made, of one voice: 1 and -0.5, 1.5 apart; another voice's single motion does not enter."""
    wave_TC = np.tile([[1.0], [-1.0]], (10, CHANNELS))
    half_C = np.arange(CHANNELS) < CHANNELS // 2
    truth, other = ClipMotion("one", wave_TC, None, wave_TC), ClipMotion("other", -wave_TC, None, -wave_TC)

    def found(*clips: ClipMotion) -> float:
        estimate, _ = distribution.diversity(clips, PLAIN)
        return float(estimate(np.ones((1, len(clips))))[0])

    halves = [replace(each, generated=each.truth * half_C + 7) for each in (truth, other)]
    yield compared("diversity between voices", 2 * math.sqrt(1 / 2) / 2, found(*halves), EXACT)
    several = found(truth, replace(truth, generated=-0.5 * wave_TC), other)
    yield compared("diversity of motions of a voice", 1.5 / 2, several, EXACT)


def beat_times() -> Answers:
    """A head that turns back every ten frames, and a voice of pulses that begin two frames before it does.

    The head's speed is the same on either side of where it turns, in the middle of frame n: (n + 0.5) / 25 s. Frames of
    25 ms hear an onset before it comes, hops are of 10 ms: half a film's frame is allowed.
    """
    turn, late, frames, pulse = 10, 2, 101, SAMPLE_RATE // 100
    head_TC = np.zeros((frames, CHANNELS), np.float32)
    head_TC[:, YAW] = np.cos(np.pi * np.arange(frames) / turn)
    turns_M = np.arange(turn, frames - 1, turn) + 0.5
    onsets_V = ((turns_M - late) * SAMPLES_PER_FRAME).astype(int)
    voice = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    for onset in onsets_V:
        voice[onset : onset + turn // 2 * SAMPLES_PER_FRAME : pulse] = 1
    yield compared("beats of a head", turns_M / FPS, beats.head_beats(head_TC, PLAIN), 1e-5)
    yield compared("onsets of a voice", onsets_V / SAMPLE_RATE, beats.voice_beats(voice), 0.5 / FPS)
    clip = ClipMotion("beats", head_TC, None, head_TC)
    found = beats.beat_scores([clip], [voice], PLAIN, seed=0)
    yield compared("frames by which a head is late", late, found["beat_lag_frames"].value, 0)


def beat_sums() -> Answers:
    """exp(-d² / 2 σ²) of distances by hand, σ = 0.1 s.

    Head at 1 and 2 s, voice at 1.1 and 3 s: head to voice 0.1 and 0.9, voice to head 0.1 and 1. By chance: head and
    voice at 3.2 of 6.4 s, the voice moved round by k σ, k = 1 ... 63: distance k σ, and behind the end (64 - k) σ.
    """

    def bell(*sigmas: float) -> float:
        return sum(math.exp(-(each**2) / 2) for each in sigmas)

    found = beats.compare(np.array([1.0, 2.0]), np.array([1.1, 3.0]), 4.0)
    yield compared("beats near each other", [bell(1, 9), bell(1, 10)], found.sums, EXACT)
    yield compared("beats counted", [2, 2], found.counts, 0)
    alone = beats.compare(np.array([3.2]), np.array([3.2]), 6.4)
    chance = bell(*range(1, 33), *range(1, 32)) / 63
    yield compared("beats near each other by chance", [chance] * 2, alone.chance, EXACT)


EVERYTHING = (waves, closures, joins, close, diversity, beat_times, beat_sums)
