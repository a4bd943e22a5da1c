"""Tracks to pieces: every motion frame once, in its place, none too short and none too long."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.videos.cut import pieces
from preprocess.videos.records import FaceTrack, Look
from preprocess.videos.settings import Filters


def filters(low, high, fps=9.5):
    return Filters(
        min_seconds=low, max_seconds=high, min_fps=fps, min_face_px=0, min_sharpness=0, max_rivals=1, max_missed=1,
        min_loudness_db=-99, max_clipped=1, min_speech=0, max_yaw_deg=180, max_pitch_deg=180, max_jitter=9,
        sync=None, max_sync_lag=2, min_sync_confidence=0.3,
    )  # fmt: skip


def track(start, stop):
    count = stop - start
    return FaceTrack(start, stop, np.ones((count, 4)), np.ones(count), None, count, 0, 100.0, 0.0)


def looks(*tracks):
    return [Look(0, tracks[-1].stop, ((0, tracks[-1].stop),), tracks)]


def cut(tracks, times, low=1.0, high=4.0):
    interval = np.median(np.diff(times))
    return pieces(looks(*tracks), times, float(times[-1] + interval), filters(low, high))


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 30, 60])
def test_a_whole_film_gives_25_frames_a_second(fps):
    count = round(3.2 * fps)
    (piece,), short = cut([track(0, count)], np.arange(count) / fps)
    assert not short and piece.first == 0 and abs(piece.last - 25 * count / fps) < 1
    assert (
        piece.start == 0
        and 0 <= count - piece.stop < fps / 25
        and (piece.parent, piece.part, piece.measures) == (0, 0, {})
    )


def test_tracks_side_by_side_share_no_frame_and_lose_none():
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.042, 400))
    times -= times[0]
    found, short = cut([track(0, 130), track(130, 263), track(263, 400)], times, high=20.0)
    assert not short and [piece.parent for piece in found] == [0, 1, 2]
    assert found[0].first == 0
    assert [piece.last for piece in found[:-1]] == [piece.first for piece in found[1:]]
    for piece, (begin, end) in zip(found, ((0, 130), (130, 263), (263, 400)), strict=True):
        assert times[begin] <= piece.first / 25 + 1e-9 and begin <= piece.start < piece.stop <= end
        assert (piece.last - 1) / 25 < (times[end] if end < 400 else times[-1] + 0.05)


def test_the_kept_frames_hold_every_motion_frame_between_them():
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.042, 1000))
    found, _ = cut([track(100, 900)], times)
    assert len(found) > 3
    for piece in found:
        assert times[piece.start] <= piece.first / 25 + 1e-9
        assert piece.stop == 900 or times[piece.stop - 1] >= (piece.last - 1) / 25 - 1e-9
        assert times[piece.start + 1] > piece.first / 25 and times[piece.stop - 2] < (piece.last - 1) / 25


@pytest.mark.parametrize("seconds", [1.0, 3.96, 4.0, 4.04, 7.0, 8.0, 8.04, 100.0])
def test_a_long_track_is_cut_in_the_fewest_equal_parts(seconds):
    count = round(25 * seconds)
    found, short = cut([track(0, count)], np.arange(count) / 25)
    sizes = [piece.frames for piece in found]
    assert not short and sum(sizes) == count and len(sizes) == -(-count // 100)
    assert (
        max(sizes) <= 100 and max(sizes) - min(sizes) <= 1 and [piece.part for piece in found] == [*range(len(found))]
    )
    assert [piece.last for piece in found[:-1]] == [piece.first for piece in found[1:]]


@pytest.mark.parametrize("count", range(200, 700, 7))
def test_where_equal_parts_would_be_too_short_the_end_is_left_out(count):
    found, short = cut([track(0, count)], np.arange(count) / 25, low=8.0, high=10.0)
    assert found and all(200 <= piece.frames <= 250 for piece in found)
    rest = sum(piece.frames for piece, _ in short)
    assert rest < 200 and rest + sum(piece.frames for piece in found) == count
    if short:
        ((piece, problem),) = short
        assert (piece.first, piece.last, problem.kind) == (found[-1].last, count, "short")
        assert "rest of a track" in str(problem)


def test_a_short_track_is_named_with_its_place_and_counts_as_a_track():
    found, short = cut([track(0, 20), track(20, 100)], np.arange(100) / 25)
    ((piece, problem),) = short
    assert (piece.first, piece.last, problem.kind) == (0, 20, "short")
    assert "0.80 s" in str(problem) and "filters.min_seconds=1" in str(problem)
    assert [piece.parent for piece in found] == [1]


def test_a_track_between_two_motion_frames_gives_nothing_to_keep():
    found, ((piece, _),) = cut([track(3, 4)], np.arange(120) / 60)
    assert not found and piece.frames == 0 and (piece.start, piece.stop) == (3, 4)


@pytest.mark.parametrize("last", [False, True])
def test_no_motion_frame_lies_in_a_hole(last):
    """Neither before the next track nor where the film's last frame stands still."""
    times = np.arange(100) / 25
    times[50:] += 10.0
    spans = [track(0, 50), *([] if last else [track(50, 100)])]
    found, short = pieces(looks(*spans), times[:50] if last else times, 14.0, filters(1, 20, fps=10.0))
    places = [(piece.start, piece.stop, piece.first, piece.last) for piece in found]
    assert not short and places == [(0, 50, 0, 52), (50, 100, 300, 350)][: len(spans)]
    for piece in found:
        shown = times[piece.start : piece.stop]
        assert all(np.abs(shown - at / 25).min() <= 0.1 for at in range(piece.first, piece.last))


@pytest.mark.parametrize("fps", [10, 12, 15])
def test_the_last_frame_of_a_slow_film_counts_in_full(fps):
    (piece,), _ = cut([track(0, 2 * fps)], np.arange(2 * fps) / fps)
    assert (piece.first, piece.last) == (0, 50)


def test_no_track_gives_no_piece():
    assert pieces([Look(0, 50, ((0, 50),), ())], np.arange(50) / 25, 2.0, filters(1, 4)) == ([], [])


def test_tracks_of_all_spans_are_numbered_on():
    spans = [Look(0, 50, ((0, 50),), (track(0, 50),)), Look(50, 100, ((50, 100),), (track(50, 100),))]
    found, _ = pieces(spans, np.arange(100) / 25, 4.0, filters(1, 4))
    assert [(piece.parent, piece.first, piece.last) for piece in found] == [(0, 0, 50), (1, 50, 100)]


@pytest.mark.parametrize(
    ("place", "begin", "end"),
    [
        (0, "the start of the audio", "a cut"),
        (1, "a cut", "the face is lost"),
        (2, "the face appears", "another face comes or goes"),
        (3, "another face comes or goes", "a hole in the picture"),
        (4, "a hole in the picture", "a border of decoding.span_seconds"),
        (5, "a border of decoding.span_seconds", "the end of the audio"),
    ],
)
def test_a_short_track_tells_what_it_really_begins_and_ends_with(place, begin, end):
    times = np.arange(120) / 25
    times[80:] += 3.0
    tracks = [track(*span) for span in ((0, 20), (20, 38), (42, 60), (60, 80), (80, 100), (100, 120))]
    spans = [
        Look(0, 100, ((0, 20), (20, 80), (80, 100)), tuple(tracks[:5])),
        Look(100, 120, ((100, 120),), tuple(tracks[5:])),
    ]
    edges = ("the start of the audio", "the end of the audio")
    found, short = pieces(spans, times, float(times[-1] + 0.04), filters(1, 20), edges)
    said = str(short[place][1])
    assert not found and len(short) == 6 and f"from {begin} to {end}" in said.replace("where ", "")
