"""Laws of the paths of faces: smoothed as scipy does, split and joined where they should be, refused for a reason."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from joyvasa.eval.lip_track import (
    LATENTSYNC_RULE,
    SYNCNET_RULE,
    LipTrack,
    LipTracker,
    detector_boxes,
    no_track,
    s3fd_box,
    smoothed_rows,
)
from joyvasa.faces.crop import face_square
from joyvasa.faces.face import Face

# As the published ones, for faces and tracks that a test draws in a moment.
SMALL = replace(SYNCNET_RULE, min_track=8, smallest_px=10)


def square(x, y, side):
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def tracked(boxes, rule):
    """The tracks alone."""
    tracker, found = LipTracker(rule), []
    for frame in range(max(boxes) + 1):
        found += tracker.add(frame, boxes.get(frame, []))
    return sorted((each for each in found + tracker.cut() if isinstance(each, LipTrack)), key=lambda each: each.number)


@pytest.mark.filterwarnings("ignore:kernel_size exceeds")
@pytest.mark.parametrize("count", [7, 8, 12, 13, 14, 40])
def test_smoothing_is_scipys_median_filter_up_to_the_ends(count):
    corners = np.random.default_rng(count).uniform(50, 60, (count, 4)) + [0, 0, 100, 120]
    rows = smoothed_rows(corners, 13)
    plain = (corners[:, 0] + corners[:, 2]) / 2, (corners[:, 1] + corners[:, 3]) / 2
    halves = np.maximum(corners[:, 3] - corners[:, 1], corners[:, 2] - corners[:, 0]) / 2
    for column, values in enumerate((*plain, halves)):
        np.testing.assert_array_equal(rows[:, column], signal.medfilt(values, 13))


@pytest.mark.parametrize("gap, ends", [(25, [(0, 34)]), (26, [(0, 5), (30, 35)])])
def test_a_gap_of_25_frames_is_bridged_and_one_of_26_is_not(gap, ends):
    rule = replace(SMALL, min_track=6)
    seen = [*range(5), *range(4 + gap, 9 + gap)]
    assert [(each.start, each.stop) for each in tracked({at: [square(30, 30, 20)] for at in seen}, rule)] == ends


def test_a_face_that_jumps_begins_another_track():
    for shift, count in ((6.6, 1), (6.8, 2)):  # of 20: they share more than half, and less than half, of both
        boxes = {at: [square(30 + shift * (at >= 10), 30, 20)] for at in range(20)}
        assert len(tracked(boxes, SMALL)) == count


@pytest.mark.parametrize("rule, fewest", [(SYNCNET_RULE, 101), (LATENTSYNC_RULE, 51)])
def test_a_track_needs_more_detections_than_min_track_and_a_face_of_more_than_100_pixels(rule, fewest):
    for count, side, reason in (
        (fewest - 1, 150, f"a face in {fewest - 1} frames (expected more than {fewest - 1})"),
        (fewest, 100, "a face of 100 pixels (expected more than 100)"),
        (fewest, 101, None),
    ):
        tracks = tracked({at: [square(200, 200, side)] for at in range(count)}, rule)
        assert no_track(tracks) == reason
    high = {at: [(150, 140, 240, 260)] for at in range(fewest)}  # 90 by 120: the larger counts
    assert tracked(high, rule)[0].face_px == 120
    assert no_track([]) == "no face seen"


def test_detections_count_and_not_the_frames_between_them():
    seen = {at: [square(30, 30, 20)] for at in range(0, 80, 10)}
    assert tracked(seen, SMALL)[0].refused.startswith("a face in 8 frames")


def test_boxes_of_all_detectors_hold_the_same_face():
    """Read as SCRFD's, they give back the square from brows to chin that they were made from."""
    for face in (Face((10, 20, 80, 80), 0.0, 1.0, "haar"), Face((10, 20, 70, 90), 0.0, 1.0, "box")):
        left, top, right, bottom = s3fd_box(face)
        scrfd = Face((left, top, right - left, bottom - top), 0.0, 1.0, "insightface")
        assert face_square(scrfd).side == pytest.approx(face_square(face).side)
        assert face_square(scrfd).centre == pytest.approx(face_square(face).centre)
        assert s3fd_box(scrfd) == pytest.approx((left, top, right, bottom))
    with pytest.raises(ValueError, match="what its box frames is not known"):
        s3fd_box(Face((0, 0, 9, 9), 0.0, 1.0, "whole"))


def test_faces_of_a_low_score_are_left_out():
    class Two:
        name = note = "two"

        def detect(self, image):
            return [Face((10, 20, 80, 80), 0.0, score, "insightface") for score in (0.95, 0.6)]

    assert len(detector_boxes(Two(), 0.9)(None)) == 1 and len(detector_boxes(Two(), 0.5)(None)) == 2


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (10, 20, 30, 10), (0, 0, float("nan"), 9), (0, 0, float("inf"), 9)])
def test_a_bad_box_is_an_error(box):
    with pytest.raises(ValueError, match="frame 0: box .*expected left, top, right, bottom"):
        LipTracker(SMALL).add(0, [box])


def test_a_rule_whose_median_would_see_zeros_alone_is_refused():
    with pytest.raises(ValueError, match="min_track 5 .expected an odd number, and at least 6"):
        replace(SYNCNET_RULE, min_track=5)
