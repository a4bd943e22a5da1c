"""Laws of the motion metrics, on a small corpus made here: phones, lips that close at p, b, m, blinks, head drift."""

from dataclasses import replace

import numpy as np
import pytest

from joyvasa.eval.bootstrap import Score, mean_of, resample_weights
from joyvasa.eval.distribution import FEATURES, frechet_distance
from joyvasa.eval.motion import ClipMotion, MotionReference, paired_difference, per_clip, score, score_rows, table
from joyvasa.motion import CHANNELS, EYELIDS, FPS, LOWER_LIP, MOUTH_CORNERS, PITCH, ROLL, UPPER_LIP, lip_opening

OPENING = {"aa": 1.0, "eh": 0.7, "iy": 0.5, "t": 0.42, "s": 0.4, "k": 0.45, "p": 0.0, "b": 0.0, "m": 0.0, "sil": 0.0}
SILENT = ("t", "k", "p", "b", "sil")


def smooth(motion, width=7):
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(motion, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], 1)


def draw_phones(rng, seconds=10.0):
    """Consonant, vowel, consonant, vowel … between pauses; every fourth consonant or so is bilabial."""
    phones, clock, since_pause = [(0.0, 0.4, "sil")], 0.4, 0
    while clock < seconds - 0.5:
        if since_pause > 12 and rng.random() < 0.2:
            names, since_pause = ["sil"], 0
        else:
            names = [rng.choice(["t", "s", "k"]) if rng.random() < 0.72 else rng.choice(["p", "b", "m"])]
            names += [rng.choice(["aa", "eh", "iy"])]
        for name in names:
            length = 0.4 if name == "sil" else rng.uniform(0.10, 0.16)
            phones.append((clock, clock + length, str(name)))
            clock, since_pause = clock + length, since_pause + 1
    return [*phones, (clock, seconds, "sil")]


def draw_clip(seed):
    rng = np.random.default_rng(seed)
    phones, frames = draw_phones(rng), 250
    knots = [t for start, end, _ in phones for t in (start + 0.03, end - 0.03)]
    at = (np.arange(frames) + 0.5) / FPS
    opening = np.interp(at, knots, [OPENING[name] for *_, name in phones for _ in range(2)])
    spread = np.interp(at, knots, np.repeat(rng.normal(size=len(phones)), 2))
    determined = np.zeros((frames, CHANNELS))
    determined[:, 3 * LOWER_LIP + 1] = 0.05 * opening
    determined[:, 3 * UPPER_LIP + 1] = -0.01 * opening
    determined[:, 3 * MOUTH_CORNERS] = 0.008 * spread
    truth = determined + 1e-5 * rng.standard_normal((frames, CHANNELS))
    truth[:, PITCH : ROLL + 1] += 2 * smooth(rng.standard_normal((frames, 3)), 51) * 5
    for start in range(int(rng.integers(20, 60)), frames - 10, 80):
        for lid in EYELIDS:
            truth[start : start + 5, 3 * lid + 1] += 0.02 * np.array([0.4, 0.9, 1.0, 0.7, 0.3])
    joins = (100, 200)
    return ClipMotion(f"clip{seed}", truth, determined, truth.copy(), None, phones, joins)


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def reference():
    return MotionReference.fit(draw_clip(seed).truth for seed in range(100, 112))


def generated(clips, change):
    """The clips with `change(truth, clip number)` as generated motion."""
    return [replace(clip, generated=change(clip.truth, number)) for number, clip in enumerate(clips)]


def noise(reference, width=None):
    def change(truth, number):
        motion = reference.std * np.random.default_rng(number).standard_normal(truth.shape)
        return reference.mean + (motion if width is None else smooth(motion, width))

    return change


def values(clips, reference):
    return {name: value.value for name, value in score(clips, reference, seed=0).items()}


def test_truth_is_perfect(clips, reference):
    found = values([replace(clip, determined=None, other=clip.truth) for clip in clips], reference)
    for name in ("lip_pc1", "lip_pc2", "lip_pc1_other", "lip_pc2_other", "diversity"):
        assert found[name] == pytest.approx(1, abs=1e-9), name
    for name in [name for name in found if "ratio" in name or name.startswith("boundary")]:
        assert found[name] == pytest.approx(1, abs=1e-9), name
    assert found["sync_offset_frames"] == 0
    assert found["frechet_motion"] == pytest.approx(0, abs=1e-4)
    assert found["blink_rate"] == found["blink_rate_truth"] == pytest.approx(6 * 3, abs=4)
    assert found["closure_f1"] > 0.95


def test_a_late_motion_is_found_late(clips, reference):
    late = generated(clips, lambda truth, _: np.concatenate([np.repeat(truth[:1], 3, axis=0), truth[:-3]]))
    early = generated(clips, lambda truth, _: np.concatenate([truth[2:], np.repeat(truth[-1:], 2, axis=0)]))
    assert values(late, reference)["sync_offset_frames"] == 3
    assert values(early, reference)["sync_offset_frames"] == -2
    wrong = values(generated(clips, lambda truth, _: np.roll(truth, 8, axis=0)), reference)
    assert wrong["sync_offset_frames"] == 8 and wrong["closure_f1"] < 0.5


def test_a_constant_scores_nothing(clips, reference):
    found = values(generated(clips, lambda truth, _: np.tile(reference.mean, (len(truth), 1))), reference)
    for name in ("lip_pc1", "lip_pc2", "closure_f1", "std_ratio_lips", "jerk_ratio_pose", "diversity", "blink_rate"):
        assert found[name] == pytest.approx(0, abs=1e-9), name
    assert np.isnan(found["sync_offset_frames"])
    # Held still in float32 too: rounding is no movement.
    still = generated(clips, lambda truth, _: np.tile(reference.mean, (len(truth), 1)).astype(np.float32))
    assert values(still, reference)["closure_f1"] == values(still, reference)["lip_pc1"] == 0


def test_still_truth_is_left_out_and_counted(clips, reference):
    still = replace(clips[0], determined=np.zeros_like(clips[0].truth))
    found = score([still, *clips[1:]], reference, seed=0)["lip_pc1"]
    assert found.n == len(clips) - 1 and found.value > 0.99
    assert "1 of 12 clips left out" in found.note


@pytest.mark.parametrize("width", [None, 3, 5, 9, 15])
def test_chance_closes_no_lips(clips, reference, width):
    assert values(generated(clips, noise(reference, width)), reference)["closure_f1"] < 0.4


def test_smoothing_and_jitter_do_not_help(clips, reference):
    right = values(clips, reference)
    smoothed = values(generated(clips, lambda truth, _: smooth(truth)), reference)
    for name in ("std_ratio_lips", "std_ratio_eyes", "jerk_ratio_lips", "jerk_ratio_pose"):
        assert smoothed[name] < right[name] - 0.01, name
    jitter = noise(reference)
    rough = values(generated(clips, lambda truth, n: truth + 0.5 * (jitter(truth, n) - reference.mean)), reference)
    assert rough["jerk_ratio_lips"] > 2
    for changed in (smoothed, rough):
        assert changed["closure_f1"] <= right["closure_f1"]
        assert changed["frechet_motion"] > 1


def test_loudness_and_a_shut_mouth_earn_few_closures(clips, reference):
    def set_opening(clip, curve):
        motion = np.zeros_like(clip.truth)
        motion[:, 3 * LOWER_LIP + 1] = 0.05 * curve
        return replace(clip, generated=motion)

    loud, shut = [], []
    for clip in clips:
        at = (np.arange(len(clip.truth)) + 0.5) / FPS
        silent = np.array([any(a <= t < b and name in SILENT for a, b, name in clip.phones) for t in at])
        loud.append(set_opening(clip, smooth(1.0 - silent[:, None], 3)[:, 0]))
        shut.append(set_opening(clip, (np.arange(len(at)) % 125 < 10).astype(float)))
    assert 0.2 < values(loud, reference)["closure_f1"] < 0.65
    assert values(shut, reference)["closure_f1"] < 0.3


def test_closures_beside_pauses_are_not_judged(clips, reference):
    quiet = [replace(clip, phones=[(0.0, 10.0, "sil")]) for clip in clips]
    found = score(quiet, reference, seed=0)["closure_f1"]
    assert np.isnan(found.value) and found.note
    unknown = score([replace(clip, phones=None) for clip in clips], reference, seed=0)["closure_f1"]
    assert np.isnan(unknown.value) and unknown.n == 0 and "no phone times" in unknown.note


def test_a_jump_at_joins_raises_boundary_jerk(clips, reference):
    def jump(truth, _):
        step = (np.arange(len(truth)) >= 100).astype(float) - (np.arange(len(truth)) >= 200)
        return truth + step[:, None] * reference.std

    found = values(generated(clips, jump), reference)
    assert found["boundary_jerk_lips"] > 1.5 and found["boundary_jerk_pose"] > 1.5
    whole = [replace(clip, joins=()) for clip in generated(clips, jump)]
    without = score(whole, reference, seed=0)["boundary_jerk_lips"]
    assert np.isnan(without.value) and "no window join" in without.note


def test_frechet_of_diagonal_gaussians_has_its_closed_form():
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.normal(size=(2, 5, FEATURES))
    std_a, std_b = rng.uniform(0.1, 3, size=(2, 5, FEATURES))
    spin, _ = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))

    def covariance(std):
        return spin @ (np.square(std)[..., None] * np.eye(FEATURES)) @ spin.T

    expected = np.square(mean_a - mean_b).sum(-1) + np.square(std_a - std_b).sum(-1)
    np.testing.assert_allclose(frechet_distance(mean_a, covariance(std_a), mean_b, covariance(std_b)), expected)


def test_the_frechet_distance_is_within_its_interval(clips, reference):
    noisy = generated([*clips, *(replace(clip, key=f"{clip.key}-2") for clip in clips)], noise(reference))
    found = score(noisy, reference, seed=0)["frechet_motion"]
    assert found.low < found.value < found.high and found.high - found.value == pytest.approx(found.value - found.low)


def test_few_windows_give_no_frechet_distance_but_a_reason(clips, reference):
    found = score(clips[:2], reference, seed=0)["frechet_motion"]
    assert np.isnan(found.value) and "120 needed" in found.note


def test_diversity_sees_one_motion_for_all(clips, reference):
    same = generated(clips, lambda truth, _: clips[0].truth)
    assert values(same, reference)["diversity"] == pytest.approx(0, abs=1e-5)
    twice = [*clips, *generated(clips, noise(reference))]
    found = score(twice, reference, seed=0)["diversity"]
    assert found.note == "motions of the same voice" and found.value > 0.5
    copies = score([*clips, *clips], reference, seed=0)["diversity"]
    assert copies.value == pytest.approx(0, abs=1e-5)


def test_directions_point_to_an_opening_mouth(clips, reference):
    assert reference.lip_directions.shape == (2, 18)
    np.testing.assert_allclose(reference.lip_directions @ reference.lip_directions.T, np.eye(2), atol=1e-9)
    for clip in clips:
        curve = reference.lip_curves(clip.determined)[0]
        assert np.corrcoef(curve, lip_opening(clip.determined))[0, 1] > 0.99


def test_bootstrap_interval_covers_the_mean():
    hits = 0
    for seed in range(200):
        sample = np.random.default_rng(seed).normal(3.0, 1.0, 30)
        found = paired_difference(sample, np.zeros(30), seed)
        assert found.value == pytest.approx(sample.mean())
        hits += found.low <= 3.0 <= found.high
    assert 0.88 < hits / 200 < 0.99


def test_motions_of_one_voice_are_drawn_together():
    weights = resample_weights(["a", "b", "a", "c"], seed=1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert mean_of(np.array([1.0, np.nan, 1.0, 4.0]))(np.ones((1, 4)))[0] == pytest.approx(2.0)


def test_score_is_seeded(reference):
    many = [draw_clip(seed) for seed in range(32)]
    first = score(many, reference, seed=4)
    again = score(many, reference, seed=4)
    assert {k: repr(v) for k, v in first.items()} == {k: repr(v) for k, v in again.items()}


def test_per_clip_values_average_to_the_score(clips, reference):
    noisy = generated(clips, noise(reference, 5))
    found, single = score(noisy, reference, seed=0), per_clip(noisy, reference)
    assert found["lip_pc1"].value == pytest.approx(single["lip_pc1"].mean())
    assert found["lip_pc1"].low <= found["lip_pc1"].value <= found["lip_pc1"].high
    assert all(len(value) == len(clips) for value in single.values())
    gap = paired_difference(per_clip(clips, reference)["lip_pc1"], single["lip_pc1"], seed=0)
    assert gap.low > 0.5


SYNC = {
    "lip_pc1", "lip_pc2", "lip_pc1_other", "lip_pc2_other", "closure_f1", "closure_precision", "closure_recall",
    "sync_offset_frames",
}  # fmt: skip


def test_lips_are_not_compared_with_a_voice_that_is_not_theirs(clips, reference):
    clips = [replace(clip, other=clip.truth) for clip in clips]
    right, none = (score(row, reference, 0) for row in (clips, [replace(clip, paired=False) for clip in clips]))
    for name, value in none.items():
        if name in SYNC:
            assert np.isnan(value.value) and value.n == 0, name
            assert value.note == "not scored: 12 clips whose voice does not belong to their motion", name
        else:
            assert repr(value) == repr(right[name]), name
    part = score([*clips[:8], *(replace(clip, paired=False) for clip in clips[8:])], reference, 0)
    alone = score(clips[:8], reference, 0)
    for name in SYNC:
        assert part[name].value == pytest.approx(alone[name].value) and part[name].n == 8, name
        assert "not scored: 4 clips" in part[name].note
    text = table(score_rows([replace(clip, paired=False) for clip in clips], {}, reference, 0))
    assert "note: not scored: 12 clips whose voice does not belong to their motion: lip_pc1" in text


def test_rows_and_table(clips, reference):
    turned = [replace(clip, other=clips[number - 1].truth[:200]) for number, clip in enumerate(clips)]
    still = {clip.key: np.tile(reference.mean, (len(clip.truth), 1)) for clip in clips}
    rows = score_rows(turned, {"mean_motion": still}, reference, seed=0)
    assert list(rows) == ["model", "other_voice", "ceiling", "mean_motion"]
    assert abs(rows["other_voice"]["lip_pc1"].value) < 0.3 < 0.9 < rows["ceiling"]["lip_pc1"].value
    assert rows["other_voice"]["lip_pc1"].value == pytest.approx(rows["model"]["lip_pc1_other"].value)
    text = table(rows)
    assert all(name in text for name in (*rows, *rows["model"])) and "nan" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("note")) <= 120
    with pytest.raises(ValueError, match="baseline mean_motion lacks 12 clips, first clip0"):
        score_rows(clips, {"mean_motion": {}}, reference, seed=0)


def test_bad_clips_are_named(clips, reference):
    clip = clips[0]
    with pytest.raises(ValueError, match="clip clip0: 249 frames in generated for 250"):
        replace(clip, generated=clip.truth[:-1])
    with pytest.raises(ValueError, match="clip clip0, generated: motion of shape"):
        replace(clip, generated=clip.truth[:, :63])
    with pytest.raises(ValueError, match="clip0: joins"):
        replace(clip, joins=(0,))
    with pytest.raises(ValueError, match="no clip to score"):
        score([], reference, seed=0)
    with pytest.raises(ValueError, match="no training clip"):
        MotionReference.fit([])


def test_a_table_has_no_zero_below_zero():
    assert "0.00 [0.00, 0.00]" in table({"model": {"distance": Score(-1e-9, -1e-9, 1e-9, 3, "")}})
