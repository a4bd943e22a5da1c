"""Ctrl-C during training: finish the step, save, and say how to go on."""

from __future__ import annotations

import signal
import threading

import lightning.pytorch as pl

from joyvasa.lit.checkpoints import Checkpoints


class TrainingInterrupted(Exception):
    """Raised at a step's end after Ctrl-C or SIGTERM; `checkpoint` holds the state, to be resumed exactly."""

    def __init__(self, checkpoint: str, signal_number: int):
        super().__init__(checkpoint)
        self.checkpoint, self.exit_code = checkpoint, 128 + signal_number


class Interrupt(pl.Callback):
    """First Ctrl-C (or SIGTERM): save at the end of the running step and stop. A second one stops at once."""

    def __init__(self):
        self._received: int | None = None
        self._previous: dict = {}

    def _handle(self, number: int, frame) -> None:
        if self._received is not None:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._received = number
        print("\nstopping: finishing this step, then saving a checkpoint (once more to stop at once)", flush=True)

    def on_train_start(self, trainer, pl_module) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {n: signal.signal(n, self._handle) for n in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        stop = trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)
        if stop and not trainer.fit_loop._should_accumulate():
            keeper = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
            raise TrainingInterrupted(str(keeper.keep(trainer)), self._received or signal.SIGINT)

    def teardown(self, trainer, pl_module, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
