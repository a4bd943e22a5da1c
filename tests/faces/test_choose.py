"""The rule by which one of several faces is taken."""

import pytest

from joyvasa.faces.choose import choose_face
from joyvasa.faces.face import Face


def face(x, side, y=0):
    return Face((x, y, side, side), 0, 1, "haar")


FACES = [face(300, 200), face(50, 100), face(700, 80)]


def test_the_largest_unless_told_otherwise():
    assert choose_face(FACES, None, "a.jpg") is FACES[0]
    assert choose_face(FACES[::-1], None, "a.jpg") is FACES[0]


def test_numbers_count_from_the_left_from_one():
    assert [choose_face(FACES, number, "a.jpg") for number in (1, 2, 3)] == [FACES[1], FACES[0], FACES[2]]


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_number_that_does_not_exist_lists_what_was_found(number):
    with pytest.raises(ValueError, match=rf"a.jpg: face={number}, but 3 faces found \(100x100 at 50,0; .*1 to 3"):
        choose_face(FACES, number, "a.jpg")


def test_no_face_says_what_to_do():
    with pytest.raises(ValueError, match="a.jpg: no face found; mark it with box=x,y,w,h"):
        choose_face([], None, "a.jpg")


def test_a_tiny_face_is_refused():
    with pytest.raises(ValueError, match="a.jpg: the face is 59 pixels wide"):
        choose_face([face(0, 59)], None, "a.jpg")
