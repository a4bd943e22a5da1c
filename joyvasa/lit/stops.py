"""Exceptions that every rank raises at the same point of the training: no rank has left the others alone."""

from __future__ import annotations

from pathlib import Path


class TrainingStopped(Exception):
    """Base of what all ranks raise together; see `distributed.WatchedDDP.on_exception`."""


class NotFiniteError(TrainingStopped, ValueError):
    """A loss, gradient, weight or input is NaN or infinite.

    Args:
        what: one sentence that names the step and the term.
        from_data: whether an input array is the cause, so that another learning rate would not help.
    """

    def __init__(self, what: str, from_data: bool = False):
        super().__init__(what)
        self.what = what
        self.from_data = from_data


class TrainingInterrupted(TrainingStopped):
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
