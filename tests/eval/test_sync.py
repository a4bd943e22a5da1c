"""Laws of the lip-sync scores: planted shifts are found, zeros beyond the ends pull scores together, strangers score 0.

Planted embeddings: lips of normal numbers times 0.2, 1024 wide; the voice is the lips moved in time, plus noise.
"""

import numpy as np
import pytest
import torch

from joyvasa.eval import sync as module
from joyvasa.eval.sync import audio_windows, clip_sync, lower_median, score_curve, shift_distances, window_count
from joyvasa.eval.sync_summary import SyncSummary

WIDTH, LIP, NOISE = 1024, 0.2, 0.107


def planted(windows, shift=0, seed=0, matched=True):
    """Lip and audio embeddings (N, 1024): audio n is of lip n + shift, so the voice comes `shift` frames too early."""
    rng = np.random.default_rng(seed)
    long = LIP * rng.standard_normal((windows + 40, WIDTH))
    other = long if matched else LIP * rng.standard_normal(long.shape)
    audio = other[20 + shift : 20 + shift + windows] + NOISE * rng.standard_normal((windows, WIDTH))
    return torch.from_numpy(long[20 : 20 + windows]).float(), torch.from_numpy(audio).float()


def plain_distances(lip, audio, max_shift):
    """The definition, number by number."""
    lip, audio = lip.double().numpy(), audio.double().numpy()
    found = np.empty((len(lip), 2 * max_shift + 1))
    for n in range(len(lip)):
        for s in range(-max_shift, max_shift + 1):
            heard = audio[n + s] if 0 <= n + s < len(lip) else np.zeros(audio.shape[1])
            found[n, s + max_shift] = np.sqrt(np.square(lip[n] - heard + 1e-6).sum())
    return found


@pytest.mark.parametrize("windows, max_shift", [(1, 15), (9, 15), (40, 10)])
def test_distances_follow_their_definition_in_blocks_of_any_size(monkeypatch, windows, max_shift):
    lip, audio = planted(windows)
    expected = plain_distances(lip, audio, max_shift)
    for block in (1024, 7, 1):
        monkeypatch.setattr(module, "BLOCK_WINDOWS", block)
        np.testing.assert_allclose(shift_distances(lip, audio, max_shift).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("shift", range(-10, 11))
def test_a_planted_shift_is_found_by_both_scores(shift):
    found = clip_sync(*planted(60, shift), max_shift=15)
    for score in (found.reference, found.masked):
        assert score.offset == shift and not score.at_edge
        assert score.confidence > 3
        assert score.distance <= score.distance_at_zero
        assert (score.distance == score.distance_at_zero) == (shift == 0)


def test_a_lag_beyond_the_search_is_at_the_edge():
    found = clip_sync(*planted(60, 4), max_shift=4)
    assert found.reference.offset == found.masked.offset == 4
    assert found.reference.at_edge and found.masked.at_edge


def test_zeros_beyond_the_ends_pull_the_scores_of_short_clips_together():
    """20 windows, mean of 20 draws: matched 4.9 padded against 6.2 masked, unmatched 1.2 against 0.1.

    Expected distances: D to another's voice, Z to zeros, M to the own. Padded, shift s is ((20 − |s|) D + |s| Z) / 20,
    of which the median of 31 shifts is at |s| = 8 and the least, without a match, at |s| = 15.
    """
    other, zeros, own = 32 * np.sqrt(2 * LIP**2 + NOISE**2), 32 * LIP, 32 * NOISE
    values = []
    for seed in range(20):
        clips = [clip_sync(*planted(20, seed=seed, matched=matched), max_shift=15) for matched in (True, False)]
        values.append([score.confidence for clip in clips for score in (clip.reference, clip.masked)])
    matched_padded, matched_masked, other_padded, other_masked = np.mean(values, 0)
    assert matched_masked == pytest.approx(other - own, abs=0.05) == pytest.approx(6.24, abs=0.1)
    assert matched_padded == pytest.approx(other - own - 8 / 20 * (other - zeros), abs=0.05)
    assert matched_padded == pytest.approx(4.92, abs=0.1)
    assert other_padded == pytest.approx(7 / 20 * (other - zeros), abs=0.15) == pytest.approx(1.2, abs=0.15)
    assert 0 <= other_masked < 0.2


def test_a_shuffled_voice_scores_nothing_masked():
    lip, audio = planted(100)
    truth = clip_sync(lip, audio, max_shift=15)
    order = torch.from_numpy(np.random.default_rng(1).permutation(100))
    shuffled = clip_sync(lip, audio[order], max_shift=15)
    assert truth.masked.confidence > 6
    assert shuffled.masked.confidence < 0.2
    assert shuffled.masked.confidence < shuffled.reference.confidence


def test_both_scores_agree_on_long_clips():
    found = clip_sync(*planted(2000), max_shift=15)
    assert found.masked.confidence == pytest.approx(found.reference.confidence, rel=0.01)
    assert found.masked.distance == found.reference.distance


def test_a_clip_shorter_than_the_search_leaves_out_shifts_without_audio():
    found = clip_sync(*planted(6), max_shift=15)
    assert np.isfinite(found.masked.curve_S).sum() == 11 and np.isfinite(found.reference.curve_S).all()
    assert found.masked.offset == 0 and not found.masked.at_edge
    assert len(found.smooth_confidence_N) == found.windows == 6


def test_frame_confidences_mean_the_clips_and_one_bad_frame_is_filtered_away():
    lip, audio = planted(40)
    audio[20] = planted(1, seed=9, matched=False)[1]
    found = clip_sync(lip, audio, max_shift=15)
    assert found.frame_confidence_N.mean() == pytest.approx(found.reference.confidence)
    assert found.frame_confidence_N[20] < 1 and found.smooth_confidence_N[20] > 4


def test_even_medians_are_the_lower_one_and_ties_the_first_shift():
    assert lower_median(np.array([4.0, 1.0, 3.0, 2.0])) == 2.0 == torch.tensor([4.0, 1.0, 3.0, 2.0]).median()
    tied = score_curve(np.array([5.0, 2.0, 2.0, 5.0, 5.0]))
    assert (tied.offset, tied.distance, tied.confidence, tied.at_edge) == (1, 2.0, 3.0, False)


def test_windows_are_five_frames_and_twenty_cepstra():
    assert window_count(12, 8000) == 7 and window_count(100, 8639) == 8
    cepstra = np.arange(13 * 49.0).reshape(13, 49)
    windows = audio_windows(cepstra, 7)
    assert windows.shape == (7, 1, 13, 20) and np.shares_memory(windows, cepstra)
    for n in range(7):
        np.testing.assert_array_equal(windows[n, 0], cepstra[:, 4 * n : 4 * n + 20])
    with pytest.raises(ValueError, match="5 frames and 8000 samples give no window"):
        window_count(5, 8000)
    with pytest.raises(ValueError, match=r"49 cepstra for 9 windows \(expected 52\)"):
        audio_windows(cepstra, 9)


def test_embeddings_that_do_not_pair_or_are_not_numbers_are_refused():
    lip, audio = planted(8)
    with pytest.raises(ValueError, match=r"\(8, 1024\).*\(7, 1024\)"):
        clip_sync(lip, audio[:7], max_shift=15)
    audio[3, 5] = float("nan")
    with pytest.raises(ValueError, match="0 lip and 1 audio embeddings of 8 windows are not finite"):
        clip_sync(lip, audio, max_shift=15)


def test_the_summary_means_over_clips_and_is_the_same_over_any_ranks():
    shifts = [0, 1, -1, 5, 0, 3, -7]
    clips = [clip_sync(*planted(40, shift, seed), max_shift=15) for seed, shift in enumerate(shifts)]
    whole = SyncSummary(max_shift=15)
    ranks = [SyncSummary(max_shift=15) for _ in range(3)]
    for number, clip in enumerate(clips):
        whole.update(clip)
        ranks[number % 2].update(clip)  # the third has none
    for rank in ranks[1:]:
        ranks[0].merge_state(rank)
    found, merged = whole.compute(), ranks[0].compute()
    assert {name: float(value) for name, value in merged.items()} == pytest.approx(
        {name: float(value) for name, value in found.items()}, rel=1e-14
    )
    assert found["clips"] == 7 and found["reference/offset"] == 0
    assert float(found["masked/within_1"]) == pytest.approx(4 / 7) and found["masked/at_edge"] == 0
    assert float(found["reference/lse_c"]) == pytest.approx(np.mean([clip.reference.confidence for clip in clips]))
    assert float(found["masked/lse_d"]) == pytest.approx(np.mean([clip.masked.distance for clip in clips]))
    with pytest.raises(ValueError, match=r"21 shifts \(expected 31\)"):
        whole.update(clip_sync(*planted(40), max_shift=10))
    whole.reset()
    assert whole.metric_state["masked_offsets_S"].sum() == 0
    whole.update(clips[3])
    assert whole.compute()["reference/offset"] == 5 and float(whole.compute()["reference/within_1"]) == 0
