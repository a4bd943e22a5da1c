"""The local engine: every task goes through its stages whatever dies beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from preprocess.config import conf_dir
from preprocess.videos.engines import Work, progress
from preprocess.videos.engines.local import LocalEngine, cores, devices_of
from preprocess.videos.engines.progress import Died
from preprocess.videos.engines.slot import Slot
from tests.preprocess.videos.engine_work import STEPS, Rooted, Toy, look, make_tool, move, threads
from tests.waiting import HANGS_SECONDS, FakeClock, until

ROOT = Path(__file__).parents[3]


def local(**changes):
    return instantiate(OmegaConf.load(conf_dir() / "engine" / "local.yaml"), **{"devices": "cpu"} | changes)


def run(engine, folder: Path, names: list[str], look=look, tick=None) -> dict[tuple[str, str], object]:
    """(name, stage) -> what was reported; no stage is reported twice."""
    said: dict[tuple[str, str], object] = {}

    def report(toy: Toy, stage: str, result: object) -> None:
        assert (toy.name, stage) not in said
        said[toy.name, stage] = result

    tasks = [Toy(name, folder) for name in names]
    engine.run(tasks, look, move, partial(make_tool, folder / "tools"), report, tick)
    return said


def test_every_task_looks_then_moves_once_and_a_tool_is_made_once_a_process(tmp_path: Path):
    names = [f"{number}" for number in range(6)] + ["dull"]
    ticks: list[tuple[str, int]] = []
    said = run(local(workers=2), tmp_path, names, tick=lambda task, frames: ticks.append((task, frames)))
    assert {key: said[key] for key in said if key[1] == "look"} == {(name, "look"): name != "dull" for name in names}
    assert {name for name, stage in said if stage == "move"} == set(names) - {"dull"}
    for name in names:
        assert Toy(name, tmp_path).lines == ["look"] + ["move"] * (name != "dull")
    tools = (tmp_path / "tools").read_text().split("\n")[:-1]
    assert len(tools) == len(set(tools)) <= 2 and all(tool.endswith(" cpu") for tool in tools)
    assert {f"{pid} {device}" for (_, stage), (pid, device) in _moves(said)} <= set(tools)
    counts = [frames for _, frames in ticks]
    assert sum(counts) == 10 * 7 + 6 and min(counts) >= 0


def _moves(said):
    return [(key, result) for key, result in said.items() if key[1] == "move"]


def test_a_gpu_has_one_process_that_moves_and_others_look(tmp_path: Path):
    names = ["a", "b", "c", "d"]
    said = run(local(workers=1, devices=["cuda:0", "cuda:7"]), tmp_path, names)
    assert set(said) == {(name, stage) for name in names for stage in ("look", "move")}
    tools = [tool.split() for tool in (tmp_path / "tools").read_text().splitlines()]
    assert {device for _, device in tools} <= {"cuda:0", "cuda:7"} and len(tools) <= 2


def test_a_killed_process_takes_only_its_task_which_is_tried_once_more(tmp_path: Path):
    said = run(local(workers=2), tmp_path, ["a", "killed-once", "killed-look", "killed-move", "b"])
    for name in ("a", "b", "killed-once"):
        assert said[name, "look"] is True and said[name, "move"][1] == "cpu"
    assert Toy("killed-once", tmp_path).lines == ["look", "look", "move"]
    assert Toy("killed-look", tmp_path).lines == ["look", "look"]
    assert Toy("killed-move", tmp_path).lines == ["look", "move", "move"]
    for key in [("killed-look", "look"), ("killed-move", "move")]:
        assert isinstance(said[key], Died) and "SIGKILL" in said[key].reason
    assert ("killed-look", "move") not in said


def hours_of(folder: Path) -> Callable[[], float]:
    """A clock on which an hour passes when the hung task begins to hang, and no moment at any other time."""
    hung = Toy("hung", folder)
    return lambda: 3600.0 * len(hung.lines) if (folder / hung.name).exists() else 0.0


def test_a_process_that_hangs_is_ended_and_tried_once_more(tmp_path: Path):
    said = run(local(workers=1, hung_seconds=1800.0, clock=hours_of(tmp_path)), tmp_path, ["hung", "a"])
    assert said["a", "move"][1] == "cpu" and Toy("hung", tmp_path).lines == ["look", "look"]
    assert isinstance(said["hung", "look"], Died) and "no frame further in 1800 s" in said["hung", "look"].reason


@pytest.fixture
def place(tmp_path: Path) -> Callable[[Callable[[], float]], Slot]:
    """(clock) -> a place that ends what counts no frame in 1800 s."""
    work, opened = Work(look, move, partial(make_tool, tmp_path / "tools")), []

    def make(clock: Callable[[], float]) -> Slot:
        opened.append(Slot(work, ("look",), "cpu", 1, 1800.0, clock))
        return opened[-1]

    yield make
    for slot in opened:
        slot.stop()


def test_a_place_by_itself_ends_what_hangs(tmp_path: Path, place):
    """As Ray's actors use it."""
    slot = place(hours_of(tmp_path))
    assert "no frame further in 1800 s" in slot.do("look", Toy("hung", tmp_path)).reason
    assert slot.do("look", Toy("a", tmp_path)) is True


def test_a_process_that_is_slow_is_not_ended(tmp_path: Path, place):
    """Between two frames, nearly as long as it may take; in all, far longer."""
    clock = FakeClock()
    slot = place(clock)
    future = slot.submit("look", Toy("stepped", tmp_path))
    for number in range(STEPS):
        slot.watch()
        clock.now += 1799.0
        slot.watch()
        (tmp_path / f"stepped.{number}").touch()
        until(lambda number=number: slot.frames > number or future.done(), "the next frame")
    assert future.result(HANGS_SECONDS) is True


def test_what_a_stage_raises_stops_the_run(tmp_path: Path):
    with pytest.raises(OSError, match="No space left on device"):
        run(local(workers=2), tmp_path, ["hung", "full", "hung-too"])
    lines = [line for path in tmp_path.glob("hung*") for line in path.read_text().splitlines()]
    assert set(lines) <= {"look"}, "what hung did not end by itself"


def test_stages_that_no_process_can_load_are_no_death(tmp_path: Path):
    with pytest.raises(ChildProcessError, match="before it began"):
        run(local(workers=1), tmp_path, ["a"], look=Rooted())


def test_nothing_to_do_starts_nothing(tmp_path: Path):
    assert run(local(), tmp_path, []) == {}


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": 0}, {"hung_seconds": 0.0}])
def test_a_number_below_one_is_refused(wrong):
    with pytest.raises(ValueError, match="expected 1 or more"):
        LocalEngine(**{"workers": None, "threads": 1, "devices": "cpu", "hung_seconds": 9.0} | wrong)


def test_a_process_takes_the_threads_it_is_given(tmp_path: Path):
    assert run(local(workers=1, threads=3), tmp_path, ["a"], look=threads) == {("a", "look"): (3, "3")}


def test_devices_by_name_are_taken_as_they_are():
    assert devices_of("cuda:1") == ("cuda:1",) and devices_of(["cpu"]) == ("cpu",)
    assert local(devices="cuda:1").device == "cuda" and local().device == "cpu"
    assert devices_of("auto")[0] in ("cpu", "cuda:0")
    assert 1 <= cores() <= os.cpu_count()


def test_counting_without_a_parent_does_nothing():
    progress.advance(3)


DRIVER = """
import sys
from functools import partial
from pathlib import Path
from tests.preprocess.videos.engine_work import Toy, look, make_tool, move
from preprocess.videos.engines.local import LocalEngine

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tasks = [Toy(f"hung-{number}", folder) for number in range(2)]
    engine = LocalEngine(workers=2, threads=1, devices="cpu", hung_seconds=1e9)
    engine.run(tasks, look, move, partial(make_tool, folder / "tools"), print)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_parent(tmp_path: Path, stop: int):
    """Ctrl-C goes to the whole group, SIGKILL to the parent alone."""
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)]
    parent = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(list(tmp_path.glob("hung-*"))) == 2, "both workers to begin")
    os.killpg(parent.pid, stop) if stop == signal.SIGINT else parent.kill()
    _, errors = parent.communicate(timeout=HANGS_SECONDS)
    assert parent.returncode == -stop
    assert errors.count("KeyboardInterrupt") == (stop == signal.SIGINT)
    until(lambda: not _group(parent.pid), "the workers to end")


def _group(leader: int) -> list[str]:
    """Processes of a session that are alive."""
    found = subprocess.run(["ps", "-o", "stat=", "-s", str(leader)], capture_output=True, text=True).stdout.split()
    return [state for state in found if not state.startswith("Z")]
