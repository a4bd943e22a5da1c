"""Laws of the study of moved voices: every shift is found by an expert that knows, and none by one that does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from joyvasa.eval.sync_expert import Judge
from joyvasa.eval.sync_study import OTHER_VOICE, StudyClip, study_shifts
from joyvasa.motion import CHANNELS, LIPS, SAMPLES_PER_FRAME

WINDOW, SHIFTS = 10, range(-10, 11)


class _Knowing:
    """Both embeddings are the lips' places in a window: the voice of `clip_of` begins with just these."""

    window, training = WINDOW, False
    lip_mean = torch.zeros(1)

    def encoder(self, audio_BS):
        return audio_BS.unflatten(-1, (-1, SAMPLES_PER_FRAME))[..., : len(LIPS)]

    def voice_embeddings(self, by_frame_BTL):
        return torch.nn.functional.normalize(by_frame_BTL.unfold(1, WINDOW, 1).flatten(2), dim=-1)

    def lip_embeddings(self, motion_BTC):
        return self.voice_embeddings(motion_BTC[..., LIPS])

    def eval(self):
        return self

    def train(self, _):
        return self


class _Deaf(_Knowing):
    """Every voice sounds alike."""

    def encoder(self, audio_BS):
        return torch.ones(1, audio_BS.shape[-1] // SAMPLES_PER_FRAME, len(LIPS))


def clip_of(frames, seed, speaker=None):
    motion = np.random.default_rng(seed).standard_normal((frames, CHANNELS)).astype(np.float32)
    audio = np.zeros((frames, SAMPLES_PER_FRAME), np.float32)
    audio[:, : len(LIPS)] = motion[:, LIPS]
    return StudyClip(speaker or f"speaker{seed}", motion, audio.ravel())


def study_of(expert, clips=4, frames=70):
    made = [clip_of(frames, seed) for seed in range(clips)]
    return study_shifts(Judge(expert, 15), made, frames=50, shifts=SHIFTS)


def test_an_expert_that_knows_finds_every_shift_and_no_stranger():
    study = study_of(_Knowing())
    assert not study.error_NK.any()
    mean_K = study.confidence_NK.mean(0)
    assert mean_K[10] > 1 and (np.diff(mean_K[:11]) > 0).all() and (np.diff(mean_K[10:]) < 0).all()
    assert study.best_NK.min() > 1
    assert study.strange_confidence_N.max() < mean_K.min() and study.strange_best_N.max() < 0.5


def test_an_expert_that_is_deaf_finds_none():
    study = study_of(_Deaf())
    assert (study.error_NK == 0).mean() <= 1 / len(SHIFTS) + 1e-9
    assert np.abs(study.confidence_NK).max() < 0.3


def test_rows_are_by_the_size_of_the_shift_with_intervals_over_speakers():
    study = study_of(_Knowing())
    rows = study.rows(seed=0)
    assert list(rows) == ["all", *(f"moved by {size}" for size in range(11)), OTHER_VOICE]
    assert rows["all"]["found"].value == rows["moved by 7"]["within_1"].value == 1
    three = rows["moved by 3"]["confidence"]
    assert three.value == pytest.approx(study.confidence_NK[:, [7, 13]].mean())
    assert np.isnan(three.low) and "4 speakers" in three.note, "four are too few for an interval"
    assert rows[OTHER_VOICE]["distance"].value == pytest.approx(study.strange_distance_N.mean())
    by_shift = study.rows_by_shift(seed=0)
    assert [score.value for score in by_shift] == pytest.approx(study.confidence_NK.mean(0))


def test_a_stranger_is_of_another_speaker():
    first, second = clip_of(70, 0, "anna"), clip_of(70, 0, "anna")
    third = clip_of(70, 2, "boris")
    study = study_shifts(Judge(_Knowing(), 15), [first, second, third], frames=50, shifts=SHIFTS)
    assert study.strange_best_N.max() < 0.5, "the same recording under the same name is no stranger"


def test_a_study_of_too_little_is_refused():
    judge, clips = Judge(_Knowing(), 15), [clip_of(70, 0), clip_of(69, 1)]
    with pytest.raises(ValueError, match="2 clips of 2 speakers, 1 shorter than 70 frames"):
        study_shifts(judge, clips, frames=50, shifts=(-10, 10))
    with pytest.raises(ValueError, match="1 clips of 1 speakers, 0 shorter"):
        study_shifts(judge, clips[:1], frames=50, shifts=(-10, 10))
    with pytest.raises(ValueError, match="20 frames of each .*25 frames or more"):
        study_shifts(judge, clips, frames=20, shifts=(-10, 10))
