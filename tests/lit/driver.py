"""run.py without the scoring at the end, for subprocesses; and callbacks that watch a run or break it on purpose."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl


class Stop(Exception):
    """What `RaiseAt` raises: to the files on disk it is as good as a kill."""


class RaiseAt(pl.Callback):
    """Breaks the run before optimizer step `step`."""

    def __init__(self, step: int):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            raise Stop


class SignalAt(pl.Callback):
    """Sends this process, of this rank, a signal during the optimizer step after `step` of them."""

    def __init__(self, step: int, number: int, rank: int = 0):
        self.step, self.number, self.rank = step, number, rank

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)


class Record(pl.Callback):
    """Writes `folder`/rank<r>.json: [step, key, draw, weight] of every training example this rank saw."""

    def __init__(self, folder: str):
        self.folder, self.rows = Path(folder), []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        examples = zip(batch["key"], batch["draw"], batch["weight"].tolist(), strict=True)
        self.rows += [[trainer.global_step, *example] for example in examples]

    def on_train_end(self, trainer, pl_module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(self.rows))


@dataclass
class Ranks:
    """Processes of one run and the files they print to."""

    processes: list
    logs: list[Path]

    def wait(self, seconds: float = 240) -> list[int]:
        """Their exit codes; those that still run after so long are killed, and it is an error."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0))
        alive = [rank for rank, process in enumerate(self.processes) if process.exitcode is None]
        self.kill()
        assert not alive, f"ranks {alive} still ran after {seconds:.0f} s:\n{self.printed()}"
        return [process.exitcode for process in self.processes]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()

    def printed(self) -> str:
        return "".join(log.read_text() for log in self.logs)


def run_rank(args: list[str], environment: dict[str, str], log: Path) -> None:
    """A rank of a run, in a process that has imported everything already."""
    os.environ |= environment
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [__file__, *args]
    run()


def run() -> None:
    from joyvasa.__main__ import main
    from joyvasa.tasks import train

    train.score_and_show = lambda *scored: {}
    main()


if __name__ == "__main__":
    run()
