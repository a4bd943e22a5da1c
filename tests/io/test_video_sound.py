"""Laws of a film's sound: pieces lie where their stamps say, and nothing drifts."""

from fractions import Fraction

import numpy as np
import pytest

from joyvasa.io.audio_clock import BLOCK, JITTER_SECONDS, Clock, in_place, joined
from joyvasa.io.video_sound import SILENCE_DB, NoSound, levels_db, loudness_db, read_film_sound
from joyvasa.motion import SAMPLE_RATE
from tests.preprocess.videos.made_films import Made, numbered, write

RATE = 48_000


def stamped(places, length: int):
    """Pieces of ones, `length` samples each, stamped with `places` (seconds or None)."""
    for place in places:
        yield None if place is None else Fraction(place).limit_denominator(RATE), RATE, np.ones(length, np.float32)


def placed(places, length: int = 480, origin: float = 0) -> np.ndarray:
    return np.concatenate([block for _, block in in_place(stamped(places, length), Clock(Fraction(origin)))])


def test_gaps_become_silence_and_overlaps_are_cut():
    steps = np.arange(10) * 0.01
    assert placed(steps).all() and len(placed(steps)) == 4_800
    gap = placed([*steps, *(steps + 0.6)])
    assert len(gap) == round(0.7 * RATE) and gap[:4_800].all() and gap[-4_800:].all() and gap.sum() == 9_600
    overlap = placed([*steps, *(steps + 0.05)])
    assert overlap.all() and len(overlap) == round(0.15 * RATE)
    assert len(placed([0.0, None, None, 0.03])) == 4 * 480


def test_stamps_that_tremble_cut_nothing_and_a_wrong_rate_never_adds_up():
    rng = np.random.default_rng(0)
    trembling = np.arange(500) * 0.01 + rng.uniform(-0.004, 0.004, 500) * (np.arange(500) > 0)
    assert placed(trembling).all() and len(placed(trembling)) == 500 * 480
    for pace in (0.999, 1.001):
        off = len(placed(np.arange(4_000) * 0.01 * pace)) - 4_000 * 480 * pace
        assert abs(off) <= JITTER_SECONDS * RATE + 1


def test_the_first_sample_is_heard_with_the_first_picture():
    assert np.flatnonzero(placed([0.25]))[0] == 12_000
    early = placed([0.0, 0.01, 0.02, 0.03], origin=0.025)
    assert early.all() and len(early) == round(0.015 * RATE)
    assert len(placed([-5.0, -4.99])) == 0


def test_blocks_are_joined_in_order_and_by_rate():
    pieces = [(rate, np.arange(k, k + 1_000, dtype=np.float32)) for rate in (8_000, 16_000) for k in range(150)]
    whole = list(joined(pieces))
    for rate in (8_000, 16_000):
        parts = [block for own, block in whole if own == rate]
        np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([p for own, p in pieces if own == rate]))
        assert max(map(len, parts)) < BLOCK + 1_000 and min(map(len, parts[:-1])) >= BLOCK
    assert list(joined([])) == []


@pytest.mark.parametrize("begin", [0.0, 1.0])
def test_a_film_is_read_whole_as_int16_from_its_first_picture_on(tmp_path, begin):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    times = begin + np.arange(50) / 25
    path = write(tmp_path / "a.mkv", Made(times, tone, size=(96, 64), sound_codec="pcm_s16le"), numbered(50, (96, 64)))
    heard = read_film_sound(path, 60)
    np.testing.assert_array_equal(read_film_sound(path, 0.5), heard[:8_000])
    assert heard.dtype == np.int16 and abs(len(heard) - (2 - begin) * SAMPLE_RATE) <= 1
    assert np.abs(heard[100:-100]).max() == pytest.approx(0.5 * 32767, rel=0.01)


def test_a_silent_film_has_no_sound(tmp_path):
    mute = write(tmp_path / "a.mp4", Made(np.arange(25) / 25, None, size=(96, 64)), numbered(25, (96, 64)))
    with pytest.raises(NoSound, match="a.mp4: no sound track"):
        read_film_sound(mute, 60)


def test_levels_are_decibels_below_full_scale_and_loudness_is_that_of_the_loudest_tenth():
    assert levels_db(np.ones(800)).tolist() == [0.0] * 3
    np.testing.assert_allclose(levels_db(0.1 * np.ones(400)), -20.0)
    assert levels_db(np.zeros(400)).tolist() == [SILENCE_DB]
    voice = np.concatenate([np.zeros(4 * SAMPLE_RATE), 0.1 * np.ones(SAMPLE_RATE)])
    assert loudness_db(voice) == pytest.approx(-20.0) and loudness_db(voice[:300]) == SILENCE_DB
