"""Laws of boxes given by hand."""

import numpy as np
import pytest

from joyvasa.faces.face import SMALLEST_PX, Face, box_face, overlap, whole_image

PICTURE = np.zeros((300, 400, 3), np.uint8)


def test_a_box_inside_the_picture_is_kept():
    face = box_face(10, 20, 100, 80, PICTURE)
    assert face.box == (10, 20, 100, 80)
    assert (face.detector, face.roll_deg) == ("box", 0)
    assert face.centre == (60, 60)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((-9, 0, 100, 100), "leaves the picture of 400 x 300"),
        ((350, 0, 100, 100), "leaves the picture of 400 x 300"),
        ((0, 250, 100, 100), "wholly inside"),
        ((0, 0, SMALLEST_PX - 1, 100), f"at least {SMALLEST_PX} pixels"),
        ((0, 0, -5, 100), "box=x,y,w,h"),
        ((0, float("nan"), 100, 100), "box=x,y,w,h"),
    ],
)
def test_a_box_that_cannot_be_is_refused_with_what_was_given(box, words):
    with pytest.raises(ValueError, match=words) as caught:
        box_face(*box, PICTURE)
    assert "box=" in str(caught.value)


def test_the_whole_picture_is_a_face():
    assert whole_image(PICTURE).box == (0, 0, 400, 300)


@pytest.mark.parametrize("image", [np.zeros((10, 10), np.uint8), np.zeros((10, 10, 3)), np.zeros((0, 10, 3), np.uint8)])
def test_what_is_not_a_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"expected uint8 RGB \(H, W, 3\)"):
        whole_image(image)


def test_overlap_is_one_for_itself_none_for_strangers_and_a_third_for_half():
    one, half, far = (Face(box, 0, 1, "box") for box in ((0, 0, 10, 10), (5, 0, 10, 10), (50, 50, 10, 10)))
    assert overlap(one, one) == 1
    assert overlap(one, far) == 0
    assert overlap(one, half) == pytest.approx(1 / 3) == overlap(half, one)
