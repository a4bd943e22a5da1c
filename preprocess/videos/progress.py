"""What a run shows while it works: files, frames a second, rejected, time left."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

SCREEN_SECONDS, LOG_SECONDS = 0.1, 30.0  # between two drawings: on a terminal, and where each is a line of a log


class Bar:
    """A bar over files; `tick` is told the frames that all workers have read so far."""

    def __init__(self, what: str, files: int):
        self._every = SCREEN_SECONDS if sys.stderr.isatty() else LOG_SECONDS
        self._bar = tqdm(total=files, desc=what, unit="file", dynamic_ncols=True, mininterval=self._every)
        self._drawn = time.monotonic()
        self._rejected, self._begin, self._frames = 0, time.monotonic(), 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def file(self, rejected: bool) -> None:
        """A file is done."""
        self._rejected += rejected
        self._bar.update()
        self._show()

    def tick(self, frames: int) -> None:
        """Frames read since the last tick."""
        self._frames += frames
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        speed = self._frames / max(now - self._begin, 1e-3)
        due = now - self._drawn >= self._every
        self._bar.set_postfix_str(f"{self._frames} frames, {speed:.0f}/s, {self._rejected} rejected", refresh=due)
        self._drawn = now if due else self._drawn
