"""Stages: the drawn face goes back to where it was cut, frame by frame in order, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.animate.footage import Shot
from joyvasa.animate.liveportrait_stage import LivePortraitStage
from joyvasa.animate.portrait import Portrait
from joyvasa.animate.stage import PuppetStage
from joyvasa.faces.crop import CropSpec, crop, crop_transform
from joyvasa.faces.face import Face, whole_image
from joyvasa.motion import CHANNELS, SCALE
from tests.animate.settings import composed

SPEC = CropSpec(scale=1.5, vx=0.0, vy=0.0, size=64, rotate=True)
FRAMES = 5


def motion(frames: int = FRAMES) -> np.ndarray:
    rows = 0.05 * np.random.default_rng(1).standard_normal((frames, CHANNELS))
    rows[:, SCALE] = 1.2
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def stages():
    how = {"precision": "float32", "device": "cpu", "batch_size": 2, "channels_last": False, "compile": False}
    live = LivePortraitStage(weights="random:0:small", cuda_graphs=False, paste=True, **how)
    return {"puppet": PuppetStage(size=64), "liveportrait": live}


def portrait_of(image: np.ndarray, face: Face, species: str = "human") -> Portrait:
    to_crop = crop_transform(face, SPEC)
    return Portrait("photo", image, species, face, face.detector, to_crop, crop(image, to_crop, SPEC.size))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


def test_outside_the_face_s_region_a_photo_keeps_every_pixel(stages, image):
    portrait = portrait_of(image, Face((50.0, 30.0, 40.0, 40.0), 10.0, 1.0, "box"))
    frames = list(stages["liveportrait"].film(portrait, motion(), composed()))
    assert len(frames) == FRAMES and all(frame.shape == image.shape for frame in frames)
    for frame in frames:
        assert (frame[:, 115:] == image[:, 115:]).all() and (frame[100:] == image[100:]).all()
        assert (frame[35:65, 60:80] != image[35:65, 60:80]).any()
    assert any((one != other).any() for one, other in zip(frames, frames[1:], strict=False)), "it moves"


def test_a_whole_picture_is_replaced_to_its_edges(stages, image):
    portrait = portrait_of(image, whole_image(image), "animal")
    frame = next(stages["liveportrait"].film(portrait, motion(), composed()))
    assert (frame[0] != image[0]).mean() > 0.9 and (frame[:, -1] != image[:, -1]).mean() > 0.9


@pytest.mark.parametrize("name", ["puppet", "liveportrait"])
def test_each_frame_of_a_video_gets_its_own_face_in_order(stages, name):
    """Frames of one grey each, faces wandering: outside the face frame k is still its own grey."""
    shots = []
    for k in range(FRAMES):
        frame = np.full((120, 160, 3), 20 * k + 10, np.uint8)
        face = Face((30.0 + 5 * k, 30.0, 40.0, 40.0), 0.0, 1.0, "box")
        shots.append(Shot(frame, face, crop_transform(face, SPEC), SPEC.size))
    frames = list(stages[name].dub(iter(shots), "human", motion(), composed(region="lip")))
    assert len(frames) == FRAMES
    for k, frame in enumerate(frames):
        assert (frame[110:] == 20 * k + 10).all() and (frame[:, 140:] == 20 * k + 10).all()
        assert (frame[40:60, 45 + 5 * k : 55 + 5 * k] != 20 * k + 10).any()


@pytest.mark.parametrize("name", ["puppet", "liveportrait"])
@pytest.mark.parametrize("gone", [[0, 1], [1, 2, 3], [0, 1, 2, 3, 4]])
def test_where_the_face_is_gone_a_frame_stays_as_filmed_and_the_others_do_not_change(stages, name, gone):
    def dub(opacities):
        rng = np.random.default_rng(0)
        face = Face((50.0, 30.0, 40.0, 40.0), 0.0, 1.0, "box")
        to_crop = crop_transform(face, SPEC)
        shots = [
            Shot(rng.integers(0, 255, (120, 160, 3), np.uint8), face, to_crop, SPEC.size, each) for each in opacities
        ]
        return shots, list(stages[name].dub(iter(shots), "human", motion(), composed()))

    shots, frames = dub([0.0 if k in gone else 1.0 for k in range(FRAMES)])
    _, painted = dub([1.0] * FRAMES)
    for k in range(FRAMES):
        wanted = shots[k].frame if k in gone else painted[k]
        assert np.abs(frames[k].astype(int) - wanted).max() <= (0 if k in gone or name == "puppet" else 1)
    _, half = dub([0.5] * FRAMES)
    assert np.abs((shots[2].frame.astype(float) + painted[2]) / 2 - half[2]).max() <= 1


def test_more_shots_than_motion_is_an_error(stages, image):
    face = Face((50.0, 30.0, 40.0, 40.0), 0.0, 1.0, "box")
    shots = [Shot(image, face, crop_transform(face, SPEC), SPEC.size)] * (FRAMES + 1)
    with pytest.raises(ValueError):
        list(stages["puppet"].dub(shots, "human", motion(), composed()))


def test_a_photo_is_prepared_once_for_many_voices(stages, image, monkeypatch):
    stage = stages["liveportrait"]
    portrait = portrait_of(image, Face((50.0, 30.0, 40.0, 40.0), 0.0, 1.0, "box"))
    list(stage.film(portrait, motion(1), composed()))
    renderer = stage._renderers["human"]
    monkeypatch.setattr(renderer, "prepare", lambda face: pytest.fail("F and M ran again"))
    assert len(list(stage.film(portrait, motion(2), composed(region="lip")))) == 2


def test_what_drew_it_is_recorded(stages):
    assert stages["liveportrait"].untrained and not stages["puppet"].untrained
    assert stages["liveportrait"].facts("human")["weights"] == "random:0:small"
    assert stages["puppet"].facts("animal")["puppet"] == "cat"


@pytest.mark.parametrize("change", [{"precision": "int4"}, {"device": "cuda"}, {"device": "gpu"}])
def test_what_this_machine_cannot_do_is_said_at_once(change, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    how = {"precision": "float32", "device": "cpu", "batch_size": 2, "channels_last": False, "compile": False} | change
    with pytest.raises(ValueError, match="render"):
        LivePortraitStage(weights="random:0:small", cuda_graphs=False, paste=True, **how)
