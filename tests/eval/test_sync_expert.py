"""Laws of clip scores by the sync expert: the sign of the offset, rows of systems, what is too short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from joyvasa.eval.reference import ClipMotion
from joyvasa.eval.sync import score_curve
from joyvasa.eval.sync_expert import Judge, discounted_confidence, expert_sync
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.motion import CHANNELS, LIPS, SAMPLES_PER_FRAME, MotionStats

FRAMES, WINDOW = 100, 10


class _Amplitudes(torch.nn.Module):
    """Features of a frame: its first samples, as they are."""

    width = len(LIPS)

    def forward(self, audio_BS):
        return audio_BS.unflatten(-1, (-1, SAMPLES_PER_FRAME))[..., : self.width]


def perfect_expert():
    """Both embeddings are the lips' places in a window, in order: the voice of `clip_of` holds just these."""
    zeros, ones = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    stats = MotionStats(zeros, ones, zeros, ones, zeros, ones)
    expert = SyncExpert(encoder=_Amplitudes(), stats=stats, window=WINDOW, kernel=2, width=4, embedding=4, seed=3)

    def windows(by_frame_BTL):
        flat = by_frame_BTL.unfold(1, WINDOW, 1).flatten(2)
        return torch.nn.functional.normalize(flat, dim=-1)

    expert.lip_embeddings = lambda motion: windows(motion[..., LIPS])
    expert.voice_embeddings = windows
    return expert


def clip_of(frames, seed):
    """Motion (T, 70) of noise and a voice (640 T,) whose frames begin with the places of the lips."""
    motion = np.random.default_rng(seed).standard_normal((frames, CHANNELS)).astype(np.float32)
    audio = np.zeros((frames, SAMPLES_PER_FRAME), np.float32)
    audio[:, : len(LIPS)] = motion[:, LIPS]
    return motion, audio.ravel()


@pytest.mark.parametrize("shift", [-10, -1, 0, 4, 10])
def test_a_voice_that_comes_early_has_a_positive_offset(shift):
    motion, audio = clip_of(FRAMES + 20, 0)
    early = audio[(10 + shift) * SAMPLES_PER_FRAME :]
    found = expert_sync(perfect_expert(), motion[10:], early, max_shift=15)
    assert found.masked.offset == shift and not found.masked.at_edge
    assert found.masked.confidence > 1
    assert discounted_confidence(found.masked) == pytest.approx(found.masked.confidence * (1 - abs(shift) / 16))


def test_the_longer_of_motion_and_voice_is_cut():
    motion, audio = clip_of(FRAMES, 0)
    cut = audio[: 60 * SAMPLES_PER_FRAME + 300]
    assert expert_sync(perfect_expert(), motion, cut, max_shift=5).windows == 60 - WINDOW + 1
    assert expert_sync(perfect_expert(), motion[:40], audio, max_shift=5).windows == 40 - WINDOW + 1


def test_too_short_a_clip_is_refused_and_the_expert_is_left_in_its_mode():
    motion, audio = clip_of(FRAMES, 0)
    expert = perfect_expert().train()
    expert_sync(expert, motion, audio, max_shift=5)
    assert expert.training
    del expert.lip_embeddings
    with pytest.raises(ValueError, match=f"9 frames .*expected {WINDOW} or more"):
        expert_sync(expert, motion[:9], audio, max_shift=5)


def test_the_discounted_confidence_is_that_of_the_best_shift_less_by_its_distance_from_none():
    in_sync = score_curve(np.array([1.0, 1.1, 0.2, 1.2, np.nan]))
    assert discounted_confidence(in_sync) == pytest.approx(0.8) == in_sync.confidence
    for curve, expected in (([1.0, 0.2, 1.1, 1.2, np.nan], 0.8 * 2 / 3), ([0.2, 1.0, 1.1, 1.2, np.nan], 0.8 / 3)):
        moved = score_curve(np.array(curve))
        assert discounted_confidence(moved) == pytest.approx(expected) and moved.confidence == pytest.approx(0.8)
    torn = score_curve(np.array([0.3, 1.0, 0.8, 1.1, 1.0]))
    assert torn.offset == 2 and discounted_confidence(torn) == pytest.approx(0.7 / 3), "a nearer shift may count more"
    torn = score_curve(np.array([0.5, 1.0, 0.8, 1.1, 1.0]))
    assert torn.offset == 2 and discounted_confidence(torn) == pytest.approx(0.2)


def judge_and(*motions, frames=FRAMES):
    """A judge, and for each letter a clip whose generated motion is right, moved by 2 frames, or another clip's."""
    clips, voices = [], []
    for seed, kind in enumerate(motions):
        truth, audio = clip_of(frames, seed)
        strange, _ = clip_of(frames, 50 + seed)
        made = {"right": truth, "late": np.roll(truth, 2, 0), "strange": strange}[kind]
        clips.append(ClipMotion(f"clip{seed}", truth=truth, determined=None, generated=made, other=strange))
        voices.append(audio)
    return Judge(perfect_expert(), 15), clips, voices


def test_rows_judge_what_was_generated_the_record_and_the_motion_of_another_voice():
    judge, clips, voices = judge_and(*["right"] * 5)
    rows = judge.rows(clips, voices, 0, ["model", "other_voice", "ceiling", "ridge"])
    assert set(rows) == {"model", "other_voice", "ceiling"}, "the motion of baselines is not here"
    assert rows["model"] == rows["ceiling"]
    score = rows["model"]["sync_confidence"]
    assert score.low <= score.value <= score.high and score.value > 1 and score.n == 5
    assert 0 <= rows["other_voice"]["sync_confidence"].value < 0.3
    assert rows["model"]["sync_offset"].value == 0
    assert judge.rows(clips, voices, 0, ["model"]) == {"model": rows["model"]}


def test_lips_that_are_late_have_a_voice_that_comes_too_early():
    judge, clips, voices = judge_and("late", "late", "late")
    scores = judge.rows(clips, voices, 0, ["model"])["model"]
    assert scores["sync_offset"].value == 2
    in_sync = judge.rows(*judge_and("right", "right", "right")[1:], 0, ["model"])["model"]["sync_confidence"].value
    assert scores["sync_confidence"].value == pytest.approx(in_sync * 14 / 16, rel=0.1)


def test_clips_too_short_or_not_of_their_voice_are_left_out_and_counted():
    judge, clips, voices = judge_and("right", "right", "strange")
    alone = judge.rows(clips[:1], voices[:1], 0, ["model"])["model"]
    clips[2] = replace(clips[2], paired=False)
    clips[1] = replace(clips[1], truth=clips[1].truth[:24], generated=clips[1].generated[:24], other=None)
    assert judge.least_frames == 25 and judge.score(clips[1].generated, voices[1]) is None
    found = judge.rows(clips, voices, 0, ["model"])["model"]
    for name, score in found.items():
        assert score.value == alone[name].value and score.n == 1
        assert "2 of 3 clips left out: unpaired, or under 25 frames" in score.note
    nothing = judge.rows(clips[2:], voices[2:], 0, ["model"])["model"]
    assert all(np.isnan(score.value) and score.note for score in nothing.values())
