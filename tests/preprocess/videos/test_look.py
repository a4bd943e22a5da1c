"""Faces followed through a span: shots, gaps, strangers, what is measured of them, and files of it."""

from __future__ import annotations

import weakref

import cv2
import numpy as np
import pytest

from joyvasa.faces.face import Face
from preprocess.videos.look import load, look, save, sharpness
from preprocess.videos.settings import Following

FOLLOWING = Following(detector="haar", detect_seconds=0.08, lost_seconds=0.5, smoothing_seconds=0.08, rival=0.5)


class Scripted:
    """A detector that says what it is told, frame by frame; the frame's number is in its upper left pixel."""

    name, note = "scripted", ""

    def __init__(self, script):
        self.script, self.asked = script, []

    def detect(self, image):
        index = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
        self.asked.append(index)
        return self.script(index)


def frames(count, shot_of=lambda index: 0):
    """Shots differ by brightness."""
    for index in range(count):
        frame = np.full((120, 160, 3), 40 + 80 * shot_of(index), np.uint8)
        frame[0, 0, :2] = index % 256, index // 256
        yield frame


def face(x, side=40.0, y=30.0, landmarks=None):
    return Face((x, y, side, side), 0.0, 1.0, "haar", landmarks)


def seen(script, count=50, fps=25.0, start=0, shot_of=lambda index: 0):
    times = (start + np.arange(count)) / fps
    return look(frames(count, shot_of), times, start, Scripted(script), FOLLOWING, "film.mp4")


def spans(found):
    return [(track.start, track.stop) for track in found.tracks]


def test_a_face_that_is_always_there_is_one_track_with_a_square_for_every_frame():
    found = seen(lambda index: [face(20.0 + index)], start=1000)
    (track,) = found.tracks
    assert (found.start, found.stop, found.shots) == (1000, 1050, ((1000, 1050),))
    assert (track.start, track.stop, track.missed, track.rivals, track.face_px) == (1000, 1050, 0, 0.0, 40.0)
    assert track.square_T4.shape == (50, 4) and track.sharpness_T.shape == (50,) and track.ratios_T3 is None
    np.testing.assert_allclose(track.square_T4[:, 0], 40.0 + np.arange(50), atol=1e-3)
    np.testing.assert_allclose(track.square_T4[:, 2], 0.82 * 40, rtol=1e-5)


@pytest.mark.parametrize(("fps", "every"), [(25.0, 2), (30.0, 2), (24.0, 2), (12.0, 1)])
def test_it_is_looked_for_by_time_and_at_both_ends_of_a_shot(fps, every):
    detector = Scripted(lambda index: [face(20.0)])
    look(frames(22), np.arange(22) / fps, 0, detector, FOLLOWING, "film.mp4")
    assert detector.asked == sorted({*range(0, 22, every), 21})


def test_squares_follow_the_times_of_frames_at_a_variable_rate():
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.042, 80))
    detector = Scripted(lambda index: [face(20.0 + 30 * times[index])])
    (track,) = look(frames(80), times, 0, detector, FOLLOWING, "film.mp4").tracks
    assert np.abs(track.square_T4[:, 0] - (40 + 30 * times)).max() < 0.5  # of 75 pixels


def test_no_track_crosses_a_cut():
    found = seen(lambda index: [face(20.0)], count=40, shot_of=lambda index: int(index >= 17))
    assert found.shots == ((0, 17), (17, 40)) and spans(found) == [(0, 17), (17, 40)]


@pytest.mark.parametrize("start", [0, 1000])
def test_a_hole_in_the_picture_ends_a_track_as_a_cut_does(start):
    times = 40.0 + np.arange(120) / 25
    times[40:] += 10.0
    times[80:] += 0.44  # with the frame's own time 0.48: not long enough
    times[81:] += 0.48
    times[119:] += 3.0
    found = look(frames(120), times, start, Scripted(lambda index: [face(20.0)]), FOLLOWING, "film.mp4")
    edges = [start + at for at in (0, 40, 81, 119, 120)]
    assert spans(found) == list(found.shots) == list(zip(edges, edges[1:], strict=False))
    assert [len(track.square_T4) for track in found.tracks] == [40, 41, 38, 1]


def test_a_film_of_less_than_a_frame_in_lost_seconds_has_no_track_longer_than_one():
    assert {stop - start for start, stop in spans(seen(lambda index: [face(20.0)], count=9, fps=1.9))} == {1}
    assert spans(seen(lambda index: [face(20.0)], count=9, fps=2.1)) == [(0, 9)]


def test_a_moment_without_the_face_is_filled_in_and_counted():
    (track,) = seen(lambda index: [] if 20 <= index < 30 else [face(20.0 + index)]).tracks
    assert (track.start, track.stop, track.missed) == (0, 50, 5)
    np.testing.assert_allclose(track.square_T4[:, 0], 40.0 + np.arange(50), atol=1e-3)


def test_a_face_lost_for_longer_ends_its_track_where_it_was_seen_last():
    found = seen(lambda index: [] if 20 <= index < 40 else [face(20.0)], count=80)
    assert spans(found) == [(0, 19), (40, 80)] and [track.missed for track in found.tracks] == [0, 0]


def test_at_the_ends_of_a_shot_a_moment_unseen_belongs_to_the_track_and_more_does_not():
    assert spans(seen(lambda index: [face(20.0)] if 10 <= index < 40 else [])) == [(0, 50)]
    assert spans(seen(lambda index: [face(20.0)] if 16 <= index < 34 else [])) == [(16, 33)]


def test_another_face_in_its_place_is_another_track():
    found = seen(lambda index: [face(10.0 if index < 30 else 100.0)], count=80)
    first, second = found.tracks
    assert (first.start, first.stop) == (0, 29) and second.stop == 80
    assert first.square_T4[-1, 0] < 40 and second.square_T4[0, 0] > 100


def test_small_faces_are_followed_and_no_face_is_no_track():
    assert seen(lambda index: [face(20.0, side=8.0)]).tracks[0].face_px == pytest.approx(8.0)
    assert seen(lambda index: []).tracks == ()


def test_the_largest_face_is_followed_and_nearly_as_large_ones_are_rivals():
    rivals = [seen(lambda index, side=side: [face(100.0, side), face(20.0)]).tracks[0].rivals for side in (20, 35)]
    assert rivals == [0.0, 1.0]


def test_a_track_is_cut_where_a_rival_comes_or_goes():
    found = seen(lambda index: [face(20.0)] + [face(100.0)] * (50 <= index < 100), count=150)
    assert [round(track.rivals) for track in found.tracks] == [0, 1, 0]
    edges = [0, 50, 100, 150]
    assert np.abs(np.array([*[track.start for track in found.tracks], 150]) - edges).max() <= 2
    assert all(one.stop == other.start for one, other in zip(found.tracks, found.tracks[1:], strict=False))


def test_a_single_false_face_cuts_nothing():
    (track,) = seen(lambda index: [face(20.0)] + [face(100.0, 70.0)] * (index == 24), count=100).tracks
    assert (track.start, track.stop) == (0, 100) and 0 < track.rivals < 0.05


def test_a_bystander_makes_room_for_a_much_larger_face():
    found = seen(lambda index: [face(10.0, side=20.0)] + [face(60.0, side=60.0)] * (index >= 40), count=120)
    assert spans(found)[0] == (0, 40) and found.tracks[-1].face_px == pytest.approx(60) and found.tracks[-1].stop == 120


def test_ratios_come_with_dense_landmarks():
    points = np.random.default_rng(0).uniform(0, 40, (203, 2)) + 30
    track = seen(lambda index: [face(30.0, landmarks=points)]).tracks[0]
    assert track.ratios_T3.shape == (50, 3) and np.ptp(track.ratios_T3, axis=0).max() < 1e-6


def test_frames_are_not_kept():
    alive = []

    def counted():
        for frame in frames(30):
            alive.append(weakref.ref(frame))
            assert sum(each() is not None for each in alive) <= 3
            yield frame

    look(counted(), np.arange(30) / 25, 0, Scripted(lambda index: [face(20.0)]), FOLLOWING, "film.mp4")


@pytest.mark.parametrize("times", [5, 9])
def test_frames_and_times_that_do_not_match_are_named(times):
    with pytest.raises(ValueError, match="film.mp4: "):
        look(frames(7), np.arange(times) / 25, 0, Scripted(lambda index: []), FOLLOWING, "film.mp4")


def test_a_look_is_written_and_read_whole_and_always_the_same(tmp_path):
    points = np.random.default_rng(0).uniform(0, 40, (203, 2)) + 30
    found = seen(lambda index: [face(20.0 + index, landmarks=points)], shot_of=lambda index: int(index >= 30))
    save(found, tmp_path / "one")
    again = load(tmp_path / "one")
    save(again, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (again.start, again.stop, again.shots, len(again.tracks)) == (0, 50, ((0, 30), (30, 50)), 2)
    for one, other in zip(found.tracks, again.tracks, strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(other, name), value)
    save(seen(lambda index: []), tmp_path / "none")
    assert load(tmp_path / "none").tracks == ()


def test_another_file_is_named(tmp_path):
    (tmp_path / "bad").write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="bad: not the faces of a film"):
        load(tmp_path / "bad")


def drawing(size=400):
    """Edges in all directions, as a face has."""
    draw = np.random.default_rng(3)
    image = np.full((size, size, 3), 128, np.uint8)
    for _ in range(60):
        centre, axes = draw.integers(0, size, 2), draw.integers(size // 40, size // 8, 2)
        shade = int(draw.integers(40, 220))
        cv2.ellipse(image, centre.tolist(), axes.tolist(), float(draw.uniform(0, 180)), 0, 360, (shade,) * 3, -1)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


SQUARE = np.array([200.0, 200.0, 300.0])


def test_sharpness_falls_with_blur_and_lost_pixels():
    image = drawing()
    blurred = [sharpness(cv2.GaussianBlur(image, (0, 0), sigma), SQUARE) for sigma in (1, 2, 3, 4, 6)]
    small = cv2.resize(cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA), (400, 400))
    values = [sharpness(image, SQUARE), *blurred]
    assert values == sorted(values, reverse=True) and values[-2] < 0.6 * values[0]
    assert sharpness(small, SQUARE) < 0.85 * values[0]


def test_sharpness_knows_neither_light_nor_size_nor_the_edge_of_the_picture():
    image = drawing()
    value = sharpness(image, SQUARE)
    assert sharpness((image * 0.4 + 30).astype(np.uint8), SQUARE) == pytest.approx(value, abs=0.03)
    half = cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA)
    assert sharpness(half, SQUARE / 2) == pytest.approx(value, abs=0.08)
    assert sharpness(image, np.array([20.0, 390.0, 300.0, 5.0])) > 0
    assert sharpness(image, np.array([900.0, 900.0, 300.0])) == 0
    assert sharpness(np.zeros_like(image), SQUARE) == 0
