"""Two ranks killed again and again, a rank at a time or all, while they write checkpoints or not: nothing is lost."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from joyvasa.lit.checkpoints import read_checkpoint
from tests.waiting import HANGS_SECONDS, process_state, runs, until

KILLS = 20
STEPS = 400
EVERY = 3  # steps from one checkpoint to the next
NEVER = 100 * HANGS_SECONDS  # a time-out that does not pass: what is noticed is noticed by itself
DRIVER = Path(__file__).with_name("driver.py")
ROOT = DRIVER.parents[2]
HOW = (
    "optim.schedule.total_steps=3000", f"callbacks.checkpoints.every_steps={EVERY}", "resume=auto",
    f"trainer.max_steps={STEPS}", f"trainer.strategy.timeout_seconds={NEVER}",
    f"trainer.strategy.start_seconds={NEVER}",
)  # fmt: skip


def calling(name: str, **settings) -> tuple[str, ...]:
    """The words that add a callback of driver.py."""
    words = [f"+callbacks.signal._target_=driver.{name}"]
    return (*words, *(f"+callbacks.signal.{key}={value}" for key, value in settings.items()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, ranks) -> Path:
    """The folder of the run that nobody killed."""
    runs_folder = tmp_path_factory.mktemp("whole")
    started = ranks(runs_folder, *HOW)
    assert started.wait() == [0, 0], started.printed()
    return runs_folder / "train" / "a"


def assert_same(one: Path, two: Path, curve, state) -> None:
    assert curve(one) == curve(two)
    first, second = state(one), state(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def steps_of(folder: Path) -> dict[str, int]:
    """The step of each checkpoint, all of them whole."""
    files = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    return {file.stem: int(read_checkpoint(file)["global_step"]) for file in files if file.exists()}


def kill_at(step: int, how: str, start, folder: Path, rng: random.Random) -> str:
    """Start both ranks and kill one of them, or both, while a checkpoint is written or not; what was done, for the log.

    The kill is placed by progress, within or right behind step `step`: a rank stops there by itself, so that none is
    further when it is killed, on a machine of any speed.
    """
    if how == "one":
        return kill_one(step, start, rng)
    if how == "writing":
        started = start(*calling("SignalWriting", step=step, number=signal.SIGSTOP.value))
    else:
        share = rng.uniform(0, 1)
        started = start(*calling("SignalWithin", step=step, number=signal.SIGSTOP.value, share=share))
    until(lambda: process_state(started.processes[0].pid) in "TZ", started.printed)
    assert len(started.alive()) == 2, f"ended before step {step}:\n{started.printed()}"
    started.kill()
    half_written = [path for path in (folder / "checkpoints").glob("*.tmp") if path.stat().st_size]
    assert half_written or how != "writing"
    return f"both killed, {'a checkpoint half written' if how == 'writing' else 'within a step'}"


def kill_one(step: int, start, rng: random.Random) -> str:
    """A rank is killed; the other says so, and ends by itself."""
    rank, share = rng.randrange(2), rng.uniform(0, 1)
    started = start(*calling("SignalWithin", step=step, number=signal.SIGKILL.value, share=share, rank=rank))
    codes = started.wait()
    said = re.findall(r"error: .*", started.printed())
    assert codes[rank] == -signal.SIGKILL and codes[1 - rank] == 2, started.printed()
    assert len(said) == 1 and f"rank {rank} of 2" in said[0], started.printed()
    return f"rank {rank} killed: {said[0]}"


@pytest.mark.torture
def test_two_ranks_killed_twenty_times(tmp_path, ranks, whole, curve, state):
    rng, two = random.Random(0), tmp_path / "killed" / "train" / "a"

    def start(*words: str):
        return ranks(tmp_path / "killed", *HOW, *words)

    for number in range(KILLS):
        step = STEPS * (number + 1) // (KILLS + 1) + rng.randint(-EVERY, EVERY)
        how = ("both", "writing", "one", "writing")[number % 4]
        done = kill_at(step, how, start, two, rng)
        saved = steps_of(two)
        print(f"kill {number + 1:2} at step {step}: {done}; whole: {saved}", flush=True)
        assert step - 2 * EVERY < saved["last"] < STEPS, "the kill hit the run where it should"
    finished = start()
    assert finished.wait() == [0, 0], finished.printed()
    assert_same(whole, two, curve, state)


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

    def wait(self) -> list[int]:
        try:
            return [agent.wait(timeout=HANGS_SECONDS) for agent in self.agents]
        finally:
            for agent in self.agents:
                agent.kill()

    def ended(self) -> bool:
        return any(agent.poll() is not None for agent in self.agents)

    def printed(self) -> str:
        return "".join(log.read_text() for log in self.logs)

    def said(self) -> list[str]:
        return re.findall(r"error: rank .*|error: the torchrun .*", self.printed())


@pytest.mark.torture
def test_a_machine_and_then_a_torchrun_are_lost(tmp_path, tiny_args, port, whole, curve, state):
    """nnodes=2: the other notices it by itself and ends with its sentence, and both started again go on."""
    two = tmp_path / "lost" / "train" / "a"
    args = tiny_args(tmp_path / "lost", "trainer=ddp_cpu", "trainer.log_every_n_steps=1", "data.batch_size=2", *HOW)
    for lost, step in (("machine", 10), ("torchrun", 20)):
        mark = tmp_path / f"{lost}.mark"
        agents = Agents([*args, *calling("HangAt", step=step, mark=mark, rank=1)], port(), tmp_path / "logs")
        until(lambda agents=agents, mark=mark: mark.exists() or agents.ended(), agents.printed)
        assert not agents.ended(), agents.printed()
        survivor, worker = agents.worker(0), agents.worker(1)
        agents.agents[1].kill()
        if lost == "machine":
            os.kill(worker, signal.SIGKILL)
        until(lambda survivor=survivor: not runs(survivor), agents.printed)
        codes = agents.wait()
        print(f"{lost} lost: agents {codes}: {agents.said()}", flush=True)
        expected = "rank 1 of 2" if lost == "machine" else "the torchrun that started rank 1 of 2"
        assert codes[0] != 0 and len(agents.said()) == 1 and expected in agents.said()[0]
        until(lambda worker=worker: not runs(worker), "the rank that its torchrun left behind to end")
    last = Agents(args, port(), tmp_path / "logs")
    assert last.wait() == [0, 0], last.printed()
    assert_same(whole, two, curve, state)
