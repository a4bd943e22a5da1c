"""Laws of the synthetic corpus: keyed clips, split speakers, and a mouth that loudness alone does not tell.

T frames, C channels.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from joyvasa.data.synthetic import Corpus, make_clip, make_clips, write_corpus
from joyvasa.data.synthetic_phones import BILABIALS, PAUSE, PHONES
from joyvasa.motion import (
    CHANNELS,
    EYELIDS,
    FPS,
    LOWER_LIP,
    PITCH,
    ROLL,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    YAW,
    channels_of,
    check_motion,
    lip_opening,
)

CORPUS = Corpus(seed=0, train_speakers=10, validation_speakers=2, clips_per_speaker=2, seconds=6.0)
TINY = Corpus(seed=3, train_speakers=2, validation_speakers=1, clips_per_speaker=1, seconds=2.0)


@pytest.fixture(scope="module")
def clips():
    """24 clips of 12 speakers."""
    return list(make_clips(CORPUS, processes=1))


def same(one, two) -> bool:
    arrays = ("motion", "audio", "truth")
    return one.meta == two.meta and all(np.array_equal(getattr(one, name), getattr(two, name)) for name in arrays)


def rms(audio: np.ndarray) -> np.ndarray:
    """Loudness of each frame, (T,)."""
    return np.sqrt(np.mean(audio.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64) ** 2, axis=1))


def spoken(clip, *symbols: str) -> list[tuple[float, float]]:
    return [(start, end) for start, end, symbol in clip.meta["phones"] if symbol in symbols]


def test_a_clip_is_a_pure_function_of_its_name(clips):
    again = make_clip(CORPUS, *CORPUS.plan()[5])
    assert same(again, clips[5]) and again.key == clips[5].key


def test_the_number_of_processes_changes_nothing():
    alone, together = list(make_clips(TINY, processes=1)), list(make_clips(TINY, processes=2))
    assert [clip.key for clip in alone] == [clip.key for clip in together]
    assert all(same(one, two) for one, two in zip(alone, together, strict=True))


def test_a_written_corpus_reads_back_with_its_truth(tmp_path):
    dataset = write_corpus(tmp_path / "made", TINY, clips_per_shard=2, processes=1)
    made = {clip.key: clip for clip in make_clips(TINY, processes=1)}
    entries = [entry for split in ("train", "validation") for entry in dataset.entries(split)]
    assert {entry.key for entry in entries} == set(made)
    for entry in entries:
        clip = entry.load()
        assert np.array_equal(clip.motion, made[entry.key].motion)
        assert np.array_equal(clip.truth, made[entry.key].truth)
        np.testing.assert_allclose(clip.audio, made[entry.key].audio, atol=1 / 32768)
        assert clip.meta["phones"] == made[entry.key].meta["phones"]


def test_no_speaker_is_in_two_splits(clips):
    splits: dict[str, set[str]] = {}
    for clip in clips:
        splits.setdefault(clip.meta["split"], set()).add(clip.meta["speaker"])
    assert {split: len(speakers) for split, speakers in splits.items()} == {"train": 10, "validation": 2}
    assert not splits["train"] & splits["validation"]


def test_keys_are_unique_and_seeds_are_other_people(clips):
    assert len({clip.key for clip in clips}) == len(CORPUS.plan()) == 24
    other = make_clip(replace(CORPUS, seed=1), *CORPUS.plan()[0])
    assert other.key != clips[0].key and other.meta["speaker"] != clips[0].meta["speaker"]
    assert other.meta["phones"] != clips[0].meta["phones"]
    assert not np.array_equal(other.motion[:40], clips[0].motion[:40])


def test_more_speakers_and_more_clips_change_no_clip(clips):
    larger = replace(CORPUS, train_speakers=11, clips_per_speaker=3)
    assert np.array_equal(make_clip(larger, "train", 0, 1).motion, clips[1].motion)


def test_a_speaker_has_one_face_and_each_its_own(clips):
    """The voice turns no head sideways, so the truth's yaw is that of the speaker's neutral face."""
    faces: dict[str, set[float]] = {}
    for clip in clips:
        faces.setdefault(clip.meta["speaker"], set()).update(clip.truth[:, YAW].tolist())
    assert len(faces) == 12 and all(len(yaw) == 1 for yaw in faces.values())
    assert len(set.union(*faces.values())) == 12


def test_motion_audio_and_truth_have_the_same_length_and_are_finite(clips):
    for clip in clips:
        check_motion(clip.motion, clip.key)
        check_motion(clip.truth, clip.key)
        assert clip.motion.shape == clip.truth.shape == (clip.meta["frames"], CHANNELS)
        assert clip.motion.dtype == clip.truth.dtype == clip.audio.dtype == np.float32
        assert clip.audio.shape == (len(clip.motion) * SAMPLES_PER_FRAME,)
        assert np.isfinite(clip.audio).all() and 1e-3 < np.abs(clip.audio).max() <= 1
        assert 0.8 * CORPUS.seconds - 0.04 <= len(clip.motion) / FPS <= 1.2 * CORPUS.seconds + 0.04


def test_phones_cover_the_clip_without_gap_or_overlap(clips):
    for clip in clips:
        phones = clip.meta["phones"]
        assert phones[0][0] == 0 and phones[-1][1] == pytest.approx(len(clip.motion) / FPS, abs=1e-4)
        assert all(one[1] == two[0] for one, two in pairwise(phones))
        assert all(start < end and symbol in PHONES for start, end, symbol in phones)
        assert phones[0][2] == phones[-1][2] == PAUSE


def test_every_phone_is_spoken(clips):
    assert {symbol for clip in clips for _, _, symbol in clip.meta["phones"]} == set(PHONES)


@pytest.mark.parametrize("scale", [lambda level: level, lambda level: 20 * np.log10(level + 1e-6)], ids=["rms", "dB"])
def test_loudness_alone_does_not_tell_the_mouth(clips, scale):
    """Otherwise a volume meter would pass for lip sync. It tells something, as in any speech."""
    found = [np.corrcoef(scale(rms(clip.audio)), lip_opening(clip.motion))[0, 1] for clip in clips]
    assert 0.1 < np.mean(found) <= 0.6


def test_bilabials_shut_the_lips(clips):
    closed = []
    for clip in clips:
        opening = lip_opening(clip.truth)
        low, high = opening.min(), np.percentile(opening, 99)
        for start, end in spoken(clip, *BILABIALS):
            frame = min(int((start + end) / 2 * FPS), len(opening) - 1)
            closed.append((opening[frame] - low) / (high - low))
    assert len(closed) > 50 and max(closed) < 0.3


def test_open_vowels_part_the_lips(clips):
    opened = []
    for clip in clips:
        opening = lip_opening(clip.truth)
        low, high = opening.min(), np.percentile(opening, 99)
        for start, end in spoken(clip, "aa", "ae"):
            opened.append((opening[min(int((start + end) / 2 * FPS), len(opening) - 1)] - low) / (high - low))
    assert len(opened) > 10 and np.median(opened) > 0.5


def level_db(clip, spans: list[tuple[float, float]], part: slice) -> list[float]:
    """Level of a part of each span (in tenths of it) against the clip's loud frames, in dB."""
    loud, levels = np.percentile(rms(clip.audio), 90), []
    for start, end in spans:
        edges = np.linspace(start, end, 11) * SAMPLE_RATE
        inside = clip.audio[int(edges[part.start]) : int(edges[part.stop])].astype(np.float64)
        levels.append(20 * np.log10(np.sqrt(np.mean(inside**2)) / loud + 1e-6))
    return levels


def test_voiceless_stops_hold_silence_and_m_sounds_with_the_lips_just_as_shut(clips):
    """Measured between the smoothed onset and the release, in the clips with little noise and echo."""
    quiet = [clip for clip in clips if np.percentile(rms(clip.audio), 5) < 0.02 * np.percentile(rms(clip.audio), 90)]
    assert len(quiet) >= 5
    stops = [level for clip in quiet for level in level_db(clip, spoken(clip, "p", "t", "k"), slice(4, 7))]
    nasals = [level for clip in quiet for level in level_db(clip, spoken(clip, "m"), slice(3, 7))]
    assert len(stops) > 20 and len(nasals) > 10
    assert np.median(stops) < -20
    assert np.median(nasals) > np.median(stops) + 10


def test_motion_is_as_large_as_in_official_files(clips):
    """Standard deviations within clips, a factor of two either way."""
    lower_lip, (left_lid, right_lid) = channels_of([LOWER_LIP])[1], (channels_of([lid])[1] for lid in EYELIDS)
    expected = {lower_lip: 0.014, left_lid: 0.005, right_lid: 0.005, PITCH: 2.0, YAW: 3.0, ROLL: 1.0}
    for channel, typical in expected.items():
        found = np.mean([clip.motion[:, channel].std() for clip in clips])
        assert typical / 2 < found < typical * 2, f"channel {channel}: {found:.4f}"


def test_the_truth_is_the_part_of_the_motion_that_speech_tells(clips):
    together = np.concatenate([clip.motion - clip.truth for clip in clips])
    opening = np.concatenate([lip_opening(clip.truth) for clip in clips])
    assert lip_opening(together).std() < 0.3 * opening.std()
    for channel in (YAW, ROLL):
        assert all(np.ptp(clip.truth[:, channel]) == 0 for clip in clips)
        assert together[:, channel].std() > 0.5


def test_a_speakers_phones_move_its_lips_at_the_time_they_sound(clips):
    """Lips of the truth, moved in time against its phones, fit best where they are."""

    def shutness(clip, shift: int) -> float:
        opening, frames = lip_opening(clip.truth), []
        for start, end in spoken(clip, *BILABIALS):
            frames.append(np.clip(int((start + end) / 2 * FPS) + shift, 0, len(opening) - 1))
        return float(opening[frames].mean() - opening.mean())

    usable = [clip for clip in clips if spoken(clip, *BILABIALS)]
    curve = {shift: np.mean([shutness(clip, shift) for clip in usable]) for shift in range(-4, 5)}
    assert min(curve, key=curve.get) == 0


@pytest.mark.parametrize(
    "change", [{"train_speakers": 0}, {"validation_speakers": 0}, {"clips_per_speaker": 0}, {"seconds": 1.0}]
)
def test_a_corpus_that_cannot_be_made_is_refused(change):
    with pytest.raises(ValueError, match="synthetic corpus needs|clips of 2 to 60 s"):
        replace(CORPUS, **change)
