"""A source video: where the face is gone its frames stay as filmed, forwards and backwards, and the times are told."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.animate.footage import open_footage
from joyvasa.animate.portrait import Framing
from joyvasa.animate.stage import PuppetStage
from joyvasa.faces.crop import CropSpec
from joyvasa.faces.face import Face
from joyvasa.io.video_reader import VideoReader
from joyvasa.io.video_writer import write_video
from joyvasa.motion import CHANNELS, SCALE
from tests.animate.settings import composed

FRAMES, FPS = 50, 25
GONE = range(15, 35)


class Eye:
    """Sees a face wherever the picture is not dark."""

    name, note = "eye", ""

    def detect(self, image):
        return [Face((30.0, 20.0, 64.0, 64.0), 0.0, 1.0, "box")] if image.mean() > 60 else []


@pytest.fixture
def framing():
    spec = CropSpec(scale=1.5, vx=0.0, vy=0.0, size=64, rotate=True)
    return Framing("auto", None, None, 160, spec, detect_every=2, smoothing_frames=2.0)


def film(path, gone):
    """Grey rises slowly, so that no frame looks like a change of shots; dark where the face is gone."""
    levels = [90 + k % 5 - 35 * (k in gone) for k in range(FRAMES)]
    write_video(path, (np.full((96, 128, 3), level, np.uint8) for level in levels), None, FPS)
    return path


def test_frames_without_a_face_stay_as_filmed_back_and_forth(tmp_path, framing):
    footage = open_footage(film(tmp_path / "v.mp4", GONE), framing, Eye())
    assert footage.as_filmed(FRAMES) == "from 0.6 s to 1.4 s" and footage.as_filmed(GONE.start) == ""
    motion = np.zeros((2 * FRAMES, CHANNELS), np.float32)
    motion[:, SCALE] = 1.2
    frames = list(PuppetStage(size=64).dub(footage.shots(len(motion)), "human", motion, composed(region="lip")))
    filmed = list(VideoReader(tmp_path / "v.mp4"))
    filmed += filmed[-2::-1]
    same = [(one == other).all() for one, other in zip(frames, filmed, strict=False)]
    backwards = {2 * FRAMES - 2 - k for k in GONE}
    assert {k for k, equal in enumerate(same) if equal} == set(GONE) | backwards


def test_a_person_who_comes_late_is_a_person(tmp_path, framing):
    footage = open_footage(film(tmp_path / "v.mp4", range(0, 42)), framing, Eye())
    assert footage.species == "human" and footage.as_filmed(FRAMES) == "from 0.0 s to 1.7 s"
