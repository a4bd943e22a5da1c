"""Laws of clip scores by the sync expert: the sign of the offset, planted shifts, what is too short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from joyvasa.eval.sync import score_curve
from joyvasa.eval.sync_expert import confidence_at_zero, expert_sync, study_shifts
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
    assert (confidence_at_zero(found.masked) > 1) == (shift == 0)


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


def test_confidence_at_no_shift_is_that_of_the_best_where_that_is_none():
    in_sync = score_curve(np.array([1.0, 1.1, 0.2, 1.2, np.nan]))
    late = score_curve(np.array([1.0, 0.2, 1.1, 1.2, np.nan]))
    assert confidence_at_zero(in_sync) == pytest.approx(0.8) == in_sync.confidence
    assert confidence_at_zero(late) == pytest.approx(-0.1) and late.confidence == pytest.approx(0.8)


def test_a_study_finds_every_shift_and_no_stranger():
    clips = [clip_of(70, seed) for seed in range(4)]
    study = study_shifts(perfect_expert(), clips, frames=50, shifts=range(-10, 11), max_shift=15)
    assert (study.found_K == 1).all() and (study.within_one_K == 1).all()
    assert study.at_zero_K[10] == study.at_zero_K.max() > 1 and np.abs(np.delete(study.at_zero_K, 10)).max() < 0.2
    assert abs(study.strange) < 0.2 and study.strange_confidence < 0.3 < 1 < study.confidence


def test_a_study_of_too_little_is_refused():
    expert, clips = perfect_expert(), [clip_of(70, 0), clip_of(69, 1)]
    with pytest.raises(ValueError, match="2 clips, 1 of them shorter than 70 frames"):
        study_shifts(expert, clips, frames=50, shifts=(-10, 10), max_shift=15)
    with pytest.raises(ValueError, match="1 clips, 0 of them shorter"):
        study_shifts(expert, clips[:1], frames=50, shifts=(-10, 10), max_shift=15)
