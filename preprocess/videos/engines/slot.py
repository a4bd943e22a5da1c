"""A place for one worker process. One that is killed, or hangs, takes only its own task with it, and is replaced."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from preprocess.videos.engines import Work, worker
from preprocess.videos.engines.progress import Died

CONTEXT = multiprocessing.get_context("spawn")  # CUDA does not survive a fork, nor do threads
TO_ALL = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
POLLS, POLL_SECONDS = 6000, 0.01  # a minute, on a machine that is busy
WATCH_SECONDS = 0.5
STARTS = 2  # a process that dies so often in a row before it began will never begin


class Slot:
    """stages: what it may do. device: of its tool. hung_seconds: without a frame, then its process is ended. clock: in
    seconds, of any beginning. The process starts with the first task."""

    def __init__(
        self,
        work: Work,
        stages: tuple[str, ...],
        device: str,
        threads: int,
        hung_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock = clock
        self.stages, self._hung_seconds = stages, hung_seconds
        self._seen, self._hung = (0, 0.0), False  # frames, and when there were so many; whether the process was ended
        self._setup = (work, device, threads, counter := CONTEXT.RawValue("q", 0))
        self._counter = counter
        self._executor: ProcessPoolExecutor | None = None
        self._process: Any = None
        self._began: Future | None = None
        self._failed_starts = 0

    @property
    def frames(self) -> int:
        """Frames worked through here so far."""
        return self._counter.value

    def submit(self, stage: str, task: Any) -> Future:
        """Its exception is BrokenProcessPool where the process died: ask `burial` why."""
        if self._executor is None:
            self._start()
        assert self._executor is not None
        self._seen = self.frames, self._clock()
        try:
            return self._executor.submit(worker.do, stage, task)
        except BrokenProcessPool as error:  # killed while it had nothing to do
            future: Future = Future()
            future.set_exception(error)
            return future

    def do(self, stage: str, task: Any) -> Any:
        """Wait for the result; Died where two processes died. Raises what the stage raised."""
        ends: list[str] = []
        while len(ends) < 2:
            try:
                future = self.submit(stage, task)
                while not wait([future], timeout=WATCH_SECONDS).done:
                    self.watch()
                return future.result()
            except BrokenProcessPool:
                ends += filter(None, [self.burial()])
        return dead(ends[-1])

    def watch(self) -> None:
        """To be called now and then while a task is worked on: ends a process that has counted no frame for too long,
        as a decoder does that hangs in a broken film."""
        frames, since = self._seen
        if self.frames != frames or not self._began.done():
            self._seen = self.frames, self._clock()
        elif self._clock() - since > self._hung_seconds and not self._hung:
            self._hung = True
            self._process.kill()

    def burial(self) -> str | None:
        """After BrokenProcessPool: clear the place for a new process. Returns how the old one ended, None where it had
        not begun (its task may try again). Raises ChildProcessError where processes never begin."""
        began = self._began is not None and self._began.done() and self._began.exception() is None
        self._process.join()
        # The executor's own thread may have collected the process first, and not noted the code yet.
        for _ in range(POLLS):
            if self._process.exitcode is not None:
                break
            time.sleep(POLL_SECONDS)
        ended = _how(self._process.exitcode)
        if self._hung:
            ended, self._hung = f"came no frame further in {self._hung_seconds:g} s and was ended", False
        self.stop()
        if began:
            self._failed_starts = 0
            return ended
        self._failed_starts += 1
        if self._failed_starts == STARTS:
            raise ChildProcessError(
                f"a worker process {ended} before it began, {STARTS} times: its own error stands above; "
                "without one, memory is short: fewer engine.workers need less"
            )
        return None

    def stop(self) -> None:
        """End the process at once, whatever it is at."""
        if self._executor is not None:
            self._process.kill()
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _start(self) -> None:
        with _signals_blocked():  # multiprocessing starts a process of its own here, which must live too
            self._executor = ProcessPoolExecutor(1, CONTEXT, initializer=worker.begin, initargs=self._setup)
        before = set(multiprocessing.active_children())
        with _signals_blocked():
            self._began = self._executor.submit(worker.ready)
        (self._process,) = set(multiprocessing.active_children()) - before


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process started inside never sees what a terminal or SLURM sends to all: the parent decides, and ends it. The
    parent gets its own right after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dead(how: str) -> Died:
    return Died(f"the process working on it {how}, and one before it died too")


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"
