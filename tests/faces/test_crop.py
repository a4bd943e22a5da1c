"""Laws of the crop: where the face comes to lie, and that the way back is the way."""

import numpy as np
import pytest

from joyvasa.faces.crop import (
    DRIVING_CROP,
    LANDMARK_COUNTS,
    OFFICIAL_CROP,
    CropSpec,
    crop,
    crop_transform,
    face_square,
    invert,
    landmark_axis,
    move_points,
    warp,
)
from joyvasa.faces.face import Face, whole_image

STRAIGHT = CropSpec(scale=2.0, vx=0.0, vy=0.0, size=128, rotate=True)


def rotation(degrees):
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # clockwise: y points down


def upright(count, seed=0):
    """Landmarks of an upright face: random points in the unit square, eyes on one height, the mouth's middle below."""
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (count, 2))
    points[0], points[1] = (-0.5, -0.5), (0.5, 0.5)
    if count == 106:
        points[[33, 35, 40, 39]], points[[87, 89, 94, 93]], points[[52, 61]] = (-0.2, -0.2), (0.2, -0.2), (0, 0.3)
    if count == 203:
        eyes = [0, 6, 12, 18], [24, 30, 36, 42]
        points[eyes[0]], points[eyes[1]], points[[48, 66]] = (-0.2, -0.2), (0.2, -0.2), (0, 0.3)
        points[2], points[3] = (-0.5, -0.5), (0.5, 0.5)
    if count == 68:
        points[[36, 39]], points[[42, 45]], points[[48, 54]] = (-0.2, -0.2), (0.2, -0.2), (0, 0.3)
    if count == 5:
        points = np.array([(-0.5, -0.5), (0.5, -0.5), (0, 0), (-0.3, 0.5), (0.3, 0.5)])
    return points


@pytest.mark.parametrize("count", LANDMARK_COUNTS)
@pytest.mark.parametrize("roll", [-40, 0, 25])
def test_the_square_of_turned_landmarks_is_the_turned_square(count, roll):
    points = upright(count) * 80 @ rotation(roll).T + (200, 150)
    square = face_square(Face((0, 0, 1, 1), 0, 1, "insightface", points))
    np.testing.assert_allclose(square.centre, (200, 150), atol=1e-9)
    assert square.side == pytest.approx(80)
    assert square.roll_deg == pytest.approx(roll)


def test_the_official_numbers_come_out():
    """Centre, side and matrix computed by hand from the formulas of src/utils/crop.py for an upright face."""
    points = upright(106) * 100 + (300, 260)
    transform = crop_transform(Face((0, 0, 1, 1), 0, 1, "insightface", points), OFFICIAL_CROP)
    scale = 512 / 230
    np.testing.assert_allclose(transform[:2, :2], np.eye(2) * scale, atol=1e-12)
    np.testing.assert_allclose(move_points([[300, 260 - 0.125 * 230]], transform), [[256, 256]], atol=1e-9)


@pytest.mark.parametrize("roll", [-30, 0, 10])
def test_the_crop_puts_the_head_upright_in_the_middle_and_back(roll):
    face = Face((40, 50, 100, 100), roll, 1, "box")
    transform = crop_transform(face, STRAIGHT)
    axis = np.array([[90, 100], [90, 100] + rotation(roll) @ (0, 50)])  # centre of the box, and 50 px down the head
    np.testing.assert_allclose(move_points(axis, transform), [[64, 64], [64, 96]], atol=1e-9)
    np.testing.assert_allclose(move_points(move_points(axis, transform), invert(transform)), axis, atol=1e-9)
    np.testing.assert_allclose(transform @ invert(transform), np.eye(3), atol=1e-12)


def test_without_rotation_the_axes_stay_the_pictures():
    transform = crop_transform(Face((40, 50, 100, 100), 20, 1, "box"), DRIVING_CROP)
    assert transform[0, 1] == transform[1, 0] == 0


def test_more_than_a_face_is_seen_above_than_below_by_the_official_crop():
    transform = crop_transform(Face((100, 100, 100, 100), 0, 1, "box"), OFFICIAL_CROP)
    assert move_points([[150, 150]], transform)[0, 1] == pytest.approx(512 * (0.5 + 0.125))


def test_detectors_frame_the_same_head_differently():
    """A Haar box holds more than the square; an SCRFD box reaches higher."""
    box = (100.0, 100.0, 100.0, 130.0)
    haar, scrfd = (face_square(Face(box, 0, 1, name)) for name in ("haar", "insightface"))
    assert haar.side == pytest.approx(0.82 * 130)
    assert scrfd.centre[1] + scrfd.side / 2 == pytest.approx(230, abs=1)  # both end at the chin


def test_a_whole_picture_of_the_crops_size_stays_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    spec = CropSpec(scale=2.3, vx=0, vy=-0.125, size=96, rotate=True)
    np.testing.assert_array_equal(crop(picture, crop_transform(whole_image(picture), spec), 96), picture)


def test_a_whole_picture_is_stretched_to_the_crop():
    picture = np.zeros((40, 80, 3), np.uint8)
    transform = crop_transform(whole_image(picture), STRAIGHT)
    np.testing.assert_allclose(move_points([[-0.5, -0.5], [79.5, 39.5]], transform), [[-0.5, -0.5], [127.5, 127.5]])


def test_outside_the_picture_the_crop_is_black():
    picture = np.full((100, 100, 3), 200, np.uint8)
    result = crop(picture, crop_transform(Face((0, 0, 100, 100), 0, 1, "box"), STRAIGHT), 128)
    assert result[64, 64, 0] == 200 and result[5, 5, 0] == 0


def test_a_large_picture_is_averaged_and_not_thinned_out():
    """Stripes one pixel wide become grey at a seventh of the size, and land where a smooth picture's would."""
    picture = np.zeros((1400, 1400, 3), np.uint8)
    picture[:, ::2] = 255
    transform = np.diag([1 / 7, 1 / 7, 1.0])
    stripes = crop(picture, transform, 190)[5:-5, 5:-5].astype(int)
    assert np.abs(stripes - 127).max() <= 20
    ramp = np.tile(np.linspace(0, 250, 1400)[None, :, None], (1400, 1, 3)).astype(np.uint8)
    expected = 250 * np.arange(190) * 7 / 1399
    assert np.abs(crop(ramp, transform, 190)[90, 3:-3, 0] - expected[3:-3]).max() <= 1.5


def test_a_warp_that_sees_nothing_is_empty():
    away = np.array([[0.1, 0, 1000], [0, 0.1, 1000], [0, 0, 1]])
    assert not warp(np.full((50, 50, 3), 9, np.uint8), away, 16, 16).any()


@pytest.mark.parametrize("shape", [(7, 2), (106, 3), (0, 2)])
def test_landmarks_of_another_kind_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 2\) with N of \(5, 68, 106, 203\)"):
        landmark_axis(np.zeros(shape), "here")


def test_a_box_of_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="'made up' without landmarks"):
        crop_transform(Face((0, 0, 10, 10), 0, 1, "made up"), OFFICIAL_CROP)


def test_landmarks_in_one_point_are_refused():
    with pytest.raises(ValueError, match="expected above 0"):
        crop_transform(Face((0, 0, 0, 0), 0, 1, "insightface", np.full((106, 2), 3.0)), OFFICIAL_CROP)
