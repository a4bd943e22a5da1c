"""Beats of head and voice: aligned ones score 1, moved ones fall to chance, and neither few nor many beats help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joyvasa.eval.beats import MAX_LAG, NAMES, beat_rows, beat_scores, clip_terms, compare, head_beats, voice_beats
from joyvasa.eval.reference import ClipMotion, MotionReference
from joyvasa.motion import CHANNELS, FPS, PITCH, SAMPLE_RATE, SAMPLES_PER_FRAME, YAW

FRAMES = 250
SECONDS = FRAMES / FPS


def draw_times(seed: int, least: float = 0.45, most: float = 0.8) -> np.ndarray:
    """Irregular moments at frames' ends, so that the head can turn there."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0, most) + rng.uniform(least, most, 40).cumsum()
    return np.round(steps[steps < SECONDS - 0.3] * FPS) / FPS


def voice_at(times: np.ndarray, seed: int = 0, gain: float = 1.0) -> np.ndarray:
    """A burst of noise that begins at each time and dies away within 0.15 s, over a faint hiss."""
    rng = np.random.default_rng(seed)
    samples = 1e-4 * rng.standard_normal(FRAMES * SAMPLES_PER_FRAME)
    burst = np.exp(-np.arange(int(0.15 * SAMPLE_RATE)) / (0.04 * SAMPLE_RATE))
    for time in times:
        start = round(time * SAMPLE_RATE)
        samples[start : start + len(burst)] += 0.3 * burst * rng.standard_normal(len(burst))
    return (gain * samples.clip(-1, 1)).astype(np.float32)


def head_at(times: np.ndarray) -> np.ndarray:
    """A head that swings from side to side and stops for a moment at each time, (T, 70)."""
    motion = np.zeros((FRAMES, CHANNELS), np.float32)
    at = (np.arange(FRAMES) + 0.5) / FPS
    knots = np.concatenate([[times[0] - 0.6], times, [times[-1] + 0.6]])
    phase = np.pi * np.interp(at, knots, np.arange(len(knots)), left=0, right=len(knots) - 1)
    motion[:, PITCH], motion[:, YAW] = 2 * np.cos(phase), np.cos(phase)
    return motion


def clip_of(seed: int, **changes) -> ClipMotion:
    motion = head_at(draw_times(seed))
    return replace(ClipMotion(f"clip{seed}", motion, None, motion), **changes)


@pytest.fixture(scope="module")
def reference():
    return MotionReference.fit(head_at(draw_times(seed)) for seed in range(100, 108))


def values(scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def test_onsets_are_found_where_they_are_whatever_the_loudness():
    times = draw_times(1)
    found = voice_beats(voice_at(times))
    assert len(found) == len(times) and np.abs(found - times).max() < 0.02
    for gain in (0.0005, 3.0):
        np.testing.assert_allclose(voice_beats(voice_at(times, gain=gain)), found, atol=0.01)
    assert np.abs(voice_beats(voice_at(times)[4000:]) - (times[times > 0.25] - 0.25)).max() < 0.02  # moved with it


def test_no_onset_in_silence_and_one_where_a_tone_begins():
    assert len(voice_beats(np.zeros(SAMPLE_RATE, np.float32))) == len(voice_beats(np.zeros(10, np.float32))) == 0
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    tone[: SAMPLE_RATE // 2] = 0
    assert voice_beats(tone.astype(np.float32)) == pytest.approx([0.5], abs=0.03)


def test_the_head_stops_where_it_turns(reference):
    times = draw_times(2)
    found = head_beats(head_at(times), reference)
    assert all(np.abs(found - time).min() < 1 / FPS for time in times[1:-1])
    np.testing.assert_allclose(head_beats(head_at(times) + 0.5, reference), found, atol=1e-3)  # rest is no movement
    assert len(head_beats(head_at(times)[:1], reference)) == 0


def test_aligned_beats_score_one_and_moved_ones_fall_to_chance(reference):
    times = [draw_times(seed) for seed in range(6)]
    clips = [clip_of(seed) for seed in range(6)]
    found = []
    for late in (0.0, 0.04, 0.08, 0.12, 0.16, 0.2):
        voices = [voice_at(each - late) for each in times]
        found.append(values(beat_scores(clips, voices, reference, seed=0)))
        assert found[-1]["beat_lag_frames"] == round(late * FPS)
        assert found[-1]["beat_alignment_best"] > 0.93
    curve = [each["beat_alignment"] for each in found]
    assert curve[0] > 0.95 and (np.diff(curve) < 0).all()
    assert curve[-1] < found[-1]["beat_chance"] < 0.6


def test_unrelated_beats_are_at_chance_however_many(reference):
    """Poisson beats: the mean over draws is what moving the voice round gives, for few beats and for many."""
    rng = np.random.default_rng(0)
    for rate in (0.5, 2.0, 6.0):
        got, chance = [], []
        for _ in range(60):
            beats = [np.sort(rng.uniform(0, SECONDS, max(1, rng.poisson(rate * SECONDS)))) for _ in range(2)]
            terms = compare(*beats, SECONDS)
            got.append((terms.sums / terms.counts).mean())
            chance.append((terms.chance / terms.counts).mean())
        difference = np.subtract(got, chance)
        assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(difference)), rate


def test_one_stop_and_constant_trembling_gain_nothing(reference):
    """Each is perfect one way, which is why both ways and chance are given."""
    times = draw_times(3)
    once = compare(times[4:5], times, SECONDS)
    assert once.sums[0] == 1 and once.sums[1] / once.counts[1] < 0.2
    trembling = compare(np.arange(0.04, SECONDS, 0.08), times, SECONDS)
    way = trembling.sums / trembling.counts
    assert way[1] > 0.9 and way.mean() - (trembling.chance / trembling.counts).mean() < 0.02


def test_a_still_head_scores_nothing_and_a_silent_voice_is_left_out(reference):
    still = [clip_of(seed, generated=np.ones((FRAMES, CHANNELS), np.float32)) for seed in (0, 1)]
    voices = [voice_at(draw_times(seed)) for seed in (0, 1)]
    found = beat_scores(still, voices, reference, seed=0)
    assert values(found)["beat_alignment"] == values(found)["beat_chance"] == 0
    assert np.isnan(found["beat_lag_frames"].value)
    silent = [np.zeros_like(voices[0]), voices[1]]
    both, alone = (
        beat_scores(c, v, reference, seed=0)
        for c, v in (([clip_of(0), clip_of(1)], silent), ([clip_of(1)], voices[1:]))
    )
    assert values(both) == values(alone) and both["beat_alignment"].n == 1
    assert "1 of 2 clips left out: no onset" in both["beat_alignment"].note
    none = beat_scores([clip_of(0)], silent[:1], reference, seed=0)
    assert set(none) == set(NAMES) and all(np.isnan(each.value) and each.note for each in none.values())


def test_clips_of_another_voice_do_not_enter(reference):
    clips = [clip_of(0), clip_of(1, paired=False)]
    found = beat_scores(clips, [voice_at(draw_times(seed)) for seed in (0, 1)], reference, seed=0)["beat_alignment"]
    assert found.n == 1 and "1 clips whose voice does not belong" in found.note
    with pytest.raises(ValueError, match="1 voices for 2 clips"):
        beat_scores(clips, [np.zeros(10)], reference, seed=0)


def test_rows_with_motion_of_another_voice_as_control(reference):
    clips = [clip_of(seed, other=head_at(draw_times(seed + 50))[: FRAMES - seed]) for seed in range(8)]
    voices = [voice_at(draw_times(seed)) for seed in range(8)]
    rows = {name: values(scores) for name, scores in beat_rows(clips, voices, reference, seed=0).items()}
    assert list(rows) == ["model", "other_voice", "ceiling"] and rows["model"] == rows["ceiling"]
    control = rows["other_voice"]
    assert abs(control["beat_alignment"] - control["beat_chance"]) < 0.08
    assert control["beat_alignment_best"] < rows["model"]["beat_alignment_best"] - 0.25
    assert "other_voice" not in beat_rows([clip_of(0)], voices[:1], reference, seed=0)


def test_only_what_both_have_is_compared(reference):
    clip, voice = clip_of(4), voice_at(draw_times(4))
    whole = clip_terms(clip.generated, voice, reference)
    short = clip_terms(clip.generated, voice[: 100 * SAMPLES_PER_FRAME], reference)
    assert (short.counts < whole.counts).all() and whole.lagged.shape == (2, 2 * MAX_LAG + 1)
    np.testing.assert_array_equal(whole.lagged[:, MAX_LAG], whole.sums)
