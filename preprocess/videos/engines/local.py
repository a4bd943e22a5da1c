"""engine=local: worker processes of this machine, one a core; with GPUs one a GPU that moves, and others that look."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from preprocess.videos.engines import LOOK, MOVE, Look, MakeTool, Move, Report, Task, Tick, Work
from preprocess.videos.engines.slot import Slot, dead

POLL_SECONDS = 0.5


def cores() -> int:
    """Those that this process may use: fewer than the machine has inside a SLURM job."""
    return len(os.sched_getaffinity(0))


def devices_of(devices: str | Sequence[str]) -> tuple[str, ...]:
    """`auto` -> every GPU by name ("cuda:0", ...), or ("cpu",) without one; a list is taken as it is."""
    if devices != "auto":
        return (devices,) if isinstance(devices, str) else tuple(devices)
    import torch

    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)


class LocalEngine:
    """workers: processes that look (on a CPU they move too); None: one a core, less one for each GPU. threads: of torch
    and OpenCV in each. devices: as `devices_of`. hung_seconds: a process that counts no frame for so long is ended, by
    `clock`."""

    def __init__(
        self,
        *,
        workers: int | None,
        threads: int,
        devices: str | Sequence[str],
        hung_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        if (workers is not None and workers < 1) or threads < 1 or hung_seconds <= 0:
            raise ValueError(
                f"engine.workers={workers}, engine.threads={threads}, engine.hung_seconds={hung_seconds} "
                "(expected 1 or more, or workers=null; above 0)"
            )
        self._workers, self._threads, self._devices = workers, threads, devices
        self._hung_seconds, self._clock = hung_seconds, clock

    @property
    def device(self) -> str:
        return "cuda" if self._gpus() else "cpu"

    def run(
        self,
        tasks: Sequence[Task],
        look: Look,
        move: Move,
        make_tool: MakeTool,
        report: Report,
        tick: Tick | None = None,
    ) -> None:
        """See Engine. A task whose process died is tried once more at the end, with nothing else running."""
        if not tasks:
            return
        shift = _Shift(self._slots(Work(look, move, make_tool)), report, tick)
        try:
            shift.work_through([(LOOK, task) for task in tasks])
            shift.work_through_alone()
        finally:
            for slot in shift.slots:
                slot.stop()

    def _gpus(self) -> list[str]:
        return [device for device in devices_of(self._devices) if device != "cpu"]

    def _slots(self, work: Work) -> list[Slot]:
        gpus = self._gpus()
        workers = self._workers or max(1, cores() - len(gpus))
        beside = (LOOK,) if gpus else (LOOK, MOVE)
        how = self._threads, self._hung_seconds, self._clock
        movers = [Slot(work, (MOVE,), gpu, *how) for gpu in gpus]
        return movers + [Slot(work, beside, "cpu", *how) for _ in range(workers)]


class _Shift:
    """One run's state: who works at what, and what waits."""

    def __init__(self, slots: list[Slot], report: Report, tick: Tick | None):
        self.slots, self._report, self._tick = slots, report, tick
        self._waiting: dict[str, deque[Task]] = {LOOK: deque(), MOVE: deque()}
        self._busy: dict[Future, tuple[Slot, str, Task]] = {}
        self._aside: list[tuple[str, Task]] = []
        self._last_try = False
        self._ticked: dict[Slot, int] = {}

    def work_through(self, jobs: Sequence[tuple[str, Task]]) -> None:
        for stage, task in jobs:
            self._waiting[stage].append(task)
        while self._busy or any(self._waiting.values()):
            self._hand_out()
            done, _ = wait(self._busy, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._settle(future)
            self._count()

    def work_through_alone(self) -> None:
        """What died before, one by one, with all memory to itself."""
        if self._aside:
            for slot in self.slots:
                slot.stop()
        self._last_try = True
        for job in self._aside:
            self.work_through([job])

    def _hand_out(self) -> None:
        """A file that was looked at moves before another one is begun."""
        working = {slot for slot, _, _ in self._busy.values()}
        for slot in self.slots:
            stage = next((stage for stage in (MOVE, LOOK) if stage in slot.stages and self._waiting[stage]), None)
            if stage is not None and slot not in working:
                task = self._waiting[stage].popleft()
                self._busy[slot.submit(stage, task)] = (slot, stage, task)

    def _settle(self, future: Future) -> None:
        slot, stage, task = self._busy.pop(future)
        self._tell(slot, task)
        if isinstance(future.exception(), BrokenProcessPool):
            self._died(slot, stage, task)
            return
        result = future.result()  # raises what the stage raised
        self._report(task, stage, result)
        if stage == LOOK and result is True:
            self._waiting[MOVE].append(task)

    def _died(self, slot: Slot, stage: str, task: Task) -> None:
        how = slot.burial()
        if how is None:
            self._waiting[stage].appendleft(task)
        elif self._last_try:
            self._report(task, stage, dead(how))
        else:
            self._aside.append((stage, task))

    def _count(self) -> None:
        for slot, _, task in self._busy.values():
            slot.watch()
            self._tell(slot, task)

    def _tell(self, slot: Slot, task: Task) -> None:
        """A slot has one task at a time: what it counted since it was asked last is of that one."""
        frames = slot.frames
        if self._tick is not None:
            self._tick(task, frames - self._ticked.get(slot, 0))
        self._ticked[slot] = frames
