"""The measures on made faces, sounds and motions, and what passes."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.motion import CHANNELS, EXP, PITCH, ROLL, ROTATION, SAMPLE_RATE, YAW
from preprocess.videos.cut import pieces
from preprocess.videos.filters import (
    AFTER,
    BEFORE,
    SYNC,
    check_after,
    check_before,
    check_rate,
    face_measures,
    jitter,
    motion_measures,
    sound_measures,
)
from preprocess.videos.records import REASONS, FaceTrack, Look, Piece, Unusable
from preprocess.videos.settings import Filters

FILTERS = Filters(
    min_seconds=1.0, max_seconds=4.0, min_fps=9.5, min_face_px=100, min_sharpness=0.3, max_rivals=0.2, max_missed=0.5,
    min_loudness_db=-45.0, max_clipped=0.01, min_speech=0.3, max_yaw_deg=50.0, max_pitch_deg=35.0, max_jitter=0.7,
    sync=None, max_sync_lag=2, min_sync_confidence=0.3,
)  # fmt: skip
LONG = replace(FILTERS, min_seconds=6.0, max_seconds=20.0)
GOOD = {
    "fps": 9.5, "face_px": 100.0, "sharpness": 0.3, "rivals": 0.2, "missed": 0.5, "loudness_db": -45.0, "clipped": 0.01,
    "speech": 0.3, "yaw_deg": 50.0, "pitch_deg": 35.0, "jitter": 0.7,
}  # fmt: skip
BAD = {
    "fps": ("low_rate", 9.4),
    "face_px": ("small_face", 99.9), "sharpness": ("blurred", 0.29), "rivals": ("several_faces", 0.21),
    "missed": ("face_lost", 0.51), "loudness_db": ("silent", -45.1), "clipped": ("clipped", 0.011),
    "speech": ("no_speech", 0.29), "yaw_deg": ("pose", 50.1), "pitch_deg": ("pose", 35.1), "jitter": ("jitter", 0.71),
}  # fmt: skip


@pytest.fixture(scope="module")
def clip():
    corpus = Corpus(seed=1, train_speakers=1, validation_speakers=1, clips_per_speaker=1, seconds=6.0)
    return make_clip(corpus, "train", 0, 0)


def check(measures):
    check_before(measures, FILTERS)
    check_after(measures, FILTERS)


def test_what_reaches_every_threshold_passes():
    check(GOOD)


@pytest.mark.parametrize("measure", BAD)
def test_what_misses_one_is_named_with_both_numbers_and_the_setting(measure):
    code, value = BAD[measure]
    for each in (value, float("nan")):
        with pytest.raises(Unusable) as caught:
            check(GOOD | {measure: each})
        assert caught.value.kind == code and "filters." in str(caught.value)
    (limit,) = (each for each in BEFORE + AFTER + SYNC if each.measure == measure)
    assert f"filters.{limit.setting}={getattr(FILTERS, limit.setting):g}" in str(caught.value)


def test_every_filter_has_a_reason_and_every_setting_a_filter():
    assert {limit.code for limit in BEFORE + AFTER + SYNC} <= set(REASONS)
    used = {limit.setting for limit in BEFORE + AFTER + SYNC} | {"min_seconds", "max_seconds", "sync"}
    assert used == {field.name for field in fields(Filters)}


def test_silence_is_silent_before_it_is_no_speech():
    with pytest.raises(Unusable) as caught:
        check_before(GOOD | sound_measures(np.zeros(SAMPLE_RATE, np.float32)), FILTERS)
    assert caught.value.kind == "silent"


def test_a_piece_is_measured_by_its_own_frames():
    square = np.ones((100, 4))
    square[:, 2] = np.repeat([200.0, 100.0], [60, 40])
    track = FaceTrack(1000, 1100, square, np.repeat([0.5, 0.1], [60, 40]), None, 50, 10, 220.0, 0.125)
    near, far = Piece(0, 0, 1000, 1060, 0, 60, {}), Piece(0, 1, 1060, 1100, 60, 100, {})
    same = {"fps": 25.0, "rivals": 0.125, "missed": 0.2}
    assert face_measures(track, near) == same | {"face_px": 220.0, "sharpness": 0.5}
    assert face_measures(track, far) == same | {"face_px": 110.0, "sharpness": 0.1}


@pytest.mark.parametrize("fps", [3, 5, 8, 10, 12.5, 15, 25])
def test_a_piece_of_too_few_pictures_is_left_out_and_one_of_ten_a_second_is_not(fps):
    for seconds in np.arange(8, 20, 0.72):
        count = int(fps * seconds)
        track = FaceTrack(0, count, np.ones((count, 4)), np.ones(count), None, count, 0, 200.0, 0.0)
        (piece,), _ = pieces([Look(0, count, ((0, count),), (track,))], np.arange(count) / fps, count / fps, LONG)
        measure = face_measures(track, piece)["fps"]
        assert abs(measure - fps) < 0.3
        assert (measure >= LONG.min_fps) == (fps >= 10)


def test_a_film_of_a_slow_rate_is_left_out_as_a_whole_and_one_with_holes_is_not():
    even = np.arange(100.0)
    check_rate(even / 10, FILTERS)
    check_rate(even[:1], FILTERS)
    check_rate(even / 25 + 10 * (even // 30), FILTERS)
    with pytest.raises(Unusable, match=r"^1.0 pictures a second .filters.min_fps=9.5.$") as caught:
        check_rate(even, FILTERS)
    assert caught.value.kind == "low_rate"


def test_a_rate_of_nothing_is_no_filter():
    with pytest.raises(ValueError, match="filters.min_fps=0 .expected more than 0"):
        replace(FILTERS, min_fps=0)


def test_loudness_is_of_the_voice_and_not_of_its_pauses(clip):
    alone, half = (sound_measures(audio) for audio in (clip.audio, np.pad(clip.audio, (0, len(clip.audio)))))
    assert abs(alone["loudness_db"] - half["loudness_db"]) < 5 and half["speech"] < alone["speech"]
    assert sound_measures(clip.audio / 10)["loudness_db"] == pytest.approx(alone["loudness_db"] - 20, abs=0.1)


def test_clipping_is_seen_at_any_level(clip):
    loud = clip.audio / np.abs(clip.audio).max()
    cut = np.clip(8 * loud, -1, 1)
    assert sound_measures(loud)["clipped"] < 0.001 and sound_measures(cut)["clipped"] > 0.02
    assert sound_measures(cut / 5)["clipped"] == sound_measures(cut)["clipped"]
    assert sound_measures(np.zeros(SAMPLE_RATE))["clipped"] == 0


def test_angles_are_of_nearly_all_frames_either_way():
    motion = np.zeros((100, CHANNELS), np.float32)
    motion[:, YAW], motion[:, PITCH], motion[:, ROLL] = -40, 20, 80
    motion[:2, YAW] = 89
    measures = motion_measures(motion)
    assert (measures["yaw_deg"], measures["pitch_deg"]) == (40.0, 20.0)


def noisy(motion, share, channels, seed=0):
    """With white noise that moves these channels `share` times as much as they move."""
    change = np.sqrt(np.square(np.diff(motion[:, channels], axis=0)).sum(axis=1).mean())
    noise = np.random.default_rng(seed).standard_normal(motion[:, channels].shape)
    shaken = motion.copy()
    shaken[:, channels] += share * change * noise / np.sqrt(2 * noise.shape[1])
    return shaken


def test_speech_does_not_shake_and_noise_does(clip):
    assert jitter(clip.motion) < 0.4
    for channels in (EXP, ROTATION):
        values = [jitter(noisy(clip.motion, share, channels)) for share in (0.5, 1, 2, 4)]
        assert values == sorted(values) and values[2] > 0.7 and values[3] > 0.85


def test_shake_is_free_of_amplitude_above_the_floor_and_nothing_below_it(clip):
    still = np.zeros((200, CHANNELS), np.float32)
    noise = np.random.default_rng(0).standard_normal(still.shape).astype(np.float32)
    assert jitter(still) == 0 and jitter(still + 1e-5 * noise) < 0.1
    assert jitter(still + noise) == pytest.approx(1.0, abs=0.05)
    assert jitter(clip.motion[:3]) == 0
    assert jitter(clip.motion * 4) < 0.65


def test_angles_that_pass_180_do_not_shake():
    turning = np.zeros((200, CHANNELS), np.float32)
    turning[:, ROLL] = (170 + np.arange(200) * 0.5 + 180) % 360 - 180
    assert jitter(turning) < 0.01


def test_measures_are_plain_numbers(clip):
    measures = sound_measures(clip.audio) | motion_measures(clip.motion)
    assert all(type(value) is float and value == round(value, 4) for value in measures.values())
    check(GOOD | measures)
