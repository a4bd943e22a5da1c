"""A clip drawn by two motions: equal motions give equal pictures, other motions other pictures."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from joyvasa.animate.puppet import PuppetPortrait
from joyvasa.eval.motion import ClipMotion
from joyvasa.lit.render_pairs import PairSettings, TimeIsUp, compare, puppet_drawing, side_by_side
from joyvasa.models.judges.lpips import load_lpips
from joyvasa.motion import LIPS
from tests.waiting import FakeClock

HOW, NEVER = PairSettings(frames=12, stride=4), float("inf")


@pytest.fixture(scope="module")
def clip(make_clip):
    return make_clip("carla-0", "carla", "validation", 125)


@pytest.fixture(scope="module")
def drawing(clip):
    return puppet_drawing(PuppetPortrait("person", 64, ""), clip)


def moved(clip, noise: float) -> ClipMotion:
    """The recorded motion with lips that shake."""
    motion = clip.motion.copy()
    motion[:, LIPS] += noise * np.random.default_rng(0).standard_normal((len(motion), len(LIPS))).astype(np.float32)
    return ClipMotion(clip.key, clip.motion, clip.truth, motion)


def test_the_recorded_motion_gives_the_recorded_pictures(clip, drawing):
    assert compare(drawing, clip, moved(clip, 0), HOW, None, NEVER) == {"psnr": float("inf"), "ssim": 1.0}


def test_the_further_the_motion_the_further_the_pictures(clip, drawing):
    rows = [compare(drawing, clip, moved(clip, noise), HOW, None, NEVER) for noise in (0.002, 0.006, 0.02, 0.06)]
    for name in ("psnr", "ssim"):
        assert (np.diff([row[name] for row in rows]) < 0).all(), name


def test_a_network_that_compares_pictures_is_asked_where_there_is_one(clip, drawing):
    judge = load_lpips("random:0")
    rows = [compare(drawing, clip, moved(clip, noise), HOW, None, NEVER, judge) for noise in (0, 0.006, 0.06)]
    assert rows[0] == {"psnr": float("inf"), "ssim": 1.0, "lpips-untrained": 0.0}
    assert 0 < rows[1]["lpips-untrained"] < rows[2]["lpips-untrained"]


def test_a_film_changes_no_number_and_draws_every_frame(clip, drawing, tmp_path):
    drawn = []
    watched = replace(drawing, paint=lambda motion: (drawn.append(1) or frame for frame in drawing.paint(motion)))
    motion = moved(clip, 0.02)
    without = compare(watched, clip, motion, HOW, None, NEVER)
    assert len(drawn) == 2 * 3
    assert compare(watched, clip, motion, HOW, tmp_path / "new" / "film.mp4", NEVER) == without
    assert len(drawn) == 2 * 3 + 2 * 12 and (tmp_path / "new" / "film.mp4").is_file()


def test_the_frames_compared_are_every_stride_th_of_the_beginning(clip, drawing):
    motion = moved(clip, 0.02)
    later = replace(motion, generated=motion.generated.copy())
    later.generated[[1, 2, 3, 5, 9, 11, 12, 60]] += 0.01
    assert compare(drawing, clip, later, HOW, None, NEVER) == compare(drawing, clip, motion, HOW, None, NEVER)
    later.generated[8] += 0.01
    assert compare(drawing, clip, later, HOW, None, NEVER) != compare(drawing, clip, motion, HOW, None, NEVER)
    assert compare(drawing, clip, motion, replace(HOW, frames=10_000), None, NEVER)["ssim"] < 1  # a short clip, whole


def test_after_the_deadline_it_stops_and_leaves_no_half_film(clip, drawing, tmp_path, monkeypatch):
    clock = FakeClock(100.0)
    monkeypatch.setattr("joyvasa.lit.render_pairs.time", SimpleNamespace(monotonic=clock))
    with pytest.raises(TimeIsUp):
        compare(drawing, clip, moved(clip, 0.02), HOW, None, 99.0)
    film, drawn = tmp_path / "film.mp4", []

    def slow(motion):
        for frame in drawing.paint(motion):
            drawn.append(1)
            if len(drawn) == HOW.frames + 3:
                clock.now = 101.0
            yield frame

    with pytest.raises(TimeIsUp):
        compare(replace(drawing, paint=slow), clip, moved(clip, 0.02), HOW, film, 100.0)
    assert list(tmp_path.iterdir()) == [] and len(drawn) == HOW.frames + 3


def test_names_are_written_on_copies():
    frames = np.zeros((48, 48, 3), np.uint8), np.zeros((48, 48, 3), np.uint8)
    both = side_by_side(frames)
    assert both.shape == (48, 96, 3) and both.any() and not any(frame.any() for frame in frames)
