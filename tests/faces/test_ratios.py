"""Openings by hand, and what they do not depend on."""

import numpy as np
import pytest

from joyvasa.faces.ratios import eye_ratio, lip_ratio


def landmarks(left=0.2, right=0.3, lips=0.5):
    """Eyes 40 pixels wide, a mouth of 60, open by these shares of their widths."""
    points = np.zeros((203, 2))
    for (upper, lower, first, second), width, opening in (
        ((6, 18, 0, 12), 40, left),
        ((30, 42, 24, 36), 40, right),
        ((90, 102, 48, 66), 60, lips),
    ):
        points[[first, second]] = (0, 0), (width, 0)
        points[[upper, lower]] = (width / 2, -opening * width / 2), (width / 2, opening * width / 2)
    return points


def test_heights_over_widths():
    np.testing.assert_allclose(eye_ratio(landmarks()), [0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(lip_ratio(landmarks()), [0.5], rtol=1e-6)


def test_size_place_and_roll_do_not_matter():
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 3 * landmarks() @ turn.T + (100, -20)
    np.testing.assert_allclose(eye_ratio(moved), eye_ratio(landmarks()), rtol=1e-6)


def test_a_batch_is_its_members():
    batch = np.stack([landmarks(), landmarks(0.1, 0.0, 0.9)])
    np.testing.assert_array_equal(eye_ratio(batch), np.stack([eye_ratio(each) for each in batch]))
    assert lip_ratio(batch).shape == (2, 1)


def test_points_in_one_place_give_numbers():
    assert lip_ratio(np.zeros((203, 2))) == 0


def test_other_sets_of_landmarks_are_refused():
    with pytest.raises(ValueError, match=r"\(106, 2\) .expected \(..., 203, 2\)"):
        eye_ratio(np.zeros((106, 2)))
