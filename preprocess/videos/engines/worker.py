"""What runs inside a worker: the stages, and the tool that `move` needs, made once a process."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from typing import Any

from joyvasa.io.console import make_output_printable
from preprocess.videos.engines import LOOK, Work, progress

_worker: Worker | None = None


class Worker:
    """Stages of one process. device: of its tool. threads: of torch and of OpenCV."""

    def __init__(self, work: Work, device: str, threads: int):
        _limit_threads(threads)
        self._work, self._device = work, device
        self._tool: Any = None

    def do(self, stage: str, task: Any) -> Any:
        if stage == LOOK:
            return self._work.look(task)
        if self._tool is None:
            self._tool = self._work.make_tool(self._device)
        return self._work.move(task, self._tool)


def begin(work: Work, device: str, threads: int, counter: Any) -> None:
    """First thing in a process of the local engine."""
    global _worker
    make_output_printable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress.count_in(counter)
    _worker = Worker(work, device, threads)


def ready() -> bool:
    """The process began: its modules were found."""
    return _worker is not None


def do(stage: str, task: Any) -> Any:
    assert _worker is not None  # begin ran
    return _worker.do(stage, task)


def _limit_threads(threads: int) -> None:
    """Otherwise each of many processes starts a thread a core. Torch takes the variable when it is imported, and a word
    where the stages imported it already."""
    import cv2

    cv2.setNumThreads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _end_with_parent() -> None:
    """A parent that is killed leaves nobody to write beside the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
