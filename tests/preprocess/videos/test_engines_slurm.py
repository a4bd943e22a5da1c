"""An array of jobs says the same as the local pool. Jobs run here: as processes (cluster=local), or in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from preprocess.config import conf_dir
from preprocess.videos.engines.progress import Died
from preprocess.videos.engines.slurm import SlurmEngine
from tests.preprocess.videos.engine_work import EndsOn, Toy, look, make_tool, move
from tests.waiting import HANGS_SECONDS, until

ROOT = Path(__file__).parents[3]
HERE = ["engine.local.workers=1", "engine.local.devices=cpu", "engine.gpus=0", "engine.poll_seconds=0.1"]


def engine(folder: Path, *words: str) -> SlurmEngine:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("engine/slurm", overrides=[*HERE, f"engine.logs={folder / 'logs'}", *words])
    return instantiate(OmegaConf.to_container(cfg.engine, resolve=True))


def run(slurm: SlurmEngine, folder: Path, names: list[str]) -> dict[tuple[str, str], object]:
    said: dict[tuple[str, str], object] = {}

    def report(toy: Toy, stage: str, result: object) -> None:
        assert (toy.name, stage) not in said
        said[toy.name, stage] = result

    slurm.run([Toy(name, folder) for name in names], look, move, partial(make_tool, folder / "tools"), report)
    return said


@pytest.mark.parametrize("cluster, jobs", [("debug", 1), ("local", 2)])
def test_every_task_is_done_once_by_one_of_the_jobs(cluster: str, jobs: int, tmp_path: Path):
    slurm = engine(tmp_path, f"engine.cluster={cluster}", f"engine.jobs={jobs}")
    said = run(slurm, tmp_path, ["a", "b", "dull"])
    assert {key: result is True for key, result in said.items() if key[1] == "look"} == {
        ("a", "look"): True, ("b", "look"): True, ("dull", "look"): False,
    }  # fmt: skip
    assert {key for key in said if key[1] == "move"} == {("a", "move"), ("b", "move")}
    assert len((tmp_path / "tools").read_text().splitlines()) == jobs
    assert Toy("a", tmp_path).lines == ["look", "move"]


def test_the_killed_are_named(tmp_path: Path):
    said = run(engine(tmp_path, "engine.cluster=debug", "engine.jobs=2"), tmp_path, ["killed-look", "dull"])
    assert isinstance(said["killed-look", "look"], Died) and said["dull", "look"] is False


def test_what_a_stage_raises_in_a_job_is_raised_here(tmp_path: Path):
    with pytest.raises(OSError, match="No space left on device") as raised:
        run(engine(tmp_path, "engine.cluster=debug", "engine.jobs=1"), tmp_path, ["full"])
    assert raised.value.errno == 28


def test_a_job_without_the_gpu_that_was_asked_for_does_nothing(tmp_path: Path):
    with pytest.raises(ValueError, match="found cpu .expected cuda"):
        run(engine(tmp_path, "engine.cluster=debug", "engine.gpus=1"), tmp_path, ["a"])
    assert not (tmp_path / "a").exists()


DRIVER = """
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from tests.preprocess.videos.engine_work import Toy, look, make_tool, move
from tests.preprocess.videos.test_engines_slurm import engine

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    slurm = engine(folder, "engine.cluster=local", "engine.jobs=1")
    slurm.run([Toy("hung", folder)], look, move, partial(make_tool, folder / "tools"), print)
"""


@pytest.mark.slow
def test_a_command_told_to_end_ends_its_jobs(tmp_path: Path):
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)]
    parent = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)
    until((tmp_path / "hung").exists, "the job to begin")
    parent.terminate()
    assert parent.wait(timeout=HANGS_SECONDS) == 128 + signal.SIGTERM
    until(lambda: not _alive(parent.pid), "the jobs to end")


def _alive(session: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True).stdout.split()
    return [state for state in found if not state.startswith("Z")]


@pytest.mark.slow  # submitit waits 15 s for what a job wrote
def test_a_lost_job_is_named_after_the_others_ended(tmp_path: Path):
    slurm = engine(tmp_path, "engine.cluster=local", "engine.jobs=2")
    slurm._local = EndsOn("a")
    with pytest.raises(ChildProcessError, match="was lost .*, see .*log"):
        run(slurm, tmp_path, ["a", "b"])
    assert Toy("b", tmp_path).lines == ["look"]


def test_where_slurm_or_submitit_is_absent_it_is_said(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no sbatch here"):
        run(engine(tmp_path), tmp_path, ["a"])
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install 'joyvasa\[cluster\]'"):
        run(engine(tmp_path), tmp_path, ["a"])


@pytest.mark.parametrize("word", ["engine.cluster=slum", "engine.jobs=0"])
def test_a_wrong_word_is_refused(word: str, tmp_path: Path):
    with pytest.raises(Exception, match="expected slurm, local or debug"):
        engine(tmp_path, word)
