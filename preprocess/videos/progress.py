"""What a run shows while it works: frames of how many, files, rejected, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from joyvasa.progress import WorkBar
from preprocess.videos.frames import stride
from preprocess.videos.journal import Journal
from preprocess.videos.task import Task

PASSES = 2  # over a file's frames: to look for faces, to extract motion
ASKED_AT_ONCE = 16  # journals of files whose length is not known yet; workers take files in their order
ASK_SECONDS = 1.0  # between two such looks


class Bar:
    """A bar over the frames of files. Workers note a file's length in its journal as soon as they have probed it; until
    then it counts as the mean of the others."""

    def __init__(self, what: str, tasks: Sequence[Task], length: Callable[[Task], float | None]):
        """Open the bar.

        Args:
            what: stands before it.
            tasks: the files.
            length: frames that are to be worked through of a file, None as long as that is not known.
        """
        self._tasks = {task.name: task for task in tasks}
        self._length = length
        self._rejected = 0
        self._asked = time.monotonic()
        self._bar = WorkBar(what, {task.name: length(task) for task in tasks})

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.bar.close()

    def file(self, task: Task, rejected: bool) -> None:
        """A file is done."""
        self._rejected += rejected
        self._ask(task.name)
        self._bar.end(task.name)
        self._bar.note(f"{self._rejected} rejected")

    def tick(self, task: Any, frames: int) -> None:
        """Frames of a file worked through since the last tick."""
        self._bar.count(task.name, frames)
        if time.monotonic() - self._asked >= ASK_SECONDS:
            for name in self._bar.unknown[:ASKED_AT_ONCE]:
                self._ask(name)
            self._asked = time.monotonic()

    def _ask(self, name: str) -> None:
        length = self._length(self._tasks[name])
        if length is not None:
            self._bar.expect(name, length)


def frames_to_work(task: Task) -> float | None:
    """Frames that `look` and `move` read of a file at most; None before it was probed."""
    probed = Journal.open(task.folder, task.source.path).probed
    if probed is None:
        return None
    return PASSES * probed.frames / stride(probed.fps, task.settings.decoding.fps_limit)


def frames_to_film(task: Task) -> float | None:
    """Frames of the pieces that a file's videos show."""
    journal = Journal.open(task.folder, task.source.path)
    pieces = [verdict.piece for verdict in journal.verdicts if verdict.file in task.films]
    return sum(piece.stop - piece.start for piece in pieces) or None
