"""Pasting within the face's region is pasting over the whole picture, as the reference does it."""

import cv2
import numpy as np
import pytest

from joyvasa.faces.crop import CropSpec, crop, crop_transform, invert
from joyvasa.faces.face import Face, whole_image
from joyvasa.faces.paste import Paster, paste_mask

SPEC = CropSpec(scale=2.0, vx=0.0, vy=0.0, size=128, rotate=True)


def picture(height, width, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def official_paste(frame, crop_image, matrix, mask):
    """src/utils/crop.py: warp all, blend all, in floating point."""
    size = (frame.shape[1], frame.shape[0])
    weight = cv2.warpAffine(mask, matrix[:2], size)[..., None]
    return np.clip(weight * cv2.warpAffine(crop_image, matrix[:2], size) + (1 - weight) * frame, 0, 255).astype(
        np.uint8
    )


@pytest.mark.parametrize("box", [(120, 100, 60, 60), (100, 70, 90, 90), (-20, -10, 80, 80), (250, 150, 70, 70)])
@pytest.mark.parametrize("roll", [0, -25])
def test_the_region_alone_gives_what_the_whole_picture_gives(box, roll):
    frame, rendered, mask = picture(240, 320, 0), picture(128, 128, 1), paste_mask(128)
    matrix = invert(crop_transform(Face(box, roll, 1, "box"), SPEC))
    ours = Paster(frame.shape, matrix, mask).paste(frame, rendered).astype(int)
    theirs = official_paste(frame, rendered, matrix, mask)
    weight = cv2.warpAffine(mask, matrix[:2], (320, 240))
    away_from_borders = (weight == 0) | (weight > 0.999)
    assert np.abs(ours - theirs)[away_from_borders].max() <= 1
    assert np.abs(ours - theirs).max() <= 3  # the borders: fixed-point positions of the warp, twice


def test_outside_the_region_not_a_pixel_changes_and_the_frame_given_stays():
    frame = picture(240, 320, 0)
    before = frame.copy()
    paster = Paster(frame.shape, invert(crop_transform(Face((120, 100, 50, 50), 15, 1, "box"), SPEC)), paste_mask(128))
    result = paster.paste(frame, np.full((128, 128, 3), 255, np.uint8))
    changed = (result != frame).any(axis=2)
    changed_inside = changed[paster.region].copy()
    changed[paster.region] = False
    assert not changed.any() and changed_inside.any()
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("side", [12, 20, 60, 90])
def test_a_crop_pasted_back_unchanged_hardly_changes_the_picture(side):
    frame = cv2.GaussianBlur(picture(240, 320, 2), (0, 0), 2)
    transform = crop_transform(Face((110, 80, side, side), 10, 1, "box"), SPEC)
    result = Paster(frame.shape, invert(transform), paste_mask(128)).paste(frame, crop(frame, transform, 128))
    assert np.abs(result.astype(int) - frame).max() <= 4


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.0, 2.5])
def test_a_crop_that_is_the_whole_picture_replaces_it_up_to_its_edges(scale):
    side = round(128 * scale)
    spec = CropSpec(scale=1.0, vx=0.0, vy=0.0, size=128, rotate=True)
    frame = np.full((side, side, 3), 200, np.uint8)
    matrix = invert(crop_transform(whole_image(frame), spec))
    paster = Paster(frame.shape, matrix, np.ones((128, 128), np.float32))
    result = paster.paste(frame, np.full((128, 128, 3), 200, np.uint8))
    assert result.min() >= 199


def test_a_face_outside_the_frame_changes_nothing():
    frame = picture(60, 80, 0)
    paster = Paster(frame.shape, invert(crop_transform(Face((900, 900, 20, 20), 0, 1, "box"), SPEC)), paste_mask(128))
    assert paster.empty
    np.testing.assert_array_equal(paster.paste(frame, np.zeros((128, 128, 3), np.uint8)), frame)


def test_sizes_that_do_not_belong_are_refused():
    paster = Paster((60, 80, 3), np.eye(3), paste_mask(32))
    with pytest.raises(ValueError, match=r"expected \(60, 80, 3\) and \(32, 32, 3\)"):
        paster.paste(np.zeros((60, 80, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))


def test_the_mask_is_one_inside_zero_at_the_edge_symmetric_and_without_steps():
    mask = paste_mask(256)
    assert mask.dtype == np.float32 and mask[16:-16, 16:-16].min() == 1
    assert max(mask[0].max(), mask[:, -1].max()) == 0
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask.T)
    assert np.abs(np.diff(mask, axis=0)).max() < 0.25


def test_a_border_wider_than_half_is_refused():
    with pytest.raises(ValueError, match="0 to 0.5"):
        paste_mask(64, 0.6)
