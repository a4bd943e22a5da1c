"""Planted shifts, from pixels and samples on: through rate, boxes, tracks, crops, cepstra and windows to the offset.

In these films a square face is as bright as the voice is loud, and the judge reads brightness and loudness: so what is
counted wrongly anywhere between the file and the score moves the offset.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from joyvasa.eval.films.film_scores import Rules, score_film
from joyvasa.eval.films.gauge import OpenFilm
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.lip_track import SYNCNET_RULE
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocols import HAAR, IN_MEMORY, PROTOCOLS, seen_by
from joyvasa.io.video_reader import VideoInfo
from joyvasa.motion import SAMPLES_PER_FRAME

FRAMES, REACH = 50, 12  # at 25 a second; a voice that is moved goes on beyond the film
FIRST = 7  # frame in which the face appears: its track does not begin with the film
RULES = Rules(max_excluded=0.1, min_face_rate=0.5, min_loudness_db=-60)
SCALE = 100


def tone(levels):
    """int16: a square wave of one pitch, in each frame e^(2.5 level) as loud."""
    wave = np.where(np.arange(SAMPLES_PER_FRAME) // 8 % 2, 1.0, -1.0)
    return np.round(200 * np.exp(2.5 * np.asarray(levels))[:, None] * wave).astype(np.int16).ravel()


class Judge:
    """Embeds five frames as their brightness, 20 cepstra as the loudness of their five frames: levels, times 100."""

    def __init__(self):
        self.silence = float(mfcc(tone([0.0, 0.0]))[0, 1])

    def lip_windows(self, chunks):
        (crops,) = chunks
        return ((crops[:, 40:120, 72:152].float().mean((1, 2, 3)) - 40) / 160 * SCALE).unfold(0, 5, 1)

    def audio(self, windows):
        # Of a frame's four cepstra the second has no sample of its neighbours.
        return (windows[:, 0, 0, 1::4] - self.silence) / 5 * SCALE


def levels(seed):
    """Of the frames of a film and of REACH before and after it."""
    return np.random.default_rng(seed).random(FRAMES + 2 * REACH)


def pictures(of_frame, rate):
    """uint8 (60, 90, 3): a square of 24 pixels, grey by the level at its time; its frame's number in the corner."""
    texture = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    for number in range(FRAMES * rate // 25):
        # At 25 a second the frame nearest in time is shown, of two the later.
        at = min(int(Fraction(25 * number, rate) + Fraction(1, 2)), FRAMES - 1)
        frame = texture.copy()
        frame[18:42, 30:54] = round(40 + 160 * of_frame[REACH + at])
        frame[0, 0] = at
        yield frame


def look(frame):
    return [(30.0, 18.0, 54.0, 42.0)] if frame[0, 0, 0] >= FIRST else []


def scored(voice, rate=25, seed=0):
    """The film of a seed with a voice, int16 from the film's beginning -> its scores, reference's and masked."""
    rule = replace(SYNCNET_RULE, min_track=8, smallest_px=10)
    ways = [replace(seen_by(PROTOCOLS[name], HAAR), rule=rule) for name in ("syncnet", "syncnet-masked")]
    info = VideoInfo(
        width=90, height=60, fps=Fraction(rate), frames=FRAMES * rate // 25, seconds=FRAMES / 25, has_sound=True,
        rotation=0, variable=False,
    )  # fmt: skip
    film = OpenFilm(Path("film.mp4"), "film", info, None, None)
    film.sound = voice
    gauge = LipInstrument(ways[0], {}, IN_MEMORY, Judge(), look).begin(film)
    for frame in pictures(levels(seed), rate):
        gauge.add(frame, None)
    reading = gauge.end()
    assert [track["start"] for track in reading.facts["tracks"]] == [FIRST]
    return [score_film(way, reading, RULES).values for way in ways]


def moved(shift, seed=0):
    """The voice of a film, so many frames too early."""
    return tone(levels(seed)[REACH + shift : REACH + shift + FRAMES])


@pytest.mark.parametrize("shift", range(-10, 11))
def test_a_shift_planted_in_a_film_is_found(shift):
    padded, masked = scored(moved(shift))
    for found in (padded, masked):
        assert found["offset"] == shift and found["within_1"] == (abs(shift) <= 1) and not found["at_edge"]
        assert found["lse_c"] > 25 and (found["distance_at_zero"] < 2) == (shift == 0)
    assert masked["lse_d"] < 2 and masked["lse_c"] > 50


@pytest.mark.parametrize("rate", [50, 75])
@pytest.mark.parametrize("shift", [-3, 4])
def test_the_rate_of_the_film_changes_no_offset(rate, shift):
    for found in scored(moved(shift), rate):
        assert found["offset"] == shift and found["lse_c"] > 25


def test_confidence_is_of_the_own_voice_alone():
    _, own = scored(moved(0))
    _, other = scored(moved(0, seed=5))
    order = np.random.default_rng(0).permutation(FRAMES)
    _, shuffled = scored(tone(levels(0)[REACH : REACH + FRAMES][order]))
    for found in (other, shuffled):
        assert found["lse_c"] < 0.3 * own["lse_c"] and found["lse_d"] > 50


@pytest.mark.parametrize("samples", [-700, -250, 250, 700])
def test_a_voice_a_part_of_a_frame_off_is_found_to_the_frame(samples):
    """Positive: too early."""
    first = REACH * SAMPLES_PER_FRAME + samples
    for found in scored(tone(levels(0))[first : first + FRAMES * SAMPLES_PER_FRAME]):
        assert found["offset"] == round(samples / SAMPLES_PER_FRAME)
