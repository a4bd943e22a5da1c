"""The line in front of the studio: jobs in order of arrival, a few at once, a stated number waiting, no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from joyvasa.animate.pipeline import Cancelled, OnStep

WAITING = "waiting"


class Refused(ValueError):
    """The job was not taken; says why and what to do."""


class Job:
    """One piece of work. `phase`, `done` and `total` say how far it is; `future` has its result or its exception."""

    future: Future

    def __init__(self, owner: str):
        self.owner, self.phase, self.done, self.total = owner, WAITING, 0, 0
        self.since = time.monotonic()  # when the phase began
        self._stop = threading.Event()

    def cancel(self) -> None:
        """End the work at its next step; a job that has not started leaves the line at once."""
        self._stop.set()
        self.future.cancel()

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def enter(self, phase: str) -> OnStep:
        """Begin a phase; returns what is to be told of its steps. Both raise Cancelled once the job is cancelled."""

        def on_step(done: int, total: int) -> None:
            if self.cancelled:
                raise Cancelled(phase)
            self.done, self.total = done, total

        on_step(0, 0)
        self.phase, self.since = phase, time.monotonic()
        return on_step


class Line:
    """at_once: jobs that run at the same time. waiting: how many more may stand in line."""

    def __init__(self, *, at_once: int, waiting: int):
        self.at_once, self.waiting = at_once, waiting
        self._pool = ThreadPoolExecutor(at_once, "film")
        self._lock = threading.Lock()
        self._jobs: list[Job] = []

    def add(self, owner: str, work: Callable[[Job], Any]) -> Job:
        """Take a job, to run `work(job)` when its turn comes.

        Raises Refused where the line is full, or its owner has a job already.
        """
        with self._lock:
            there = self.unfinished()
            if any(job.owner == owner and not job.cancelled for job in there):
                raise Refused("Your last film is still being made; cancel it, or wait until it is done.")
            if len(there) >= self.at_once + self.waiting:
                raise Refused(
                    f"{len(there)} films are being made or waiting, which is all this machine takes; "
                    "try again in a few minutes."
                )
            job = Job(owner)
            job.future = self._pool.submit(work, job)
            self._jobs = [*there, job]
        return job

    def ahead(self, job: Job) -> int:
        """How many jobs came before this one and have not ended."""
        there = self.unfinished()
        return there.index(job) if job in there else 0

    def cancel_owner(self, owner: str) -> bool:
        """Whether there was anything to cancel."""
        own = [job for job in self.unfinished() if job.owner == owner]
        for job in own:
            job.cancel()
        return bool(own)

    def close(self) -> None:
        """Cancel all jobs and wait until each has ended."""
        for job in self.unfinished():
            job.cancel()
        self._pool.shutdown()

    def unfinished(self) -> list[Job]:
        """Jobs that run or wait, in order of arrival."""
        return [job for job in self._jobs if not job.future.done()]
