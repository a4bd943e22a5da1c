"""Ctrl-C during training: finish the step, save, and say how to go on."""

from __future__ import annotations

import os
import signal
import threading

from lightning.pytorch.callbacks import Checkpoint

from joyvasa.lit.checkpoints import Checkpoints, between_steps


class TrainingInterrupted(Exception):
    """Raised at a step's end after Ctrl-C or SIGTERM; `checkpoint` holds the state, to be resumed exactly."""

    def __init__(self, checkpoint: str, signal_number: int):
        super().__init__(checkpoint)
        self.checkpoint, self.exit_code = checkpoint, 128 + signal_number


class Interrupt(Checkpoint):
    """First Ctrl-C (or SIGTERM): save at the end of the running step and stop. A second one stops at once.

    A `Checkpoint` because Lightning runs those after all other callbacks: nothing of the step is left out.
    """

    def __init__(self):
        self._received: int | None = None
        self._previous: dict = {}
        self._process = os.getpid()

    def _handle(self, number: int, frame) -> None:
        if os.getpid() != self._process:  # a data worker, forked with these handlers: Ctrl-C is not meant for it
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self._received is not None:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._received = number
        print("\nstopping: finishing this step, then saving a checkpoint (once more to stop at once)", flush=True)

    def on_train_start(self, trainer, pl_module) -> None:
        self._process = os.getpid()
        if threading.current_thread() is threading.main_thread():
            self._previous = {n: signal.signal(n, self._handle) for n in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if between_steps(trainer) and self._asked(trainer):
            # Lightning writes this step's numbers after this hook; the curves of the resumed run would lack them.
            trainer._logger_connector.update_train_step_metrics()
            self._stop(trainer)

    def on_validation_end(self, trainer, pl_module) -> None:
        if not trainer.sanity_checking and self._asked(trainer):
            self._stop(trainer)

    def _asked(self, trainer) -> bool:
        """The same on every rank, whichever received the signal."""
        return trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)

    def _stop(self, trainer) -> None:
        keeper = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
        raise TrainingInterrupted(str(keeper.keep(trainer)), self._received or signal.SIGINT)

    def teardown(self, trainer, pl_module, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
