"""A face followed through a video: gaps, cuts, strangers, and smoothing without lag."""

import numpy as np
import pytest

from joyvasa.faces.crop import OFFICIAL_CROP, crop_transform, move_points
from joyvasa.faces.face import Face
from joyvasa.faces.gaps import opacity_of
from joyvasa.faces.track import follow, in_shots, smooth, track_faces


class Scripted:
    """A detector that says what it is told, frame by frame; the frame's number is in its upper left pixels."""

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
        frame = np.full((64, 64, 3), 40 + 80 * shot_of(index), np.uint8)
        frame[0, 0, :2] = index % 256, index // 256
        yield frame


def face(x, y=100.0, side=100.0, roll_deg=0.0, landmarks=None):
    return Face((x, y, side, side), roll_deg, 1.0, "haar", landmarks)


HOW = {"wanted": None, "every": 1, "smoothing_frames": 2.0, "longest_gap": 12.5, "where": "v.mp4"}


def test_a_face_for_every_frame_even_between_detections():
    detector = Scripted(lambda index: [face(10.0 + 2 * index, roll_deg=0.5 * index)])
    track = track_faces(frames(21), detector, **HOW | {"every": 5})
    assert detector.asked == [0, 5, 10, 15, 20] and track.missed == 0
    np.testing.assert_allclose([each.box[0] for each in track.faces], 10 + 2 * np.arange(21), atol=1e-6)
    np.testing.assert_allclose([each.roll_deg for each in track.faces], 0.5 * np.arange(21), atol=1e-6)


def test_gaps_are_filled_and_counted_and_the_next_frame_is_tried_at_once():
    detector = Scripted(lambda index: [] if 6 <= index < 9 else [face(5.0 * index)])
    track = track_faces(frames(15), detector, **HOW | {"every": 3})
    assert detector.asked == [0, 3, 6, 7, 8, 9, 12, 14]
    assert (track.sought, track.missed) == (8, 3) and "filled in for 3" in track.note
    np.testing.assert_allclose([each.box[0] for each in track.faces], 5.0 * np.arange(15), atol=1e-6)


def test_missing_at_the_ends_the_face_stands_still():
    detector = Scripted(lambda index: [face(50.0)] if 3 <= index < 7 else [])
    track = track_faces(frames(10), detector, **HOW)
    assert len(track.faces) == 10
    np.testing.assert_allclose([each.box[0] for each in track.faces], 50.0)


def test_a_larger_stranger_is_not_followed():
    detector = Scripted(lambda index: [face(400.0, side=200)] * (index > 3) + [face(10.0 + index)])
    track = track_faces(frames(12), detector, **HOW)
    assert max(each.box[0] for each in track.faces) < 30


def test_the_wanted_face_is_followed():
    detector = Scripted(lambda index: [face(300.0 + index, side=150), face(10.0)])
    assert track_faces(frames(5), detector, **HOW | {"wanted": 1}).faces[-1].box[0] == pytest.approx(10)
    assert track_faces(frames(5), detector, **HOW | {"wanted": 2}).faces[-1].box[0] == pytest.approx(304, abs=1)


def test_the_wanted_face_is_waited_for_and_missed_where_it_never_comes():
    detector = Scripted(lambda index: [face(300.0 + index, side=150), face(10.0)][: 1 + (index > 2)])
    assert track_faces(frames(9), detector, **HOW | {"wanted": 2}).missed == 3
    with pytest.raises(ValueError, match="no 3 faces at once seen in the video"):
        track_faces(frames(9), detector, **HOW | {"wanted": 3})


def test_one_false_box_does_not_move_the_track():
    detector = Scripted(lambda index: [face(150.0 if index == 10 else 100.0)])
    track = track_faces(frames(21), detector, **HOW | {"smoothing_frames": 0.0})
    np.testing.assert_allclose([each.box[0] for each in track.faces], 100.0)


def test_a_shaken_head_is_followed_to_its_turning_points():
    places = [100.0 + 25 * np.sin(2 * np.pi * index / 8) for index in range(41)]
    detector = Scripted(lambda index: [face(places[index])])
    track = track_faces(frames(41), detector, **HOW | {"every": 2, "smoothing_frames": 0.0})
    np.testing.assert_allclose([each.box[0] for each in track.faces][::2], places[::2], atol=1e-6)


def test_a_cut_begins_a_segment_that_the_smoothing_does_not_cross():
    detector = Scripted(lambda index: [face(10.0 if index < 10 else 300.0)])
    track = track_faces(frames(20, lambda index: index >= 10), detector, **HOW | {"every": 4})
    assert track.segments == (range(0, 10), range(10, 20)) and "2 shots" in track.note
    assert detector.asked == [0, 4, 8, 9, 10, 14, 18, 19]  # the last frame of a shot is looked at too
    np.testing.assert_allclose([each.box[0] for each in track.faces], [10.0] * 10 + [300.0] * 10)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    "gone", [[range(20, 36)], [range(20, 32)], [range(0, 13)], [range(65, 80)], [range(10, 30), range(50, 70)]]
)
def test_a_face_unseen_for_longer_is_gone_and_for_shorter_filled_in(gone, every):
    detector = Scripted(lambda index: [] if any(index in gap for gap in gone) else [face(3.0 * index)])
    track = track_faces(frames(80), detector, **HOW | {"every": every})
    left = np.concatenate([np.zeros(0, int), *track.gaps])
    assert len(track.gaps) == (len(gone) if len(gone[0]) > 12 else 0)
    if track.gaps:
        truly = np.concatenate(gone)
        surplus = set(left) - set(truly)
        assert set(truly) <= set(left) and len(surplus) <= (every - 1) * len(gone)
    kept = np.setdiff1d(np.arange(80), left)
    edge = np.array([(min(abs(left - index), default=99)) for index in kept]) > 1
    places = np.array([track.faces[index].box[0] for index in kept])
    np.testing.assert_allclose(places[edge], 3.0 * kept[edge], atol=1e-6)


def test_looks_far_apart_do_not_make_a_face_gone():
    detector = Scripted(lambda index: [face(10.0)])
    track = track_faces(frames(80), detector, **HOW | {"every": 25})
    assert track.gaps == ()


def test_a_head_too_fast_for_overlap_and_one_that_comes_back_elsewhere_are_found_again():
    places = {
        **dict.fromkeys(range(10), 300.0),
        **dict.fromkeys(range(10, 15), 100.0),
        **dict.fromkeys(range(40, 60), 500.0),
    }
    detector = Scripted(lambda index: [face(places[index])] if index in places else [])
    track = track_faces(frames(60), detector, **HOW | {"smoothing_frames": 0.0})
    assert track.gaps == (range(15, 40),)
    assert [track.faces[index].box[0] for index in (9, 10, 40, 59)] == pytest.approx([300, 100, 500, 500])


def test_a_single_false_face_and_a_stranger_do_not_end_a_gap():
    def script(index):
        stranger = [face(400.0)]
        false = [face(200.0)] * (index in (30, 50))
        return stranger + false + [face(10.0)] * (not 10 <= index < 70)

    track = track_faces(frames(80), Scripted(script), **HOW | {"wanted": 1})
    assert track.gaps == (range(10, 70),)


def test_a_shot_without_the_face_is_a_gap_beside_which_nothing_fades():
    detector = Scripted(lambda index: [face(10.0)] if index >= 10 else [])
    shots = list(frames(20, lambda index: index >= 10))
    track = track_faces(shots, detector, **HOW)
    assert track.gaps == (range(0, 10),) and len(track.faces) == 20
    assert opacity_of(track.segments, track.gaps, 3).tolist() == [0] * 10 + [1] * 10
    segments = follow(shots, detector, wanted=None, every=1, where="v.mp4")
    assert [(len(each.found), len(each.sought)) for each in segments] == [(0, 10), (10, 10)]


def test_beside_a_gap_a_painted_face_fades():
    opacity_T = opacity_of([range(0, 20), range(20, 22)], [range(5, 15)], 3)
    assert opacity_T[5:15].max() == 0
    np.testing.assert_allclose(opacity_T[1:5], [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(opacity_T[15:], [0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_a_face_too_small_is_waited_for_and_refused_where_it_stays_so():
    detector = Scripted(lambda index: [face(10.0, side=40 if index < 10 else 100)])
    assert track_faces(frames(30), detector, **HOW).missed == 10
    with pytest.raises(ValueError, match="v.mp4.*40 pixels"):
        track_faces(frames(9), detector, **HOW)


def test_a_video_without_frames_or_faces_is_refused():
    with pytest.raises(ValueError, match="v.mp4: no frame"):
        track_faces([], Scripted(lambda index: []), **HOW)
    with pytest.raises(ValueError, match="no face seen in the video"):
        track_faces(frames(3), Scripted(lambda index: []), **HOW)
    with pytest.raises(ValueError, match="every=0"):
        track_faces(frames(3), Scripted(lambda index: []), **HOW | {"every": 0})


def test_a_face_gone_for_long_is_chosen_anew():
    detector = Scripted(lambda index: [face(10.0)] if index < 5 else [face(400.0)] if index > 60 else [])
    track = track_faces(frames(80), detector, **HOW)
    assert track.faces[-1].box[0] == pytest.approx(400, abs=1)


def test_the_crop_takes_the_smoothed_square_and_not_the_trembling_landmarks():
    rng = np.random.default_rng(0)
    shape = rng.uniform(-50, 50, (106, 2))

    def script(index):
        return [face(100.0, landmarks=shape + (200, 200) + rng.normal(0, 2, 2))]

    def jitter(smoothing):
        track = track_faces(frames(60), Scripted(script), **HOW | {"smoothing_frames": smoothing})
        assert track.faces[7].landmarks.shape == (106, 2)
        places = [move_points([[200, 200]], crop_transform(each, OFFICIAL_CROP))[0] for each in track.faces]
        return np.abs(np.diff(places, 2, axis=0)).mean()

    assert jitter(3.0) < 0.2 * jitter(0.0)


def test_smoothing_is_without_lag_and_keeps_straight_lines():
    line = np.linspace(3, 50, 40)[:, None]
    np.testing.assert_allclose(smooth(line, 3.0), line, atol=1e-9)
    noise = np.random.default_rng(0).normal(size=(200, 2))
    np.testing.assert_allclose(smooth(noise[::-1], 2.0), smooth(noise, 2.0)[::-1], atol=1e-12)
    assert smooth(noise, 2.0).std() < 0.5
    np.testing.assert_array_equal(smooth(noise, 0.0), noise)


def test_frames_are_taken_one_by_one_and_not_kept():
    alive = []

    def counted():
        import weakref

        for frame in frames(30):
            alive.append(weakref.ref(frame))
            assert sum(each() is not None for each in alive) <= 3
            yield frame

    track_faces(counted(), Scripted(lambda index: [face(10.0)]), **HOW)


def test_shots_open_and_close_with_their_frames():
    moments = list(in_shots(frames(7, lambda index: int(index >= 3) + int(index >= 4)), "v.mp4"))
    assert [moment[0] for moment in moments] == [*range(7)]
    assert [moment[0] for moment in moments if moment[2]] == [0, 3, 4]
    assert [moment[0] for moment in moments if moment[3]] == [2, 3, 6]
    assert list(in_shots([], "v.mp4")) == []


@pytest.mark.parametrize("bars", [0, 90])
def test_bars_hide_no_cut(bars):
    rng = np.random.default_rng(0)
    scenes = [np.kron(rng.integers(0, 255, (8, 8, 1)), np.ones((16, 16, 3))).astype(np.uint8) for _ in range(2)]
    sides = ((0, 0), (256, 256), (0, 0))
    film = [np.pad(scenes[index >= 3], sides, constant_values=bars) for index in range(6)]
    assert [moment[0] for moment in in_shots(film, "v.mp4") if moment[2]] == [0, 3]


def test_a_lively_head_before_a_plain_wall_is_no_cut():
    y, x = np.mgrid[:128, :256]
    film = [255 * np.exp(-(((x - place) / 30) ** 2) - ((y - 64) / 50) ** 2) for place in (108, 128, 148, 128, 108)]
    assert np.abs(film[0] - film[1])[:, 60:196].mean() > 28
    film = [np.repeat(frame.astype(np.uint8)[..., None], 3, axis=2) for frame in film]
    assert sum(moment[2] for moment in in_shots(film, "v.mp4")) == 1


def test_a_part_of_a_face_taken_for_a_face_is_not_followed():
    """A mouth at the picture's edge, for a while, before the whole face is seen; and again behind it."""
    whole, part = face(200.0, side=200.0), face(300.0, y=300.0, side=90.0)
    detector = Scripted(lambda index: [whole] if 20 <= index < 60 else [part])
    track = track_faces(frames(80), detector, **HOW)
    assert track.gaps == (range(0, 20), range(60, 80))
