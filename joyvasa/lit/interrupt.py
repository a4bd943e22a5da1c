"""Ctrl-C, SIGTERM, a cluster's warning: finish the step, save, and say how to go on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import torch
from lightning.pytorch.callbacks import Checkpoint

from joyvasa.data.workers import WAIT
from joyvasa.lit.checkpoints import Checkpoints, between_steps, log_now, prepare_between_batches
from joyvasa.lit.stops import TrainingInterrupted

# SLURM's warning before the time limit (sbatch --signal=USR1@90), and submitit's.
REQUEUE = (signal.SIGUSR1, signal.SIGUSR2)
SIGNALS = (*REQUEUE, signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 30.0  # for a batch to come, where stopping before it would lose what has been done
ASK_SECONDS = 0.5  # between two looks whether the main thread, told to stop, waits for a batch
_END = 0  # no signal has this number
AGAIN_SECONDS = 1.0  # one Ctrl-C arrives several times: from the terminal, from torchrun, through data workers


class Interrupt(Checkpoint):
    """First Ctrl-C, SIGTERM, SIGUSR1 or SIGUSR2: save at the end of the running step and stop; under SLURM the last
    two have the job queued again. A second Ctrl-C ends the process at once, whatever it waits for.

    Several ranks ask each other every `every_steps` steps, on the CPU, so that no GPU is waited for: all stop at the
    same step, whichever of them was signalled. A `Checkpoint` because Lightning runs those after all other callbacks:
    nothing of the step is left out.
    """

    def __init__(self, *, every_steps: int):
        self.every_steps = every_steps
        self._received, self._process = 0, os.getpid()
        self._trainer = None
        self._previous: dict = {}
        self._group: torch.distributed.ProcessGroup | None = None

    def _handle(self, number: int, frame) -> None:
        if os.getpid() != self._process:  # a data worker, forked with these handlers: they are not meant for it
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if not self._received:
            self._received = number
            print("\nstopping: finishing this step, then saving a checkpoint (Ctrl-C to stop at once)", flush=True)
        if WAIT.since is not None and (self._is_between_steps() or WAIT.seconds() > GRACE_SECONDS):
            WAIT.since = None  # so that nothing is raised a second time while the state is saved
            raise TrainingInterrupted(None, self._received, None)  # on_exception saves

    def _is_between_steps(self) -> bool:
        """Whether this process, which waits for a batch, could save an exact state now."""
        trainer = self._trainer
        if trainer.world_size > 1 or not trainer.training:
            return False
        return trainer.fit_loop.epoch_loop.batch_progress.current.ready % trainer.accumulate_grad_batches == 0

    def on_train_start(self, trainer, pl_module) -> None:
        self._process = os.getpid()
        self._trainer = trainer
        if trainer.world_size > 1:
            self._group = torch.distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
            self._hurry = _Hurry()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if between_steps(trainer) and self._turn(trainer) and (number := self._asked()):
            log_now(trainer)
            self._stop(trainer, number)

    def on_validation_end(self, trainer, pl_module) -> None:
        if not trainer.sanity_checking and (number := self._asked()):
            self._stop(trainer, number)

    def _turn(self, trainer) -> bool:
        return self._group is None or trainer.global_step % self.every_steps == 0

    def _asked(self) -> int:
        """The signal that came, 0 for none: the same on every rank, whichever received it."""
        if self._group is None:
            return self._received
        number = torch.tensor(self._received)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(number)

    def _stop(self, trainer, number: int) -> None:
        keeper = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
        saved = keeper.keep(trainer)
        requeued = requeue(self._previous.get(number)) if number in REQUEUE and trainer.is_global_zero else None
        raise TrainingInterrupted(saved, number, requeued)

    def on_exception(self, trainer, pl_module, exception: BaseException) -> None:
        """Save where a signal came while a batch was waited for; Lightning calls no `teardown` after an exception."""
        if isinstance(exception, TrainingInterrupted) and exception.checkpoint is None:
            self._save_between_batches(trainer, exception)
        self.teardown(trainer, pl_module, "fit")

    def _save_between_batches(self, trainer, exception: TrainingInterrupted) -> None:
        if trainer.world_size > 1 or not prepare_between_batches(trainer):
            return
        keeper = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
        exception.checkpoint = keeper.keep(trainer)
        if exception.signal_number in REQUEUE:
            exception.requeued = requeue(self._previous.get(exception.signal_number))

    def teardown(self, trainer, pl_module, stage: str) -> None:
        if self._previous:
            self._hurry.close()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous, self._received, self._group, self._trainer = {}, 0, None, None


class _Hurry(threading.Thread):
    """Ends the process at the second Ctrl-C. The main thread may wait in a collective, where Python's own handlers do
    not run; the number of a signal is written to this pipe all the same.

    A signal that came before the main thread began to wait for a batch is sent again while it waits: the handler
    decides whether to stop there. `clock`: seconds, of any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        super().__init__(daemon=True, name="hurry")
        self._clock = clock
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)
        self._before = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        self.start()

    def run(self) -> None:
        asked = 0  # the first signal that asks to stop
        first = None  # when the first Ctrl-C came
        sent = 0  # of this thread's own, on their way back through the pipe
        while True:
            ready, _, _ = select.select([self._out], [], [], ASK_SECONDS if asked else None)
            if not ready:
                if WAIT.seconds() > ASK_SECONDS:
                    sent += asked == signal.SIGINT
                    os.kill(os.getpid(), asked)
                continue
            numbers = os.read(self._out, 512)  # all that came meanwhile: this thread may have been held up
            if _END in numbers:
                return
            asked = asked or next((number for number in numbers if number in SIGNALS), 0)
            presses = numbers.count(signal.SIGINT)
            own = min(sent, presses)
            sent -= own
            if presses == own:
                continue
            now = self._clock()
            if first is None:
                first = now
            if now - first > AGAIN_SECONDS:
                os.write(2, b"\nstopped at once; the last checkpoints are whole\n")
                os._exit(128 + signal.SIGINT)

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        os.write(self._in, bytes([_END]))  # not its end of file: data workers hold the pipe open too
        self.join()
        os.close(self._in)
        os.close(self._out)


def requeue(launcher=None) -> str | None:
    """Have the cluster start this job again; returns what was done, None where no cluster runs it.

    `launcher`: the handler that was there before, submitit's, which queues its own job and ends the process.
    """
    if callable(launcher) and type(getattr(launcher, "__self__", None)).__module__.startswith("submitit"):
        launcher(signal.SIGUSR2, None)
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        return f"job {job} could not be queued again ({error}); submit it again with resume=auto"
    if done.returncode:
        return f"job {job} could not be queued again ({done.stderr.strip()}); submit it again with resume=auto"
    return f"job {job} is queued again and goes on from there by itself"
