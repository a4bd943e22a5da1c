"""Exceptions that end the training, usually raised by all ranks at the same point: see `distributed.WatchedDDP`."""

from __future__ import annotations

from pathlib import Path


class NotFiniteError(ValueError):
    """A loss, gradient, weight or input is NaN or infinite.

    Args:
        what: one sentence that names the step and the term.
        from_data: whether an input array is the cause, so that another learning rate would not help.
        everywhere: whether all ranks raise it; one that is alone has to tell the others.
    """

    def __init__(self, what: str, from_data: bool = False, everywhere: bool = True):
        super().__init__(what)
        self.what = what
        self.from_data = from_data
        self.everywhere = everywhere


class TrainingInterrupted(Exception):
    """Raised after a signal, at the end of a step or while waiting for a batch.

    `checkpoint` holds the state, to be resumed exactly; None where none could be saved. `requeued` is what was arranged
    for that, where the cluster starts the job again by itself.
    """

    def __init__(self, checkpoint: Path | None, signal_number: int, requeued: str | None):
        super().__init__(str(checkpoint))
        self.checkpoint = checkpoint
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
        self.requeued = requeued
        self.everywhere = checkpoint is not None
