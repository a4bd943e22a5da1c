"""Where uploads and films of the page lie, and how they go: when a session ends, by age, and all when the page stops.

FOLDER/…                   what browsers sent, and small pictures shown to them (gradio names the folders)
FOLDER/films/SESSION/JOB/  inputs of a job while it runs, and its film
FOLDER/examples/           what the page itself made for its visitors to try; stays until the page stops
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

PREFIX = "joyvasa-web-"
SWEEPS = 10  # in the time a file is kept


class Folder:
    """A folder of its own below `parent` (None: the system's temporary folder), gone after `close`."""

    def __init__(self, parent: Path | None, *, keep_seconds: float):
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        self.films = self.root / "films"
        self.films.mkdir()
        self.examples = self.root / "examples"
        self.keep_seconds = keep_seconds
        self._working: set[Path] = set()
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_often, name="sweeper", daemon=True)
        self._sweeper.start()

    @contextmanager
    def job(self, owner: str) -> Iterator[Path]:
        """A new folder for a job's inputs and film; of what lies in it only films stay, and nothing if it fails."""
        place = self._session(owner)
        place.mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=place))
        self._working.add(place)
        try:
            yield place
            shutil.rmtree(place / "inputs", ignore_errors=True)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            self._working.discard(place)

    def forget(self, owner: str) -> None:
        """Remove the films of a session, but what a job still works in: that job removes it itself."""
        for place in self._session(owner).glob("*"):
            if place not in self._working:
                shutil.rmtree(place, ignore_errors=True)

    def sweep(self, now: float | None = None) -> int:
        """Remove the files older than `keep_seconds`, and the folders that were empty as long; returns how many."""
        oldest, removed = (time.time() if now is None else now) - self.keep_seconds, 0
        for path in sorted(self.root.rglob("*"), reverse=True):  # what lies in a folder before the folder
            if path == self.films or self.examples in (path, *path.parents):
                continue
            if self._working.intersection((path, *path.parents)):
                continue
            try:
                if path.lstat().st_mtime < oldest:
                    path.rmdir() if path.is_dir() else path.unlink()
                    removed += 1
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):  # a folder still in use; gone meanwhile
                    raise
        return removed

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        self._sweeper.join()
        shutil.rmtree(self.root, ignore_errors=True)

    def _session(self, owner: str) -> Path:
        # What a browser says of itself is no file name.
        return self.films / sha256(owner.encode()).hexdigest()[:16]

    def _sweep_often(self) -> None:
        while not self._closed.wait(self.keep_seconds / SWEEPS):
            self.sweep()
