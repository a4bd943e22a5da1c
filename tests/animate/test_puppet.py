"""Laws of the puppet: what moves in the motion moves in the picture."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer, estimate_neutral
from joyvasa.animate.puppet_cat import Cat
from joyvasa.animate.puppet_person import Person
from joyvasa.animate.renderer import PreparedPortrait
from joyvasa.motion import BROWS, CHANNELS, EYELIDS, LOWER_LIP, MOUTH_CORNERS, PITCH, ROLL, SCALE, UPPER_LIP, YAW

SPECIES = {"person": Person, "cat": Cat}
X, Y = 0, 1


def resting() -> np.ndarray:
    neutral = np.zeros(CHANNELS, np.float32)
    neutral[SCALE] = 1.3
    neutral[3 * LOWER_LIP + Y], neutral[3 * UPPER_LIP + Y] = -0.02, 0.008
    return neutral


def changed(**channels: float) -> np.ndarray:
    """The resting face with "c<channel>" moved by an amount."""
    motion = resting()
    for name, amount in channels.items():
        motion[int(name[1:])] += amount
    return motion


def keypoint(number: int, axis: int) -> str:
    return f"c{3 * number + axis}"


def pictures(species: str, *motions: np.ndarray, size: int = 128) -> list[np.ndarray]:
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait(species, size, neutral=resting()))
    return list(renderer.render(prepared, np.stack(motions)))


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 24) -> np.ndarray:
    """Coordinates (N, 2), row and column, of the pixels near a colour."""
    return np.argwhere(np.abs(picture.astype(int) - colour).max(-1) <= tolerance)


def pupils(species: str, picture: np.ndarray) -> int:
    """Pixels of the eyes' white or iris, of which lashes have none."""
    return len(pixels_of(picture[: len(picture) * 3 // 5], SPECIES[species].IRIS))


@pytest.mark.parametrize("species", SPECIES)
def test_frames_have_the_promised_shape_type_and_count(species):
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait(species, size=100))
    assert isinstance(prepared, PreparedPortrait) and (prepared.height, prepared.width) == (100, 100)
    frames = renderer.render(prepared, np.stack([resting()] * 7))
    assert isinstance(frames, Iterator)
    frames = list(frames)
    assert len(frames) == 7
    assert all(frame.shape == (100, 100, 3) and frame.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("species", SPECIES)
def test_the_dark_of_the_mouth_grows_with_the_opening(species):
    openings = np.linspace(0, 0.09, 10)
    lower_share = 0.8
    motions = [
        changed(**{keypoint(LOWER_LIP, Y): lower_share * g, keypoint(UPPER_LIP, Y): -(1 - lower_share) * g})
        for g in openings
    ]
    closed, *opened = pictures(species, *motions, size=192)
    areas = [int((np.abs(frame.astype(int) - closed).max(-1) > 40).sum()) for frame in (closed, *opened)]
    assert areas[0] == 0 and all(small < large for small, large in zip(areas, areas[1:], strict=False))
    dark = [len(pixels_of(frame, SPECIES[species].MOUTH)) for frame in (closed, *opened)]
    assert dark[-1] > dark[4] > dark[0] and dark[-1] > 100


@pytest.mark.parametrize("species", SPECIES)
def test_pressed_lips_look_shut(species):
    shut, pressed = pictures(species, resting(), changed(**{keypoint(LOWER_LIP, Y): -0.01}))
    assert len(pixels_of(pressed, SPECIES[species].MOUTH)) <= len(pixels_of(shut, SPECIES[species].MOUTH)) + 15


@pytest.mark.parametrize("species", SPECIES)
def test_closed_eyes_hide_the_iris_and_a_wink_one_of_them(species):
    right, left = (keypoint(lid, Y) for lid in EYELIDS)
    opened, half, shut, wink = pictures(
        species,
        resting(),
        changed(**{right: 0.008, left: 0.008}),
        changed(**{right: 0.016, left: 0.016}),
        changed(**{right: 0.016}),
    )
    assert pupils(species, opened) > pupils(species, half) > 0 and pupils(species, shut) == 0
    assert pupils(species, wink) == pytest.approx(pupils(species, opened) / 2, rel=0.35)
    assert pixels_of(wink[:70], SPECIES[species].IRIS)[:, 1].max() < 64  # the right one of the picture is shut


def test_yaw_moves_the_nose_sideways_and_pitch_moves_it_down():
    def nose(frame):
        return pixels_of(frame, Cat.NOSE, tolerance=12).mean(0)

    rest, left, right, down, up = pictures(
        "cat",
        resting(),
        changed(**{f"c{YAW}": 20}),
        changed(**{f"c{YAW}": -20}),
        changed(**{f"c{PITCH}": 12}),
        changed(**{f"c{PITCH}": -12}),
    )
    assert nose(left)[1] < nose(rest)[1] - 3 and nose(right)[1] > nose(rest)[1] + 3
    assert nose(up)[0] < nose(rest)[0] - 2 and nose(down)[0] > nose(rest)[0] + 2


@pytest.mark.parametrize("species", SPECIES)
def test_every_control_changes_the_picture(species):
    controls = {
        "smile": {keypoint(MOUTH_CORNERS, Y): -0.01},
        "spread": {keypoint(MOUTH_CORNERS, X): 0.005},
        "pout": {"c53": 0.004},
        "jaw": {keypoint(LOWER_LIP, X): 0.006},
        "gaze": {keypoint(EYELIDS[0], X): 0.003, keypoint(EYELIDS[1], X): 0.003},
        "brows": {keypoint(BROWS[0], Y): 0.01},
        "roll": {f"c{ROLL}": 8},
        "scale": {f"c{SCALE.start}": 0.2},
        "sideways": {"c64": 0.1},
    }
    rest, *moved = pictures(species, resting(), *(changed(**control) for control in controls.values()))
    changes = {name: np.abs(frame.astype(int) - rest).sum() for name, frame in zip(controls, moved, strict=True)}
    assert min(changes.values()) > 1_000, changes


def test_a_cat_is_not_a_person_and_the_label_is_in_the_corner():
    person, cat = pictures("person", resting())[0], pictures("cat", resting())[0]
    assert (person != cat).any(-1).mean() > 0.5
    renderer = PuppetRenderer()
    unlabelled = renderer.prepare(PuppetPortrait("cat", 128, label="", neutral=resting()))
    bare = next(renderer.render(unlabelled, resting()[None]))
    where = np.argwhere((bare != cat).any(-1))
    assert len(where) > 100 and where[:, 0].min() > 100 and where[:, 1].max() < 60


def test_a_shifted_motion_shifts_the_frames():
    rng = np.random.default_rng(0)
    motion = np.stack([resting()] * 12) + rng.normal(0, 0.004, (12, CHANNELS)).astype(np.float32)
    frames = pictures("person", *motion)
    later = pictures("person", *motion[3:])
    assert all((one == other).all() for one, other in zip(frames[3:], later, strict=True))


def test_the_estimated_neutral_is_the_shut_mouth_of_a_resting_head():
    motion = np.stack([resting()] * 100)
    motion[10:, 3 * LOWER_LIP + Y] += 0.03
    motion[:20, YAW] = 30
    neutral = estimate_neutral(motion)
    assert neutral[YAW] == 0 and neutral[3 * LOWER_LIP + Y] == pytest.approx(-0.02)
    renderer = PuppetRenderer()
    estimated = list(renderer.render(renderer.prepare(PuppetPortrait("cat", 64)), motion))
    given = list(renderer.render(renderer.prepare(PuppetPortrait("cat", 64, neutral=neutral)), motion))
    assert all((one == other).all() for one, other in zip(estimated, given, strict=True))


def test_wild_motion_is_drawn_and_bad_motion_refused():
    rng = np.random.default_rng(1)
    for species in SPECIES:
        assert len(pictures(species, *rng.normal(0, 30, (20, CHANNELS)), size=64)) == 20
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait("cat", 64))
    for bad in (np.zeros((0, CHANNELS)), np.zeros((4, 3)), np.full((4, CHANNELS), np.nan)):
        with pytest.raises(ValueError, match="puppet"):
            renderer.render(prepared, bad)
    for portrait in (PuppetPortrait("dog"), PuppetPortrait("cat", 8), PuppetPortrait("cat", neutral=np.zeros(3))):
        with pytest.raises(ValueError):
            renderer.prepare(portrait)


def test_memory_does_not_grow_with_the_length():
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait("person", 64))

    def peak(frames: int) -> int:
        motion = np.stack([resting()] * frames)
        tracemalloc.start()
        for _ in renderer.render(prepared, motion):
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(5)  # fills the caches
    frame_bytes = 64 * 64 * 3
    assert peak(200) - peak(50) < 150 * frame_bytes / 4
