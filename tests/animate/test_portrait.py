"""Framing a photo: whose face, which species, boxes in the file's own pixels, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from joyvasa.animate.portrait import Framing, open_portrait, scaled
from joyvasa.faces.crop import OFFICIAL_CROP, crop_transform, move_points
from joyvasa.faces.face import Face


class Sees:
    """A detector that sees what it is told to."""

    name, note = "stand-in", "sees what a test says"

    def __init__(self, *boxes):
        self.faces = [Face(tuple(map(float, box)), 0.0, 1.0, "haar") for box in boxes]

    def detect(self, image):
        return sorted(self.faces, key=lambda face: -face.area)


def framing(**changes) -> Framing:
    usual = {"species": "auto", "face": None, "box": None, "max_side": 1280, "crop": OFFICIAL_CROP}
    return Framing(**usual | {"detect_every": 1, "smoothing_frames": 0.0} | changes)


@pytest.fixture
def photo(tmp_path):
    def write(width=400, height=300):
        path = tmp_path / "photo.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)).save(path)
        return path

    return write


def test_the_largest_face_is_taken_and_the_others_told(photo):
    detector = Sees((10, 50, 80, 80), (150, 50, 120, 120), (300, 50, 70, 70))
    portrait = open_portrait(photo(), framing(), detector)
    assert portrait.species == "human" and portrait.face.box[0] == 150
    assert portrait.crop.shape == (512, 512, 3) and portrait.picture.shape == (300, 400, 3)
    assert any("3 faces found" in note and "face=1" in note for note in portrait.notes)
    assert open_portrait(photo(), framing(face=3), detector).face.box[0] == 300


def test_without_a_person_the_picture_is_an_animal_s_and_used_whole(photo):
    portrait = open_portrait(photo(), framing(), Sees())
    assert portrait.species == "animal" and portrait.face.detector == "whole"
    assert any("species: animal" in note for note in portrait.notes), "a guess is told"
    assert not open_portrait(photo(), framing(species="animal"), Sees()).notes, "what was asked for is not"
    corners = move_points(np.array([[-0.5, -0.5], [399.5, 299.5]]), portrait.to_crop)
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [511.5, 511.5]])


def test_a_box_is_meant_in_the_file_s_pixels_whatever_the_picture_is_scaled_to(photo):
    portraits = [
        open_portrait(photo(800, 600), framing(box=(200, 100, 300, 300), max_side=side), Sees()) for side in (800, 400)
    ]
    boxes = [np.array(portrait.face.box) for portrait in portraits]
    np.testing.assert_allclose(boxes[0], 2 * boxes[1])
    assert all(portrait.species == "human" for portrait in portraits)
    difference = np.abs(portraits[0].crop.astype(float).mean() - portraits[1].crop.astype(float).mean())
    assert difference < 3, "the same part of the photo"
    assert portraits[0].facts["face"] == portraits[1].facts["face"] == "200,100,300,300"


def test_what_is_said_of_a_scaled_photo_is_in_the_file_s_pixels(photo):
    with pytest.raises(ValueError, match="box=200,100,160,160"):
        open_portrait(photo(800, 600), framing(species="animal", max_side=400), Sees((100, 50, 80, 80)))
    with pytest.raises(ValueError, match="box=0,0,100,100 is too small.*120 pixels.*max_side"):
        open_portrait(photo(800, 600), framing(box=(0, 0, 100, 100), max_side=400), Sees())
    whole = open_portrait(photo(401, 301), framing(box=(0, 0, 401, 301)), Sees())
    assert whole.face.box == (0, 0, 400, 300), "an odd last row is not outside"


@pytest.mark.parametrize(
    "changes, boxes, message",
    [
        ({"species": "human"}, [], "photo.png: species=human, but seen"),
        ({"species": "animal"}, [(150, 50, 120, 120)], "photo.png: species=animal, but seen"),
        ({"face": 3}, [(150, 50, 120, 120)], "photo.png: face=3"),
        ({}, [(150, 50, 30, 30)], "30 pixels wide"),
        ({"box": (0, 0, 20, 20)}, [], "too small"),
    ],
)
def test_what_does_not_fit_is_said(photo, changes, boxes, message):
    with pytest.raises(ValueError, match=message):
        open_portrait(photo(), framing(**changes), Sees(*boxes))


def test_a_transform_for_another_size_shows_the_same_part():
    face = Face((100.0, 80.0, 60.0, 60.0), 12.0, 1.0, "box")
    to_crop = crop_transform(face, OFFICIAL_CROP)
    corners = np.array([[-0.5, -0.5], [511.5, 511.5]])
    in_picture = move_points(corners, np.linalg.inv(to_crop))
    np.testing.assert_allclose(move_points(in_picture, scaled(to_crop, 512, 128)), [[-0.5, -0.5], [127.5, 127.5]])
    np.testing.assert_array_equal(scaled(to_crop, 512, 512), to_crop)
