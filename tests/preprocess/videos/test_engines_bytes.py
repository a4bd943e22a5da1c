"""The same films make the same bytes, whichever engine takes them through the stages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preprocess.videos.made import talking

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ENGINES = {
    "two": ["engine.workers=2"],
    "ray": ["engine=ray"],
    "slurm": ["engine=slurm", "engine.cluster=local", "engine.jobs=2", "engine.gpus=0", "engine.local.workers=1"],
}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for seed in range(3):
        (folder / f"speaker {seed}").mkdir()
        talking(folder / f"speaker {seed}" / "take.mp4", seed)
    (folder / "text.mp4").write_text("no film")
    return folder


@pytest.fixture(scope="module")
def expected(films: Path, tmp_path_factory) -> dict[str, bytes]:
    return written(films, tmp_path_factory.mktemp("one") / "set", "engine.workers=1")


def written(films: Path, output: Path, *words: str) -> dict[str, bytes]:
    """Every file of the dataset, by name."""
    command = [sys.executable, "-m", "preprocess", "source=videos", f"input={films}", f"output={output}"]
    command += ["weights=random:0:small", "filters.min_seconds=2", *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hidden = (".staging", ".logs")
    paths = [path for path in output.rglob("*") if path.is_file() and not set(hidden) & set(path.parts)]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_writes_what_one_process_writes(engine: str, films: Path, expected: dict, tmp_path: Path):
    if engine == "ray":
        pytest.importorskip("ray")
    found = written(films, tmp_path / "set", *ENGINES[engine])
    assert found.keys() == expected.keys() and len(found) > 3
    assert [name for name in found if found[name] != expected[name]] == []
