"""Files that users add to conf/ break no test of the configuration: these tests pass in a copy that has some."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANGS_SECONDS

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("joyvasa", "preprocess", "conf", "tests", "pyproject.toml", "run.py")
CONFIG_TESTS = ("tests/test_config.py", "tests/test_command_line.py", "tests/usage")
OWN = {
    "experiment/mine.yaml": "# @package _global_\ndata: {window: 50}\n",
    "experiment/unfinished.yaml": "# @package _global_\ndefaults: [{override /encoder: mine}]\nname: ???\n",
    "experiment/broken.yaml": "a: [1,\nb: }\n",
    "experiment/of.last.year.yaml": "# @package _global_\nno_such_key: 1\n",
    "encoder/mine.yaml": "_target_: mine.Encoder\nwidth: 3\n",
    "denoiser/mine.yaml": "_target_: mine.Denoiser\nwidth: 3\n",
    "sampler/mine.yaml": "_target_: mine.Sampler\nsteps: 3\n",
    "loss/mine.yaml": "_target_: mine.Loss\nweights: {}\n",
    "diffusion/mine.yaml": "schedule: {_target_: mine.Schedule, steps: 3}\n",
    "normaliser/mine.yaml": "_target_: mine.normaliser\n",
    "schedule/mine.yaml": "_target_: mine.Schedule\n",
    "smoothing/mine.yaml": "_target_: mine.Smoothing\n",
    "task/mine.yaml": "_target_: mine.task\n_partial_: true\n",
    "source/mine.yaml": "_target_: mine.Source\n",
    "render/mine.yaml": "_target_: mine.Stage\n",
    "trainer/mine.yaml": "# @package _global_\nmax_steps: 3\n",
    "generation/mine.yaml": "",
    "preview/mine.yaml": "species: dog\nsize: 3\n",
}


def copied(folder: Path, own: dict[str, str]) -> Path:
    """The project without its history in a folder, with files added to conf/."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for name, text in own.items():
        (folder / "conf" / name).write_text(text)
    return folder


def run_tests(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """pytest in a copy, which it imports in place of the project."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3 * HANGS_SECONDS
    )


@pytest.mark.slow
def test_the_configuration_s_tests_pass_beside_a_user_s_files(tmp_path):
    done = run_tests(copied(tmp_path, OWN), *CONFIG_TESTS)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.slow
def test_the_same_experiments_are_trained_beside_a_user_s_files(tmp_path):
    words = ("--collect-only", "tests/tasks/test_experiments.py")
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    found = []
    for folder in (copied(tmp_path / "with", OWN), copied(tmp_path / "without", {})):
        done = run_tests(folder, *words)
        found.append([line for line in done.stdout.splitlines() if "::" in line])
    assert found[0] and found[0] == found[1]
