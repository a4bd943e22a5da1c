"""Official motion files and templates: read, write and read again is the same motion, whatever form a file has."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from joyvasa.data.official import (
    NTSC,
    Ratios,
    motion_dict,
    read_motion,
    read_template,
    stats_of_template,
    template_from_stats,
    template_of,
    write_motions,
    write_template,
)
from joyvasa.motion import CHANNELS, EXP, PITCH, ROTATION, SCALE, TRANSLATION, MotionStats, euler_to_matrix

FRAMES = 12


def draw(seed: int = 0, frames: int = FRAMES) -> np.ndarray:
    """A motion with head angles up to 80 degrees."""
    rng = np.random.default_rng(seed)
    motion = 0.05 * rng.standard_normal((frames, CHANNELS))
    motion[:, SCALE] += 1.2
    motion[:, ROTATION] = rng.uniform(-80, 80, (frames, 3))
    return motion.astype(np.float32)


@pytest.fixture
def motion() -> np.ndarray:
    return draw()


def changed(content: dict, change) -> dict:
    """A copy whose every frame went through `change(frame)`."""
    return content | {"motion": [change(dict(frame)) for frame in content["motion"]]}


def without_angles(frame: dict) -> dict:
    return {name: frame[name] for name in ("scale", "R", "exp", "t")}


def test_what_is_written_is_read_again(motion, tmp_path):
    ratios = Ratios(motion[:, :2], motion[:, 2:3])
    write_motions(tmp_path / "a.pkl", motion_dict(motion, ratios))
    found = read_motion(tmp_path / "a.pkl", "a")
    np.testing.assert_array_equal(found.motion, motion)
    assert (found.motion.dtype, found.fps, found.remarks) == (np.float32, 25.0, ())
    np.testing.assert_array_equal(found.ratios.eyes, ratios.eyes)
    np.testing.assert_array_equal(found.ratios.lip, ratios.lip)
    assert read_motion(motion_dict(motion), "b").ratios is None
    assert not list(tmp_path.glob("*.tmp"))


def test_the_dictionary_has_the_official_shapes_and_rotation(motion):
    content = motion_dict(motion)
    assert (content["n_frames"], content["output_fps"]) == (FRAMES, 25)
    frame = content["motion"][3]
    shapes = {name: value.shape for name, value in frame.items()}
    one = dict.fromkeys(("scale", "pitch", "yaw", "roll"), (1, 1))
    assert shapes == {"R": (1, 3, 3), "exp": (1, 21, 3), "t": (1, 3)} | one
    assert {value.dtype for value in frame.values()} == {np.dtype(np.float32)}
    expected = euler_to_matrix(*torch.from_numpy(motion[3, ROTATION]).double())
    np.testing.assert_allclose(frame["R"][0], expected, atol=1e-7)


@pytest.mark.parametrize("name", ["R", "R_d"])
def test_a_rotation_alone_gives_the_angles(motion, name):
    def change(frame: dict) -> dict:
        frame = without_angles(frame)
        return {name: frame.pop("R"), **frame}

    found = read_motion(changed(motion_dict(motion), change), "a").motion
    np.testing.assert_allclose(found[:, ROTATION], motion[:, ROTATION], atol=2e-4)
    np.testing.assert_array_equal(found[:, : ROTATION.start], motion[:, : ROTATION.start])


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value.astype(np.float64),
        lambda value: value[0],
        lambda value: value[None],
        lambda value: value.reshape(1, -1),
        lambda value: value.tolist(),
        lambda value: torch.tensor(value, requires_grad=True),
        lambda value: torch.tensor(value).double(),
    ],
    ids=["float64", "no leading 1", "two leading 1", "flat", "lists", "torch", "torch float64"],
)
def test_every_form_of_array_is_the_same_motion(motion, form):
    content = changed(motion_dict(motion), lambda frame: {name: form(value) for name, value in frame.items()})
    np.testing.assert_array_equal(read_motion(content, "a").motion, motion)


def test_ratios_by_either_name_and_ratios_that_do_not_fit(motion):
    content = motion_dict(motion, Ratios(np.ones((FRAMES, 2)), np.ones((FRAMES, 1))))
    renamed = {name.replace("c_", "c_d_"): value for name, value in content.items()}
    assert read_motion(renamed, "a").ratios.lip.shape == (FRAMES, 1)
    short = content | {"c_lip_lst": content["c_lip_lst"][1:]}
    found = read_motion(short, "a")
    assert found.ratios is None and "lip ratios left out" in found.remarks[0]


def test_frame_rates(motion):
    content = motion_dict(motion)
    for fps, expected in ((30, 30.0), (np.int64(20), 20.0), (torch.tensor(50.0), 50.0), (23.976, 23.976)):
        assert read_motion(content | {"output_fps": fps}, "a").fps == expected
    cut = read_motion(content | {"output_fps": 29}, "a")
    assert cut.fps == NTSC[29] == pytest.approx(29.97, abs=1e-3) and "drops the fraction" in cut.remarks[0]
    del content["output_fps"]
    unknown = read_motion(content, "a")
    assert unknown.fps == 25 and "no output_fps" in unknown.remarks[0]


def put(name: str, value):
    """A change of frame 7 alone."""

    def change(content: dict) -> dict:
        content["motion"][7][name] = value
        return content

    return change


def drop(name: str):
    def change(content: dict) -> dict:
        del content["motion"][7][name]
        return content

    return change


BAD = [
    (put("exp", np.full((1, 21, 3), np.nan)), "a.pkl, frame 7: exp is not finite"),
    (put("scale", np.array([[np.inf]])), "a.pkl, frame 7: scale is not finite"),
    (put("t", np.full((1, 3), 1e300)), "not finite, first at frame 7"),
    (
        put("exp", np.zeros((1, 3, 21))),
        r"frame 7: exp is float64 of shape \(1, 3, 21\) \(expected float32 \(1, 21, 3\)",
    ),
    (put("t", np.zeros((1, 2))), r"frame 7: t is float64 of shape \(1, 2\)"),
    (put("scale", "1.2"), "frame 7: scale is <U3"),
    (put("exp", [[1, 2], [3]]), "frame 7: exp is no array"),
    (put("pitch", np.zeros((1, 66))), r"frame 7: pitch is float64 of shape \(1, 66\)"),
    (drop("t"), "frame 7: no 't'"),
    (drop("yaw"), "frame 7: no 'yaw'"),
    (lambda c: c | {"motion": [*c["motion"][:3], None]}, r"n_frames 12, but 4 frames"),
    (lambda c: {"motion": [*c["motion"][:3], None]}, r"a.pkl, frame 3: holds NoneType"),
    (lambda c: c | {"motion": [], "n_frames": 0}, "no frames"),
    (lambda c: {"mean_exp": 1}, r"holds a dictionary of mean_exp \(expected a dictionary with `motion`"),
    (lambda c: [1, 2], "holds list"),
    (lambda c: c | {"output_fps": 0}, "output_fps 0"),
    (lambda c: c | {"output_fps": float("nan")}, "output_fps nan"),
    (lambda c: c | {"output_fps": "25"}, "output_fps '25'"),
]


@pytest.mark.parametrize("change, message", BAD)
def test_a_bad_file_is_named_with_its_frame(motion, change, message, tmp_path):
    content = change(copy.deepcopy(motion_dict(motion)))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_motion(tmp_path / "a.pkl", "a.pkl")


def test_a_matrix_that_is_no_rotation_is_refused(motion):
    content = changed(motion_dict(motion), without_angles)
    content["motion"][5]["R"] = -content["motion"][5]["R"]
    with pytest.raises(ValueError, match="a: R of frame 5 is no rotation matrix"):
        read_motion(content, "a")


def test_files_that_are_no_pickles_or_ask_for_more(motion, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pkl"):
        read_motion(tmp_path / "nowhere.pkl", "a")
    whole = pickle.dumps(motion_dict(motion))
    for name, data in {
        "cut": whole[: len(whole) // 2],
        "text": b"no pickle",
        "evil": b"cos\nsystem\n(S'true'\ntR.",
    }.items():
        (tmp_path / f"{name}.pkl").write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}.pkl.*{'os.system' if name == 'evil' else ''}"):
            read_motion(tmp_path / f"{name}.pkl", "a")


@pytest.fixture
def clips() -> list[np.ndarray]:
    return [draw(seed, frames) for seed, frames in ((1, 5), (2, 7), (3, 1))]


def test_a_template_is_population_statistics_of_all_frames(clips):
    ratios = (np.array([[0.3, 0.4]]), np.array([[0.1]]))
    found = template_of(iter(clips), ratios)
    frames = np.concatenate(clips).astype(np.float64)
    assert len(found) == 45 and {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    of = {"exp": EXP, "scale": SCALE, "t": TRANSLATION, "pitch": slice(PITCH, PITCH + 1)}
    statistics = {"mean": np.mean, "std": np.std, "max": np.max, "min": np.min}
    for name, function in (*statistics.items(), ("abs_max", lambda values, axis: np.abs(values).max(axis))):
        for field, channels in of.items():
            np.testing.assert_allclose(found[f"{name}_{field}"], function(frames[:, channels], axis=0), rtol=1e-6)
        matrices = euler_to_matrix(*torch.from_numpy(frames[:, ROTATION]).T).flatten(1).numpy()
        np.testing.assert_allclose(found[f"{name}_R"], function(matrices, axis=0), atol=1e-6)
        np.testing.assert_allclose(found[f"{name}_eyes"], function(ratios[0], axis=0), rtol=1e-6)
    assert template_of(clips, None).keys() == {name for name in found if not name.endswith(("lip", "eyes"))}
    with pytest.raises(ValueError, match="no clip"):
        template_of([], None)


def test_template_and_statistics_are_each_other_s_inverse(clips, tmp_path):
    stats = MotionStats.fit(lambda: clips)
    write_template(tmp_path / "motion_template.pkl", template_from_stats(stats))
    found = read_template(tmp_path / "motion_template.pkl")
    for name in ("mean", "std", "min", "max"):
        torch.testing.assert_close(getattr(found, name), getattr(stats, name), rtol=0, atol=0)
    assert torch.equal(found.low, stats.min) and torch.equal(found.high, stats.max)
    official = stats_of_template(template_of(clips, None), "made")
    torch.testing.assert_close(official.std, stats.std)
    assert template_from_stats(stats).keys() <= template_of(clips, None).keys()


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda t: {k: v for k, v in t.items() if k not in ("std_t", "max_yaw")},
            "it lacks max_yaw, std_t|std_t, max_yaw",
        ),
        (lambda t: t | {"mean_exp": np.zeros(70)}, r"mean_exp is float64 of shape \(70,\) \(expected 63 finite"),
        (lambda t: t | {"mean_scale": np.array([np.nan])}, "mean_scale is float64"),
        (lambda t: t | {"min_roll": t["max_roll"] + 1}, "a minimum above its maximum"),
        (lambda t: list(t), r"holds list \(expected the dictionary of a motion template"),
    ],
)
def test_a_bad_template_is_named(clips, change, message, tmp_path):
    write_template(tmp_path / "t.pkl", change(template_of(clips, None)))
    with pytest.raises(ValueError, match=rf"t.pkl: .*({message})"):
        read_template(tmp_path / "t.pkl")
