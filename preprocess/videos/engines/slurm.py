"""engine=slurm: an array of SLURM jobs through submitit; each has the local engine work on its share of the files."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.videos.engines import Engine, Look, MakeTool, Move, Report, Task, Tick, Work


class SlurmEngine:
    """local: the engine inside a job. cluster: slurm, or local (processes here, to try it), or debug (this process).
    jobs: of the array. minutes, cpus, gpus, mem_gb: of each; at its time limit a job is queued again `requeues` times.
    logs: a folder that all machines see. poll_seconds: between looks at the jobs."""

    def __init__(
        self,
        *,
        local: Engine,
        cluster: str,
        jobs: int,
        partition: str | None,
        minutes: int,
        requeues: int,
        cpus: int,
        gpus: int,
        mem_gb: float,
        logs: str,
        poll_seconds: float,
    ):
        if cluster not in ("slurm", "local", "debug") or jobs < 1:
            raise ValueError(
                f"engine.cluster={cluster}, engine.jobs={jobs} (expected slurm, local or debug; 1 or more)"
            )
        self._local, self._cluster, self._jobs = local, cluster, jobs
        self._partition, self._requeues = partition, requeues
        self._asked = {"timeout_min": minutes, "cpus_per_task": cpus, "gpus_per_node": gpus, "mem_gb": mem_gb}
        self._gpus = gpus
        self._logs, self._poll_seconds = Path(logs), poll_seconds

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
        """See Engine; there are no ticks, and a job's tasks are reported at its end. Raises ChildProcessError where a
        job was lost, after the other jobs ended."""
        if not tasks:
            return
        count = min(self._jobs, len(tasks))
        work = Work(look, move, make_tool)
        shares = [
            Share(self._local, self.device, dict(list(enumerate(tasks))[first::count]), work) for first in range(count)
        ]
        lost: list[str] = []
        with _left_in_order():
            waiting = self._submitted(shares)
            try:
                while waiting:
                    for job in [job for job in waiting if job.done()]:
                        waiting.remove(job)
                        lost += self._collect(job, tasks, report)
                    if waiting:
                        time.sleep(self._poll_seconds)
            finally:
                for job in waiting:
                    job.cancel(check=False)
        if lost:
            raise ChildProcessError("\n".join([*lost, "what is done is kept: type the same command again"]))

    def _submitted(self, shares: list[Share]) -> list[Any]:
        try:
            import submitit
        except ImportError as error:
            raise ValueError("engine=slurm needs submitit: pip install 'joyvasa[cluster]'") from error
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            raise FileNotFoundError(
                "engine=slurm: no sbatch here (expected a machine that submits SLURM jobs); engine=local runs without, "
                "engine.cluster=local tries the jobs as processes here"
            )
        executor = submitit.AutoExecutor(self._logs, cluster=self._cluster, slurm_max_num_timeout=self._requeues)
        executor.update_parameters(name="joyvasa-videos", slurm_array_parallelism=len(shares), **self._asked)
        if self._partition is not None:
            executor.update_parameters(slurm_partition=self._partition)
        jobs = executor.submit_array(shares)
        print(f"jobs      {len(jobs)} ({jobs[0].job_id} …), logs in {self._logs}", flush=True)
        return jobs

    def _collect(self, job: Any, tasks: Sequence[Task], report: Report) -> list[str]:
        """Report what a job that ended says. Returns a sentence where it says nothing: it was lost."""
        error = job.exception()
        if error is not None:
            return [f"job {job.job_id} was lost ({type(error).__name__}), see {job.paths.stderr}"]
        said = job.result()
        for number, stage, result in said.reports:
            report(tasks[number], stage, result)
        if said.raised is not None:
            raise said.raised
        return []


@contextmanager
def _left_in_order() -> Iterator[None]:
    """A command that is told to end, or whose terminal is gone, cancels its jobs: two sets of them must not write to
    one folder."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Said:
    """Of a job: (number of the task, stage, result) of every report, and what a stage raised."""

    reports: list[tuple[int, str, Any]]
    raised: Exception | None


@dataclass(frozen=True)
class Share:
    """A job's tasks, by number. device: the kind it has to find. It is pickled."""

    local: Engine
    device: str
    tasks: dict[int, Task]
    work: Work

    def __call__(self) -> Said:
        from submitit.core.utils import UncompletedJobError

        numbers = {task.name: number for number, task in self.tasks.items()}
        reports: list[tuple[int, str, Any]] = []

        def report(task: Task, stage: str, result: Any) -> None:
            reports.append((numbers[task.name], stage, result))

        try:
            if self.local.device != self.device:
                raise ValueError(f"a job found {self.local.device} (expected {self.device}): see engine.gpus")
            work = self.work
            self.local.run(list(self.tasks.values()), work.look, work.move, work.make_tool, report)
        except UncompletedJobError:  # its time was over for the last time
            raise
        except Exception as error:  # raised again in the parent
            return Said(reports, error)
        return Said(reports, None)

    def checkpoint(self) -> Any:
        """At the time limit submitit queues what this returns: the stages find what was done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
