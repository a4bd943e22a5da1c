"""The parity tool itself, on a folder of its own making: what it passes, what it fails, what it says of the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from . import __main__, check, rule
from .case import Case
from .compare import FAIL, NOT_COVERED, PASS, compare
from .networks import PARTS

ROOT = Path(__file__).parents[2]
FRAMES, ALPHA = 12, 0.3
FLOOR = {"floor": 1e-7, "proj_floor": 1e-7}


def write(folder: Path, name: str, outputs: dict, *, inputs=None, floors=FLOOR, about=None, **meta) -> Case:
    """A case file. `about` changes what the metadata say of an output, `floors` None leaves the case out of them."""
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    stored, said = {}, {}
    for key, value in outputs.items():
        said[key] = {"shape": list(np.shape(value)), "absmax": float(np.nanmax(np.abs(value)))}
        said[key] |= (about or {}).get(key, {})
        part = zip(said[key].get("start", []), said[key].get("steps", []), strict=True)
        stored[f"out.{key}"] = value[tuple(slice(a, None, b) for a, b in part)]
    meta = {"case": name, "description": "", "config": {}, "inputs": inputs or {}, "outputs": said, **meta}
    np.savez(folder / "cases" / f"{name}.npz", meta=json.dumps(meta), **stored)
    path = folder / "floor.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | ({name: dict.fromkeys(outputs, floors)} if floors else {})))
    return Case(folder, name)


def write_smooth(folder: Path, name: str, *, error: float = 0.0, **more) -> Case:
    """A case of the exponential filter, whose expected pitch is off by `error` in the last frame."""
    inputs = {
        f"motion_{part}": {
            "name": f"input:other:{part}",
            "shape": [FRAMES, channels.stop - channels.start],
            "mul": 0.5,
            "add": 1.0,
        }
        for part, channels in PARTS.items()
    }
    pitch = [rule.realise(inputs["motion_pitch"]).astype(np.float64)]
    pitch[0], rest = pitch[0][:1], pitch[0][1:]
    for value in rest:
        pitch.append(ALPHA * value[None] + (1 - ALPHA) * pitch[-1])
    expected = np.concatenate(pitch).astype(np.float32)
    name_of_projection = f"proj:{name}"
    whole = (expected * rule.draw(name_of_projection, [FRAMES, 1])).sum(dtype=np.float64) / FRAMES**0.5
    about = {"start": [0, 0], "steps": [5, 1], "proj_name": name_of_projection, "proj": float(whole)}
    expected[-2] += error  # frame 10: one of those that are stored
    return write(
        folder,
        name,
        {"ema_pitch": expected, **more.pop("outputs", {})},
        inputs=inputs,
        about={"ema_pitch": about | more.pop("about", {})},
        description=more.pop("description", f"exponential (alpha {ALPHA})"),
        **more,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_smooth(tmp_path, "smooth_right")
    write_smooth(tmp_path, "smooth_wrong", error=1e-3)
    write(tmp_path, "teapot", {"handle": np.ones(3, np.float32)})
    return tmp_path


def run(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["parity", *map(str, arguments)])
    code = __main__.main()
    return code, capsys.readouterr().out


def test_a_right_case_passes_a_wrong_one_fails_a_strange_one_is_not_covered(folder, monkeypatch, capsys):
    code, text = run(monkeypatch, capsys, folder, "--json", folder / "report" / "all.json")
    report = json.loads((folder / "report" / "all.json").read_text())
    assert code == 1 and not report["passed"]
    verdicts = {name: case["verdict"] for name, case in report["cases"].items()}
    assert verdicts == {"smooth_right": PASS, "smooth_wrong": FAIL, "teapot": NOT_COVERED}
    wrong = report["cases"]["smooth_wrong"]["outputs"]["ema_pitch"]
    assert wrong["error"] == pytest.approx(1e-3, rel=1e-2) and wrong["error"] > wrong["bound"]
    assert wrong["proj_error"] <= wrong["proj_bound"]
    assert "smooth_wrong.ema_pitch: fail, error 0.001" in text and "1 of 3 cases pass" in text
    assert "teapot: no code covers this case" in text and "smooth_right." not in text


def test_only_leaves_the_rest_out(folder, monkeypatch, capsys):
    code, text = run(monkeypatch, capsys, folder, "--only", "*_right,smooth_r*")
    assert code == 0 and "1 of 1 cases pass, 2 left out by --only" in text and "teapot" not in text
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, capsys, folder, "--only", "smooth_*,kettle")
    assert stop.value.code and "kettle" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, folder / "cases")
    assert "no cases/*.npz" in capsys.readouterr().err


def test_the_command(folder):
    """As it is typed, from the root of the repository."""
    command = [sys.executable, "-m", "tests.parity", str(folder), "--only", "smooth_right"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "1 of 1 cases pass" in done.stdout, done.stderr


def test_the_whole_array_is_checked_by_its_projection(tmp_path):
    """An array that is right wherever it is stored, and wrong elsewhere."""
    right = Case(tmp_path, write_smooth(tmp_path, "smooth").name)
    found = check.find("smooth")(right)["ema_pitch"].copy()
    assert compare(right, "ema_pitch", found).verdict == PASS
    found[1] += 1e-3
    result = compare(right, "ema_pitch", found)
    assert result.verdict == FAIL and result.error <= result.bound and result.proj_error > result.proj_bound


def test_an_output_no_code_covers_fails_its_case(tmp_path):
    write_smooth(tmp_path, "smooth", outputs={"ema_hat": np.ones(1, np.float32)})
    result = check.check(tmp_path, "smooth")
    assert result.verdict == NOT_COVERED and [output.verdict for output in result.outputs] == [PASS, NOT_COVERED]


def test_what_breaks_fails_alone(folder, monkeypatch, capsys):
    (folder / "cases" / "smooth_broken.npz").write_bytes(b"no archive")
    write_smooth(folder, "smooth_silent", description="")
    code, text = run(monkeypatch, capsys, folder, "--only", "smooth_*")
    assert code == 1 and "smooth_broken: " in text and "smooth_silent: KeyError" in text
    assert "1 of 4 cases pass" in text


def test_an_interruption_fails_its_case_and_two_at_once_end_the_run(folder, monkeypatch, capsys):
    def interrupt(case):
        raise KeyboardInterrupt

    compute = check.find("smooth")
    monkeypatch.setattr(check, "find", lambda name: interrupt if name == "smooth_wrong" else compute)
    results = __main__.check_all(folder, ["smooth_wrong", "smooth_right"])
    assert [(result.verdict, result.message) for result in results] == [(FAIL, "interrupted"), (PASS, "")]
    results = __main__.check_all(folder, ["smooth_wrong", "smooth_wrong", "smooth_right"])
    assert [result.message for result in results] == ["interrupted", "interrupted", "not run"]
    capsys.readouterr()


def test_bounds(tmp_path):
    """10 floors or 2e-6 of the largest value, whichever is more; the latter alone, and said so, without a floor."""
    values = np.array([1.0, -4.0], np.float32)
    for floor, bound in ((1e-7, 8e-6), (1e-5, 1e-4), (None, 8e-6)):
        case = write(tmp_path, "any", {"x": values}, floors=None if floor is None else {"floor": floor})
        if floor is None:
            (tmp_path / "floor.json").unlink()
            case = Case(tmp_path, "any")
        result = compare(case, "x", values + np.float32(2e-6))
        assert result.bound == pytest.approx(bound) and result.verdict == PASS
        assert ("no floor" in result.note) == (floor is None)
        assert compare(case, "x", values.astype(np.float64) + 2 * bound).verdict == FAIL


def test_arrays_of_every_kind(tmp_path):
    image = np.full((20, 20, 3), 7, np.uint8)
    values = {
        "count": np.array([3, 4]),
        "image": image,
        "holes": np.array([1.0, np.nan], np.float32),
        "absent": np.zeros(0, np.float32),
    }
    case = write(tmp_path, "any", {**values, "absent": np.zeros(1, np.float32)}, about={"absent": {"none": True}})

    def verdict(key: str, found) -> str:
        return compare(case, key, found).verdict

    few, many, far = image.copy(), image.copy(), image.copy()
    few[0, 0], many[0], far[0, 0, 0] = 8, 8, 9
    assert [verdict("image", found) for found in (image, few, many, far)] == [PASS, PASS, FAIL, FAIL]
    assert verdict("image", image.astype(np.float32)) == FAIL
    assert [verdict("count", torch.tensor(found)) for found in ([3, 4], [3, 5])] == [PASS, FAIL]
    assert verdict("count", [3]) == verdict("count", None) == FAIL
    assert [verdict("holes", found) for found in ([1.0, np.nan], [1.0, 1.0], [np.nan, np.nan])] == [PASS, FAIL, FAIL]
    assert [verdict("absent", found) for found in (None, [0.0])] == [PASS, FAIL]


def test_integers_stored_without_a_word_are_outputs(tmp_path):
    case = write(tmp_path, "any", {"x": np.ones(1, np.float32)})
    with np.load(tmp_path / "cases" / "any.npz") as file:
        np.savez(tmp_path / "cases" / "any.npz", **file, **{"out.len": np.array(5)})
    case = Case(tmp_path, "any")
    assert set(case.outputs) == {"x", "len"} and case.shape("len") == []
    assert [compare(case, "len", found).verdict for found in (5, 6)] == [PASS, FAIL]


def test_scaled_multiplies_what_is_drawn_but_no_spectral_vector():
    shapes = {"a.weight_orig": (4, 6), "a.weight_u": (4,), "a.weight_v": (6,), "b.bias": (3,)}
    scaled = [("weight_orig", 0.01), ("weight_v", 5.0), (".bias", 2.0)]
    for name, factor in {"a.weight_orig": 0.01, "a.weight_u": 1.0, "a.weight_v": 1.0, "b.bias": 2.0}.items():
        np.testing.assert_array_equal(rule.weight(name, shapes, scaled=scaled), factor * rule.weight(name, shapes))


def test_a_filled_module_draws_by_prefix_and_keeps_its_tables():
    norm = torch.nn.BatchNorm1d(5).train()
    rule.fill(norm, prefix="net.")
    assert not norm.training and norm.num_batches_tracked == 0
    np.testing.assert_array_equal(norm.bias.detach(), (0.1 * rule.draw("net.bias", (5,))).astype(np.float32))
    np.testing.assert_array_equal(norm.running_mean, (0.1 * rule.draw("net.running_mean", (5,))).astype(np.float32))


def test_a_sinusoidal_table_may_be_off_by_the_last_bit_of_a_frequency(tmp_path):
    """As the published code's own is on another processor; two bits are an error."""

    def table(frequency):
        return np.sin(np.arange(501, dtype=np.float32) * np.float32(frequency))[None, :, None]

    frequency = np.float32(0.75)
    case = write(tmp_path, "any", {"sinusoid_1": table(frequency)}, floors={"floor": 0.0, "absmax": 1.0})
    for bits, verdict in ((0, "pass"), (1, "pass"), (3, "fail")):
        assert compare(case, "sinusoid_1", table(frequency + bits * np.float32(2.0**-24))).verdict == verdict
