"""Laws of the first look: a box drawn by clicks is that place in the file, whatever the size of what is shown."""

import numpy as np
import pytest
from PIL import Image

from joyvasa.io.video_writer import write_video
from joyvasa.web.glance import box_between, glance


class Eye:
    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, image):
        from joyvasa.faces.face import Face

        return [Face(box, 0.0, 1.0, "eye") for box in self.boxes]


@pytest.mark.parametrize("size, max_side", [((400, 300), 1280), ((2000, 1500), 1280), ((900, 1800), 600)])
def test_clicks_in_what_is_shown_are_pixels_of_the_file(tmp_path, size, max_side):
    Image.new("RGB", size).save(tmp_path / "photo.png")
    seen = glance(tmp_path / "photo.png", Eye(), max_side)
    height, width = seen.picture.shape[:2]
    x, y, w, h = (int(number) for number in box_between((width, height), (0, height / 2), seen.to_file).split(","))
    assert (x, w) == (0, pytest.approx(size[0], abs=2))
    assert (y, y + h) == (pytest.approx(size[1] / 2, abs=2), pytest.approx(size[1], abs=2))


def test_faces_are_framed_and_counted(tmp_path):
    Image.new("RGB", (400, 300)).save(tmp_path / "photo.png")
    none, one, two = (
        glance(tmp_path / "photo.png", Eye(*boxes), 1280)
        for boxes in ([], [(10, 10, 80, 80)], [(200, 10, 80, 80), (10, 10, 80, 80)])
    )
    assert none.picture.max() == 0 and one.picture.max() > 0
    assert (one.picture != two.picture).any()
    assert "animal" in none.words and "One face" in one.words and "2 faces" in two.words


def test_a_video_shows_its_first_frame(tmp_path):
    frames = (np.full((48, 64, 3), value, np.uint8) for value in (200, 20, 20))
    write_video(tmp_path / "film.mp4", frames, None)
    seen = glance(tmp_path / "film.mp4", Eye(), 1280)
    assert seen.video and "first frame" in seen.words
    assert abs(int(seen.picture.mean()) - 200) < 5 and seen.to_file == 1
