"""Two ranks killed again and again, a rank at a time or all, while they write checkpoints or not: nothing is lost."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from joyvasa.lit.checkpoints import read_checkpoint

KILLS = 20
SECONDS = 15  # trainer.strategy.timeout_seconds
DRIVER = Path(__file__).with_name("driver.py")
ROOT = DRIVER.parents[2]
HOW = (
    "optim.schedule.total_steps=3000", "callbacks.checkpoints.every_steps=3", "resume=auto",
    f"trainer.strategy.timeout_seconds={SECONDS}", "trainer.strategy.start_seconds=240",
)  # fmt: skip


@pytest.fixture
def whole(tmp_path, ranks):
    """(steps) -> the folder of the run that nobody killed."""

    def run(steps: int) -> Path:
        started = ranks(tmp_path / "whole", *HOW, f"trainer.max_steps={steps}")
        assert started.wait(600) == [0, 0], started.printed()
        return tmp_path / "whole" / "train" / "a"

    return run


def assert_same(one: Path, two: Path, curve, state) -> None:
    assert curve(one) == curve(two)
    first, second = state(one), state(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def wait_until_it_trains(folder: Path, runs, since: int, seconds: float = 240) -> bool:
    """Whether it came so far that a number was drawn; not where it ended before."""
    curves, deadline = folder / "logs" / "metrics.csv", time.monotonic() + seconds
    while time.monotonic() < deadline and runs():
        if curves.exists() and curves.stat().st_size > 0 and curves.stat().st_mtime_ns > since:
            return True
        time.sleep(0.005)
    return False


def drawn_at(folder: Path) -> int:
    """When the curves were changed last, cut back to the checkpoint or not."""
    path = folder / "logs" / "metrics.csv"
    return path.stat().st_mtime_ns if path.exists() else 0


def steps_of(folder: Path) -> dict[str, int]:
    """The step of each checkpoint, all of them whole."""
    files = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    return {file.stem: int(read_checkpoint(file)["global_step"]) for file in files if file.exists()}


def kill_somewhere(started, folder: Path, how: str, rng: random.Random) -> str:
    """Kill both ranks, one of them, or both while a checkpoint is written; what was done, for the log."""
    half_written = folder / "checkpoints" / "last.ckpt.tmp"
    deadline = time.monotonic() + rng.uniform(0, 2)
    while time.monotonic() < deadline or (how == "writing" and time.monotonic() < deadline + 5):
        if how == "writing" and time.monotonic() > deadline and half_written.exists():
            break
        time.sleep(0 if how == "writing" else 0.01)
    if how != "one":
        started.kill()
        return f"both killed, {'a checkpoint half written' if half_written.exists() else 'between checkpoints'}"
    rank, before = rng.randrange(2), time.monotonic()
    started.processes[rank].kill()
    codes = started.wait(SECONDS + 15)
    said = re.findall(r"error: .*", started.printed())
    assert codes[1 - rank] == 2 and len(said) == 1 and f"rank {rank} of 2" in said[0], started.printed()
    return f"rank {rank} killed, the other ended after {time.monotonic() - before:.1f} s: {said[0]}"


@pytest.mark.torture
def test_two_ranks_killed_twenty_times(tmp_path, ranks, whole, curve, state):
    steps, rng, killed = 400, random.Random(0), 0
    one, two = whole(steps), tmp_path / "killed" / "train" / "a"
    began = time.monotonic()
    while killed < KILLS:
        at, how = drawn_at(two), ("both", "writing", "one", "writing")[killed % 4]
        started = ranks(tmp_path / "killed", *HOW, f"trainer.max_steps={steps}")
        running = started.processes[0].is_alive
        # The curves are cut back to the checkpoint first: what comes after that is a step.
        if at and wait_until_it_trains(two, running, at):
            at = drawn_at(two)
        assert wait_until_it_trains(two, running, at), f"ended after {killed} kills:\n{started.printed()}"
        done = kill_somewhere(started, two, how, rng)
        killed += 1
        print(f"{time.monotonic() - began:6.1f} s, kill {killed:2}: {done}; whole: {steps_of(two)}", flush=True)
    finished = ranks(tmp_path / "killed", *HOW, f"trainer.max_steps={steps}")
    assert finished.wait(600) == [0, 0], finished.printed()
    assert_same(one, two, curve, state)
    print(f"{time.monotonic() - began:6.1f} s, {killed} kills, {steps} steps: curves and weights are identical")


class Agents:
    """Two torchrun agents of one rank each on loopback, as on two machines."""

    def __init__(self, args: list[str], port: int, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.logs = [folder / f"{port}-{node}.log" for node in range(2)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        self.agents = []
        for node, log in enumerate(self.logs):
            where = ["--nnodes=2", f"--node_rank={node}", "--nproc_per_node=1", "--master_addr=127.0.0.1"]
            command = [sys.executable, "-m", "torch.distributed.run", *where, f"--master_port={port}", str(DRIVER)]
            with open(log, "w") as out:
                self.agents.append(subprocess.Popen([*command, *args], env=environment, stdout=out, stderr=out))

    def worker(self, node: int) -> int:
        agent = self.agents[node].pid
        return int(Path(f"/proc/{agent}/task/{agent}/children").read_text().split()[0])

    def wait(self, seconds: float) -> list[int]:
        deadline = time.monotonic() + seconds
        try:
            return [agent.wait(max(deadline - time.monotonic(), 0.01)) for agent in self.agents]
        finally:
            for agent in self.agents:
                agent.kill()

    def said(self) -> list[str]:
        return re.findall(r"error: rank .*|error: the torchrun .*", "".join(log.read_text() for log in self.logs))


def seconds_until_gone(process: int) -> float:
    began = time.monotonic()
    while Path(f"/proc/{process}").exists() and time.monotonic() < began + 60:
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.torture
def test_a_machine_and_then_a_torchrun_are_lost(tmp_path, tiny_args, port, whole, curve, state):
    """nnodes=2: the other ends with its sentence within the time-out, and both started again go on."""
    steps = 400
    one, two = whole(steps), tmp_path / "lost" / "train" / "a"
    ranks = ("trainer=ddp_cpu", "trainer.log_every_n_steps=1", "data.batch_size=2", f"trainer.max_steps={steps}")
    args = tiny_args(tmp_path / "lost", *ranks, *HOW)
    for lost in ("machine", "torchrun"):
        at, agents = drawn_at(two), Agents(args, port(), tmp_path / "logs")
        running = lambda agents=agents: agents.agents[0].poll() is None  # noqa: E731
        if at:
            assert wait_until_it_trains(two, running, at)
            at = drawn_at(two)
        assert wait_until_it_trains(two, running, at), agents.logs[0].read_text()
        survivor, worker = agents.worker(0), agents.worker(1)
        agents.agents[1].kill()
        if lost == "machine":
            os.kill(worker, signal.SIGKILL)
        seconds = seconds_until_gone(survivor)
        assert seconds < SECONDS + 5, agents.logs[0].read_text()
        codes = agents.wait(60)
        print(f"{lost} lost: the other rank ended after {seconds:.1f} s, agents {codes}: {agents.said()}", flush=True)
        expected = "rank 1 of 2" if lost == "machine" else "the torchrun that started rank 1 of 2"
        assert codes[0] != 0 and len(agents.said()) == 1 and expected in agents.said()[0]
        assert not Path(f"/proc/{worker}").exists(), "no rank is left behind by its torchrun"
    last = Agents(args, port(), tmp_path / "logs")
    assert last.wait(300) == [0, 0], last.logs[0].read_text()
    assert_same(one, two, curve, state)
