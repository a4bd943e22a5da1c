"""The cascades see a face where it is, how it leans, and none where there is none."""

import cv2
import numpy as np
import pytest

from joyvasa.faces.face import overlap
from joyvasa.faces.haar import HaarDetector, cascade


@pytest.fixture(scope="module")
def detector():
    return HaarDetector()


def test_a_face_is_seen_once_with_all_witnesses(detector, person):
    (face,) = detector.detect(person)
    assert (face.detector, face.score) == ("haar", 1.0)
    assert abs(face.centre[0] - 160) < 10 and 100 < face.box[2] < 240
    assert abs(face.roll_deg) < 3


def test_the_box_follows_the_face(detector, place):
    (one,), (other,) = (detector.detect(place(400, 500, x, y, 250)) for x, y in ((20, 30), (180, 110)))
    assert np.subtract(other.centre, one.centre) == pytest.approx((160, 80), abs=8)
    assert other.box[2] == pytest.approx(one.box[2], rel=0.1)


@pytest.mark.parametrize("roll_deg", [-22, -8, 10, 24])
def test_the_eyes_give_the_roll_clockwise_positive(detector, place, roll_deg):
    (face,) = detector.detect(place(400, 400, 40, 40, 320, roll_deg))
    assert face.roll_deg == pytest.approx(roll_deg, abs=4)


@pytest.mark.parametrize("side", [70, 1500])
def test_the_size_of_the_picture_matters_little(detector, person, side):
    (reference,) = detector.detect(person)
    (face,) = detector.detect(cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA))
    assert np.divide(face.box, side) == pytest.approx(np.divide(reference.box, 320), abs=0.06)


def test_a_small_face_in_a_large_picture_is_found(detector, place):
    (face,) = detector.detect(place(900, 1300, 1000, 600, 130))
    assert 1000 < face.centre[0] < 1130 and 600 < face.centre[1] < 730


def test_two_faces_come_large_to_small_and_do_not_overlap(detector, place):
    picture = place(400, 700, 20, 20, 340)
    picture[:, 400:] = place(400, 300, 20, 120, 240)
    large, small = detector.detect(picture)
    assert large.area > small.area and large.centre[0] < 400 < small.centre[0]
    assert overlap(large, small) == 0


def test_no_face_is_seen_in_noise_in_a_cat_or_in_nothing(detector, cat):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    for picture in (noise, cat, np.zeros((1, 1, 3), np.uint8), np.full((50, 400, 3), 90, np.uint8)):
        assert detector.detect(picture) == []


def test_a_missing_cascade_is_named():
    with pytest.raises(FileNotFoundError, match="haarcascade_unicorn.xml: this OpenCV"):
        cascade("unicorn")
