"""One process at a time in a folder: a second one is refused and told who holds it.

Use `hold_folder` around everything that writes into a folder which two processes could be given: a run folder, the
output folder of an importer. The lock is a file `.lock` in the folder. It is locked with `flock`, which the kernel
gives back when the process ends, however it ends, and it says who holds it: process, host, since when, what for.

How it is decided whether a lock that was left behind still holds:

* `flock` is refused: another process holds the folder.
* `flock` is granted and the file was written by this machine since it started: its process has ended, for the kernel
  has given the lock back. The folder is taken over, with a note.
* `flock` is granted and the file is from another machine, or from this one before it was started anew, or the file
  system has no `flock`: some shared file systems keep locks to each machine. A holder touches its file every
  `BEAT_SECONDS`. A file that nobody touches for `SILENT_SECONDS` has lost its process and is taken over, with a note.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK_NAME = ".lock"
BEAT_SECONDS = 5.0
INHERITED_SECONDS = 2.0  # a process forked just before its parent was killed has yet to close what it inherited
SILENT_SECONDS = 20.0  # of a holder that this machine's kernel knows nothing of
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # what file systems without flock answer

_held: set[int] = set()


def _forget_in_child() -> None:
    """Close the locks that a forked process inherits: else a data worker would keep the folder of a killed process."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@dataclass(frozen=True)
class Holder:
    """Who holds a folder. `boot` tells machines apart, and a machine before and after it was started anew."""

    pid: int
    host: str
    boot: str
    since: str
    purpose: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.purpose}, since {self.since})"


class FolderHeldError(OSError):
    """Another process holds the folder; `holder` is None where it has not said yet who it is."""

    def __init__(self, folder: Path, holder: Holder | None):
        who = holder or "another process"
        super().__init__(
            f"{folder} is in use by {who}; wait until it has ended, or stop it, or give another folder or run_id"
        )
        self.folder = folder
        self.holder = holder


@contextmanager
def hold_folder(folder: Path | str, purpose: str) -> Iterator[None]:
    """Hold `folder` for this process while the body runs; the folder is made where it is missing.

    A folder that was made for this and is still empty at the end is removed: what was refused before it began leaves
    nothing.

    Args:
        folder: what is held. Its subfolders are not held by themselves.
        purpose: what the holder does there, in a word or two ("training"), for the message of the one that is refused.

    Raises:
        FolderHeldError: another process holds it; the message says which, where and since when.
    """
    folder = Path(folder).absolute()  # the body may change the working directory
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    descriptor = _acquire(path)
    _held.add(descriptor)
    holder = Holder(os.getpid(), socket.gethostname(), _boot(), time.strftime("%Y-%m-%d %H:%M:%S"), purpose)
    ended = threading.Event()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        threading.Thread(target=_beat, args=(descriptor, ended), daemon=True, name="lock").start()
        yield
    finally:
        ended.set()
        if descriptor in _held:  # not so in a forked process
            if _is_at(descriptor, path):  # not so where the folder was moved, and another process holds a new one
                path.unlink(missing_ok=True)  # while it is still locked: nobody else has it as theirs
            _held.discard(descriptor)
            os.close(descriptor)
            for each in made:  # from the innermost outwards
                with suppress(OSError):  # something was written there
                    each.rmdir()


def find_holder(folder: Path | str) -> Holder | None:
    """Who says in `folder` that it holds it, or did when it ended without a word; None where nobody does."""
    return _read(Path(folder) / LOCK_NAME)


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # absent, or just being written
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: a name for the machine as good as there is
        return socket.gethostname()


def _runs(holder: Holder) -> bool:
    """Whether the holder's process runs, as far as this machine can tell."""
    return holder.boot != _boot() or Path(f"/proc/{holder.pid}").exists() or not Path("/proc/self").exists()


def _acquire(path: Path) -> int:
    """A locked descriptor of the file that lies at `path`."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file before we had it: there is a new one, or none


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path) -> None:
    certain = True  # whether a lock that is granted says that nobody holds it
    deadline = time.monotonic() + INHERITED_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno in _NO_LOCKS:
                certain = False
                break
            holder = _read(path)
            if holder is None or _runs(holder) or time.monotonic() > deadline:
                raise FolderHeldError(path.parent, holder) from error
        time.sleep(0.05)
    before = _read(path)
    if before is None:
        return
    if not certain or before.boot != _boot():
        _wait_for_silence(path, before)
    print(f"note: {path.parent} was held by {before}, which ended without giving it back; taken over", flush=True)


def _wait_for_silence(path: Path, holder: Holder) -> None:
    """Return when nobody has touched the file for `SILENT_SECONDS`; raise FolderHeldError when somebody does."""
    print(f"note: {path.parent} names {holder}; waiting {SILENT_SECONDS:.0f} s for a sign of life", flush=True)
    first = _touched(path)
    deadline = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(BEAT_SECONDS, SILENT_SECONDS) / 10)
        if _touched(path) != first:
            raise FolderHeldError(path.parent, _read(path) or holder)


def _touched(path: Path) -> int:
    try:
        with open(path) as file:  # opened anew each time: a network file system asks its server then
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0


def _beat(descriptor: int, ended: threading.Event) -> None:
    """Touch the file until `ended`, for those who look at it from another machine."""
    while not ended.wait(BEAT_SECONDS):
        try:
            os.utime(descriptor)
        except OSError:  # the disk is full or gone: the lock itself still holds
            pass
