"""run.py without the scoring at the end, for subprocesses; and callbacks that watch a run or break it on purpose."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from joyvasa.data.workers import WAIT
from tests.waiting import hang, until


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


class SignalWithin(pl.Callback):
    """Sends this process, of this rank, a signal a `share` of a step after the beginning of the first step behind
    `step` of them, whatever it is at then. The shortest step so far is measured: the moment is as far on any machine.
    """

    def __init__(self, step: int, number: int, share: float, rank: int = 0):
        self.step, self.number, self.share, self.rank = step, number, share, rank
        self._began: float | None = None
        self._shortest: float | None = None
        self._begun = False

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        now = time.monotonic()
        if self._began is not None:
            self._shortest = min(now - self._began, self._shortest or now)
        self._began = now
        if trainer.global_step >= self.step and trainer.global_rank == self.rank and not self._begun:
            self._begun = True
            pause = self.share * (self._shortest or 0.0)
            threading.Thread(target=self._send_after, args=(pause,), daemon=True).start()

    def _send_after(self, pause: float) -> None:
        time.sleep(pause)
        os.kill(os.getpid(), self.number)


class SignalWriting(pl.Callback):
    """Sends rank 0 a signal when half of its first checkpoint from `step` on is written."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_train_start(self, trainer, pl_module) -> None:
        save = torch.save

        def save_half(checkpoint, file) -> None:
            if trainer.global_step < self.step:
                save(checkpoint, file)
                return
            whole = io.BytesIO()
            save(checkpoint, whole)
            file.write(whole.getvalue()[: whole.tell() // 2])
            file.flush()
            os.kill(os.getpid(), self.number)

        torch.save = save_half


class HangAt(pl.Callback):
    """Stands still, on this rank, before the step behind `step` of them; the file `mark` says that it is there."""

    def __init__(self, step: int, mark: str, rank: int):
        self.step, self.mark, self.rank = step, Path(mark), rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            self.mark.touch()
            hang()


class Poison(pl.Callback):
    """Puts a number that is not finite into optimizer step `step` + 1, or into the validation after it, of a rank."""

    def __init__(self, what: str, step: int, value: float, rank: int = 0):
        self.what, self.step, self.value, self.rank = what, step, value, rank

    def _due(self, trainer, what: str) -> bool:
        return what == self.what and trainer.global_step == self.step and trainer.global_rank == self.rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self._due(trainer, "input"):
            batch["motion"][1, 3, 5] = self.value

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        if self._due(trainer, "validation"):
            batch["motion"][0, 3, 5] = self.value

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        name, parameter = next(iter(pl_module.named_parameters()))
        average = next(callback.average for callback in trainer.callbacks if hasattr(callback, "average"))
        with torch.no_grad():
            if self._due(trainer, "gradient"):
                parameter.grad.view(-1)[0] = self.value
            if self._due(trainer, "weight"):
                parameter.view(-1)[0] = self.value
            if self._due(trainer, "average"):
                average[name].view(-1)[0] = self.value
            if self._due(trainer, "optimizer"):
                optimizer.state[parameter]["exp_avg_sq"].view(-1)[0] = self.value


class Scaled(pl.Callback):
    """Trains in 16-mixed on the CPU, where Lightning would take bf16, with a scale that overflows at first."""

    def __init__(self, scale: float):
        self.scale = scale

    def setup(self, trainer, pl_module, stage: str) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=self.scale)
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)


class Stall(pl.Callback):
    """Stops the data workers (SIGSTOP) after `step` optimizer steps, then sends this process `number`: a batch is
    waited for that never comes."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step != self.step:
            return
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGSTOP)
        threading.Thread(target=self._interrupt, daemon=True).start()

    def _interrupt(self) -> None:
        while WAIT.seconds() < 2:  # what was fetched before is used up
            time.sleep(0.05)
        os.kill(os.getpid(), self.number)


class SignalAll(SignalAt):
    """As a cluster that ends a job: first the data workers, then this process."""

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if trainer.global_step == self.step:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, self.number)
        super().on_before_backward(trainer, pl_module, loss)


class KillWorker(pl.Callback):
    """Kills the data workers with signal `number` after `step` optimizer steps, or in the validation after them."""

    def __init__(self, step: int, number: int, validation: bool = False):
        self.step, self.number, self.validation = step, number, validation

    def _kill(self, trainer) -> None:
        if trainer.global_step == self.step:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, self.number)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if not self.validation:
            self._kill(trainer)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        if self.validation:
            self._kill(trainer)


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

    def wait(self) -> list[int]:
        """Their exit codes; where they hang they are killed, and it is an error."""
        try:
            until(lambda: not self.alive(), lambda: f"the end of ranks {self.alive()}:\n{self.printed()}")
        finally:
            self.kill()
        return [process.exitcode for process in self.processes]

    def alive(self) -> list[int]:
        """The ranks that have not ended."""
        return [rank for rank, process in enumerate(self.processes) if process.is_alive()]

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
