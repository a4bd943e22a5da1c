"""Where the stages run: `local` (processes of this machine), `ray_data` (a Ray Data job), `slurm` (an array of jobs).

An engine takes every task through `look`, then, where look returned True, through `move`. The stages are functions of a
module, or functools.partial of such: they are pickled. They handle a file's own faults themselves, so what they raise
(disk full, a fault of the program) stops the run. What is written is the same whatever the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LOOK, MOVE = "look", "move"

Look = Callable[[Any], Any]  # (task) -> result: without a tool, on a CPU. Results are small and picklable
Move = Callable[[Any, Any], Any]  # (task, tool) -> result
MakeTool = Callable[[str], Any]  # ("cpu", "cuda:1") -> tool: once a process, before its first move
Report = Callable[[Any, str, Any], None]  # (task, "look" or "move", the result, or Died)
Tick = Callable[[Any, int], None]  # (task, frames of it worked through since its last tick)


class Task(Protocol):
    """One file's work: small and picklable. Names are unique in a run."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Work:
    """What is done with a task."""

    look: Look
    move: Move
    make_tool: MakeTool


class Engine(Protocol):
    @property
    def device(self) -> str:
        """What the tool computes on, "cpu" or "cuda": its numbers depend on that, and on nothing else here."""
        ...

    def run(
        self,
        tasks: Sequence[Task],
        look: Look,
        move: Move,
        make_tool: MakeTool,
        report: Report,
        tick: Tick | None = None,
    ) -> None:
        """Do all of it; return when done. report and tick are called here, in the parent: report as stages end, in no
        certain order; tick every half second, by engines that know. Raises what a stage raised, and KeyboardInterrupt,
        after the workers were stopped."""
        ...
