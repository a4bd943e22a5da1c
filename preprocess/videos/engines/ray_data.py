"""engine=ray: the stages as a Ray Data job, on this machine or on the Ray cluster that RAY_ADDRESS names.

A Ray worker has a process of its own for the stages, as the local engine's: a file that kills it is told as there, and
what Ray itself repeats is what a machine that was lost had begun.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from preprocess.videos.engines import LOOK, MOVE, Look, MakeTool, Move, Report, Task, Tick, Work
from preprocess.videos.engines.slot import Slot

Row = dict[str, Any]  # number of the task, the task, what each stage said: pickled


class RayEngine:
    """workers: actors with a CPU each, which look, and without GPUs move; None: one a CPU of the cluster, less one for
    each GPU and one that is left free: Ray Data stands still without. gpus: actors with a GPU and a CPU each, which
    move. threads: of torch and OpenCV in each. hung_seconds: as of the local engine."""

    def __init__(self, *, workers: int | None, gpus: int, threads: int, hung_seconds: float):
        self._workers, self._gpus = workers, gpus
        self._how = threads, hung_seconds

    @property
    def device(self) -> str:
        return "cuda" if self._gpus else "cpu"

    def run(
        self,
        tasks: Sequence[Task],
        look: Look,
        move: Move,
        make_tool: MakeTool,
        report: Report,
        tick: Tick | None = None,
    ) -> None:
        """See Engine; there are no ticks, and both stages of a task are reported at its end."""
        if not tasks:
            return
        with _cluster() as ray:
            for row in self._rows(ray, tasks, pickle.dumps(Work(look, move, make_tool))):
                for stage in (LOOK, MOVE):
                    if row[stage]:
                        report(tasks[row["number"]], stage, _result(row[stage]))

    def _rows(self, ray: Any, tasks: Sequence[Task], work: bytes) -> Iterator[Row]:
        workers = self.places(ray.cluster_resources())
        items = [{"number": n, "task": pickle.dumps(task), LOOK: b"", MOVE: b""} for n, task in enumerate(tasks)]
        rows = ray.data.from_items(items, override_num_blocks=len(items))  # each on its own: files differ in length
        stages = (LOOK,) if self._gpus else (LOOK, MOVE)
        pool = ray.data.ActorPoolStrategy(size=workers)
        rows = rows.map(_Place, fn_constructor_args=(work, stages, "cpu", *self._how), compute=pool, num_cpus=1)
        if self._gpus:
            setup = (work, (MOVE,), "cuda", *self._how)
            pool = ray.data.ActorPoolStrategy(size=self._gpus)
            rows = rows.map(_Place, fn_constructor_args=setup, compute=pool, num_cpus=1, num_gpus=1)
        yield from rows.iter_rows()

    def places(self, resources: dict[str, float]) -> int:
        """Workers, by a cluster's resources. Raises ValueError where actors would wait for ever."""
        cpus, there = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        if self._gpus > there:
            raise ValueError(f"engine.gpus={self._gpus} of a Ray cluster that has {there}; lower it, or add machines")
        workers = self._workers or max(1, cpus - self._gpus - 1)
        if workers + self._gpus >= cpus:
            raise ValueError(
                f"engine=ray: {workers} workers and {self._gpus} on GPUs for {cpus} CPUs of the cluster (expected "
                "fewer than CPUs: Ray Data stands still without a free one); lower engine.workers, or use engine=local"
            )
        return workers


class _Place:
    """An actor. Its process does the stages, as a slot of the local engine."""

    def __init__(self, work: bytes, stages: tuple[str, ...], device: str, threads: int, hung_seconds: float):
        self._slot = Slot(pickle.loads(work), stages, device, threads, hung_seconds)

    def __call__(self, row: Row) -> Row:
        if LOOK in self._slot.stages:
            row = row | {LOOK: _said(self._slot, LOOK, row["task"])}
        raised, result = pickle.loads(row[LOOK])
        if MOVE in self._slot.stages and not raised and result is True:
            row = row | {MOVE: _said(self._slot, MOVE, row["task"])}
        return row


def _said(slot: Slot, stage: str, task: bytes) -> bytes:
    """(raised, result). What a stage raises travels as a result: so it is the same error in the parent, and Ray does
    not try again."""
    try:
        return pickle.dumps((False, slot.do(stage, pickle.loads(task))))
    except Exception as error:
        return pickle.dumps((True, error))


def _result(said: bytes) -> Any:
    raised, result = pickle.loads(said)
    if raised:
        raise result
    return result


@contextmanager
def _cluster() -> Iterator[Any]:
    """The module `ray`, connected; a cluster that was started here ends here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError("engine=ray needs Ray (600 MB): pip install 'joyvasa[cluster]'") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
