"""What reaches the parent from workers beside results: that one died, and how far they are inside their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_counter: Any = None


@dataclass(frozen=True)
class Died:
    """Stands for a stage's result where the process working on the task died twice."""

    reason: str


def count_in(counter: Any) -> None:
    """From now on this process counts in `counter` (a shared integer with `.value`). A process has its own, without a
    lock: one that is killed while it holds a lock would stop all others."""
    global _counter
    _counter = counter


def advance(frames: int) -> None:
    """Stages call this, from one thread, now and then. Without a counter (other engines, tests) nothing happens."""
    if _counter is not None:
        _counter.value += frames
