"""The contact sheet: every face with what it is called below it, and no cell that looks like a lost picture."""

import cv2
import numpy as np
import pytest

from joyvasa.thumbnails import SIDE
from preprocess.videos.page_sheet import GAP, LETTERS, LINE, PAPER, contact_sheet, drawable


def drawn(count: int, labels) -> np.ndarray:
    faces = [np.zeros((SIDE, SIDE, 3), np.uint8)] * count
    return cv2.imdecode(np.frombuffer(contact_sheet(faces, labels), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("count", [1, 4, 7, 48])
def test_every_face_is_there_with_letters_below_and_the_rest_is_paper(count):
    sheet = drawn(count, [("ann", "8.2 s, train")] * count)
    high, wide = SIDE + 2 * LINE + GAP, SIDE + GAP
    columns = sheet.shape[1] // wide
    assert sheet.shape[1] >= sheet.shape[0] or count == 1
    for place in range(sheet.shape[0] // high * columns):
        top, left = GAP + place // columns * high, GAP + place % columns * wide
        face, label = sheet[top : top + SIDE, left : left + SIDE], sheet[top + SIDE + 4 : top + SIDE + 2 * LINE]
        label = label[:, left : left + SIDE]
        if place < count:
            assert face.mean() < 10 and label.min() < 150
        else:
            assert np.abs(face.astype(int) - PAPER).max() < 12 and np.abs(label.astype(int) - PAPER).max() < 12


def test_no_label_runs_into_the_next_cell():
    wide = drawn(2, [("W" * 90, "8.2 s, validation"), ("", "")])
    assert (wide[SIDE + GAP + 6 :, SIDE + GAP + 6 :] > 200).all()


def test_names_of_any_script_are_written_as_far_as_letters_go():
    assert drawable("Zoë Müller") == "Zoe Muller" and drawable("李明 1") == "?? 1" and drawable("a\nb") == "a?b"
    assert drawable("a" * 40 + "z") == "a" * 9 + ".." + "a" * 8 + "z" and len(drawable("x" * 99)) <= LETTERS


def test_a_sheet_of_nothing_or_of_other_labels_is_an_error():
    for count, labels in ((0, []), (2, [("a",)])):
        with pytest.raises(ValueError, match="expected as many"):
            contact_sheet([np.zeros((9, 9, 3), np.uint8)] * count, labels)
