"""The Ray Data job says the same as the local pool, task by task."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from preprocess.config import conf_dir
from preprocess.videos.engines.progress import Died
from preprocess.videos.engines.ray_data import RayEngine
from tests.preprocess.videos.engine_work import Toy, look, make_tool, move


def engine(**changes) -> RayEngine:
    return instantiate(OmegaConf.load(conf_dir() / "engine" / "ray.yaml"), **changes)


def run(ray_engine, folder: Path, names: list[str]) -> dict[tuple[str, str], object]:
    said: dict[tuple[str, str], object] = {}
    tasks = [Toy(name, folder) for name in names]

    def report(toy: Toy, stage: str, result: object) -> None:
        assert (toy.name, stage) not in said
        said[toy.name, stage] = result

    ray_engine.run(tasks, look, move, partial(make_tool, folder / "tools"), report)
    return said


@pytest.mark.slow
def test_every_task_goes_through_its_stages_and_the_killed_are_named(tmp_path: Path):
    pytest.importorskip("ray")
    names = [f"{number}" for number in range(4)] + ["dull", "killed-once", "killed-look", "killed-move"]
    said = run(engine(), tmp_path, names)
    for name in names[:4] + ["killed-once"]:
        assert said[name, "look"] is True and said[name, "move"][1] == "cpu"
    assert said["dull", "look"] is False and ("dull", "move") not in said
    for name, stage in [("killed-look", "look"), ("killed-move", "move")]:
        assert isinstance(said[name, stage], Died) and "SIGKILL" in said[name, stage].reason
    assert Toy("killed-look", tmp_path).lines == ["look", "look"]
    assert len((tmp_path / "tools").read_text().splitlines()) <= 1 + 5  # one, and at most one more after each death


@pytest.mark.slow
def test_what_a_stage_raises_stops_the_run(tmp_path: Path):
    pytest.importorskip("ray")
    with pytest.raises(OSError, match="No space left on device"):
        run(engine(), tmp_path, ["a", "full"])


@pytest.mark.slow
def test_with_a_gpu_one_actor_moves_and_others_look(tmp_path: Path):
    """The GPU is one in name only: nothing here computes."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        said = run(engine(gpus=1), tmp_path, ["a", "dull", "b"])
    finally:
        ray.shutdown()
    assert {key for key in said if key[1] == "move"} == {("a", "move"), ("b", "move")}
    assert {said[name, "move"][1] for name in "ab"} == {"cuda"}


@pytest.mark.parametrize("cpus, gpus, workers", [(2, 0, 1), (8, 0, 7), (16, 4, 11)])
def test_a_cpu_is_left_free(cpus: int, gpus: int, workers: int):
    assert engine(gpus=gpus).places({"CPU": cpus, "GPU": gpus}) == workers


@pytest.mark.parametrize(
    "changes, resources, words",
    [
        ({}, {"CPU": 1.0}, "1 workers and 0 on GPUs for 1 CPUs"),
        ({"workers": 8}, {"CPU": 8.0}, "8 workers and 0 on GPUs for 8 CPUs"),
        ({"gpus": 1}, {"CPU": 2.0, "GPU": 1.0}, "1 workers and 1 on GPUs for 2 CPUs"),
        ({"gpus": 1}, {"CPU": 8.0}, "a Ray cluster that has 0"),
    ],
)
def test_what_would_wait_for_ever_is_refused(changes: dict, resources: dict, words: str):
    with pytest.raises(ValueError, match=words):
        engine(**changes).places(resources)


def test_without_ray_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'joyvasa\[cluster\]'"):
        run(engine(), tmp_path, ["a"])
