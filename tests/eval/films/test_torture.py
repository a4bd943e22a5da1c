"""Killed anywhere, a run of scores goes on: finished films are not read again, and the results are the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eval.films.speaking import speaking

DRIVER, ROOT = Path(__file__).with_name("killed.py"), Path(__file__).parents[3]
FILMS = 3
KILLS = [("frame", 1), ("frame", 45), ("put", 1), ("rename", 1), ("put", 2), ("rename", 3), ("frame", 70), ("put", 3)]
KILLS += [("rename", 2), ("frame", 31)]


def run(root: Path, place: str, number: int, cache: str) -> int:
    words = ["task=evaluate", f"generated={root / 'ours'}", f"reference={root / 'real'}", "metrics=[psnr,ssim]"]
    words += [f"out={root / cache}-out", f"evaluate.cache={root / cache}", "evaluate.devices=1"]
    command = [sys.executable, str(DRIVER), place, str(number), str(root / f"{cache}.log"), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JOYVASA_WEIGHTS": str(root / "weights")}
    return subprocess.run(command, env=environment, cwd=root, capture_output=True).returncode


def results(root: Path, cache: str) -> dict:
    found = json.loads((root / f"{cache}-out" / "results.json").read_text())
    del found["settings"]
    return found


@pytest.mark.torture
def test_ten_kills_change_nothing_and_finished_films_are_not_opened_again(tmp_path):
    for name, noise in (("real", 0), ("ours", 9)):
        (tmp_path / name).mkdir()
        for seed in range(FILMS):
            speaking(tmp_path / name / f"{seed}.mkv", seed=seed, noise=noise, frames=30)
    assert run(tmp_path, "never", 0, "quiet") == 0
    readings = len(list((tmp_path / "quiet").rglob("*.npz")))
    done = 0
    for place, number in KILLS:
        code = run(tmp_path, place, number, "killed")
        left = len(list((tmp_path / "killed").rglob("*.npz")))
        assert code == -signal.SIGKILL, f"the run ended before it came to {place} {number}"
        assert left >= done, "what was read stays"
        done = left
    log = tmp_path / "killed.log"
    before = log.read_text().count("\n")
    assert run(tmp_path, "never", 0, "killed") == 0
    assert len(list((tmp_path / "killed").rglob("*.npz"))) == readings
    assert results(tmp_path, "killed") == results(tmp_path, "quiet")
    assert run(tmp_path, "never", 0, "killed") == 0
    opened = log.read_text().splitlines()[before:]
    assert len(opened) <= 2 * FILMS and len(set(opened)) == len(opened), "the second run opens nothing"
