"""The processes that read batches: room for what they send, why one has died, and whether a batch is waited for.

Batches travel from a worker through shared memory (/dev/shm). `require_room` looks before the workers start whether it
is large enough; `share` puts a batch there in the worker itself, where a failure can be told: PyTorch would do it in a
thread of a queue, which prints the error, drops the batch and lets the training wait for ever.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import re
import resource
import signal
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from torch import Tensor
from torch.utils.data._utils import signal_handling

SHARED_MEMORY = Path("/dev/shm")
REAP_SECONDS = 1.0
TERM_SECONDS = 60
STALL_SECONDS = 60.0  # a wait that long is told, with what the workers do
_TORCH_SAYS = re.compile(r"DataLoader worker \(pid")
_STATES = {"R": "running", "S": "waiting", "D": "waiting for a disk", "T": "stopped", "t": "stopped", "Z": "ended"}

_iterators: weakref.WeakSet = weakref.WeakSet()
_ENDED = (None, 0, -signal.SIGTERM, -signal.SIGALRM)  # it runs, or was ended by the training
_started: list[BaseProcess] = []  # kept after they have ended: PyTorch throws its own away before anyone asks why


class WorkerError(ChildProcessError):
    """A data worker has died, could not be started, or could not hand over its batch."""


class SharedMemoryError(OSError):
    """/dev/shm is too small for what the data workers send."""


class BatchWait:
    """Whether the main thread waits for a batch of worker processes, and since when (`time.monotonic`)."""

    def __init__(self):
        self.since: float | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.since = time.monotonic()
        try:
            yield
        finally:
            self.since = None

    def seconds(self) -> float:
        """How long the present wait has lasted; 0 where nobody waits."""
        since = self.since
        return 0.0 if since is None else time.monotonic() - since


WAIT = BatchWait()


def outlive_signals() -> None:
    """In a worker: do not end by a SIGTERM that was sent to all processes of a job, before the training has saved.

    The training ends its workers by other means, and only one that does not answer by this signal: after `TERM_SECONDS`
    it works.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(TERM_SECONDS))


def require_room(needed: int, folder: Path = SHARED_MEMORY) -> None:
    """Raise SharedMemoryError unless `folder` has `needed` free bytes; nothing is known where there is no such folder.

    Args:
        needed: bytes of all batches that can be on their way at once, of all ranks of this machine.
        folder: where shared memory lies.
    """
    if needed == 0 or not folder.is_dir():
        return
    room = os.statvfs(folder)
    size = room.f_blocks * room.f_frsize
    free = room.f_bavail * room.f_frsize
    if size == 0 or free >= needed:  # a size of 0: without a limit
        return
    raise SharedMemoryError(
        f"{folder}: {_mebibytes(free)} free of {_mebibytes(size)}, but batches of the data workers need up to "
        f"{_mebibytes(needed)}; {advice(needed)}"
    )


def advice(needed: int) -> str:
    """What helps where shared memory is too small."""
    gigabytes = max(1, -(-needed // 2**30))
    return (
        f"start a container with --shm-size={gigabytes}g (or --ipc=host), free what others keep there, or set "
        "data.num_workers=0, fewer workers or a smaller data.batch_size"
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def share(batch: dict) -> None:
    """Move the arrays of a batch to shared memory, in this worker.

    Raises:
        SharedMemoryError: there is no room, or no more files may be open.
    """
    size = 0
    for value in batch.values():
        if isinstance(value, Tensor):
            size += value.numel() * value.element_size()
    for value in batch.values():
        if not isinstance(value, Tensor):
            continue
        try:
            value.share_memory_()
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            if "Too many open files" in reason:
                raise SharedMemoryError(
                    f"a data worker may open no more files ({reason}): raise the limit (ulimit -n, now "
                    f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]}), or lower data.num_workers"
                ) from error
            raise SharedMemoryError(
                f"{SHARED_MEMORY}: no room for a batch of {_mebibytes(size)} ({_free()}; {reason}); {advice(size)}"
            ) from error


def _free() -> str:
    if not SHARED_MEMORY.is_dir():
        return "its size is not known"
    room = os.statvfs(SHARED_MEMORY)
    free = _mebibytes(room.f_bavail * room.f_frsize)
    return f"{free} free of {_mebibytes(room.f_blocks * room.f_frsize)}"


@contextmanager
def starting_workers() -> Iterator[None]:
    """Remember the processes that the body starts. Raises WorkerError where the system refuses to start one."""
    before = set(multiprocessing.active_children())
    try:
        yield
    except OSError as error:
        raise WorkerError(
            f"the data workers could not be started ({error}); the system has no memory, processes or open files "
            "left for them (ulimit -a shows the limits): lower data.num_workers, or set data.num_workers=0"
        ) from error
    finally:
        _started.extend(set(multiprocessing.active_children()) - before)
        # Before multiprocessing's own end, which asks them by SIGTERM and waits.
        multiprocessing.util.Finalize(None, _kill_workers, exitpriority=100)


def remember(iterator: Iterator) -> None:
    """An iterator of a DataLoader with workers, so that `abandon_dead` finds it."""
    _iterators.add(iterator)


def abandon_dead() -> None:
    """Let no one wait for workers of which one was killed.

    PyTorch's shut-down takes a lock that all of them share; a worker that was killed with it in its hands has it for
    ever. Uses private names of PyTorch's iterator, as of 2.13.
    """
    for iterator in list(_iterators):
        if all(process.exitcode in _ENDED for process in iterator._workers):
            continue
        _iterators.discard(iterator)
        if iterator._worker_pids_set:
            iterator._worker_pids_set = False
            signal_handling._remove_worker_pids(id(iterator))  # the rest is killed here: not worth an error each
        iterator._shutdown = True
        for queue in iterator._index_queues:
            queue.cancel_join_thread()
        for process in iterator._workers:
            if process.exitcode is None:
                process.kill()
                if process in _started:
                    _started.remove(process)  # it did not die by itself


def _kill_workers() -> None:
    """At the end of the process: an exception that is still held keeps workers alive, and they only read."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would report them
    for process in _started:
        if process.exitcode is None:
            process.kill()


def forget_workers() -> None:
    """Forget those of a run that has ended: the next one is not to be told of them."""
    _started[:] = [process for process in _started if process.exitcode is None]


def wake_stopped() -> None:
    """Let workers go on that were stopped (SIGSTOP), so that they can end."""
    for process in _started:
        if process.pid is not None and _state(process.pid) == "stopped":
            os.kill(process.pid, signal.SIGCONT)


def explain_death(error: BaseException) -> WorkerError | None:
    """The error to raise instead of `error` where a worker has died; None where none has.

    PyTorch says it in a RuntimeError, wherever the main thread is just then, or the connection to the worker breaks.
    """
    told = isinstance(error, RuntimeError) and _TORCH_SAYS.search(str(error)) is not None
    broken = isinstance(error, (ConnectionError, EOFError, FileNotFoundError))
    if not told and not broken:
        return None
    named = {int(number) for number in re.findall(r"[0-9]+", str(error))} if told else set()
    deadline = time.monotonic() + REAP_SECONDS
    while True:
        for process in _started:
            if process.exitcode not in _ENDED and (not named or process.pid in named):
                abandon_dead()
                forget_workers()  # told once
                return WorkerError(f"data worker {process.pid} {_ended(process.exitcode)}")
        if told or time.monotonic() > deadline:
            break
        try:
            time.sleep(0.01)  # its connections close a moment before the process itself has ended
        except RuntimeError as again:  # PyTorch's handler of SIGCHLD, which raises wherever the main thread is
            return explain_death(again)
    return WorkerError(" ".join(str(error).split())) if told else None


def _ended(exitcode: int) -> str:
    """How a process ended that should not have, and what to do."""
    if exitcode > 0:
        return f"ended with exit code {exitcode}; data.num_workers=0 shows its error"
    name = signal.Signals(-exitcode).name
    if name == "SIGKILL":
        return (
            "was killed (SIGKILL). The kernel does so when memory runs out (dmesg names the process): lower "
            "data.num_workers or data.batch_size, or give the job more memory"
        )
    if name == "SIGBUS":
        return f"was killed (SIGBUS): {SHARED_MEMORY} is full ({_free()}); {advice(1)}"
    return f"was killed ({name}); data.num_workers=0 shows whether it is the data"


def _state(pid: int) -> str:
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
    return _STATES.get(letter, letter)


@contextmanager
def telling_stalls(pids: Iterable[int]) -> Iterator[None]:
    """While the body runs, a wait for a batch of more than `STALL_SECONDS` is told once, with what the workers do."""
    ended = threading.Event()
    workers = list(pids)

    def watch() -> None:
        told: float | None = None
        while not ended.wait(STALL_SECONDS / 4):
            since = WAIT.since
            if since is None or since == told or time.monotonic() - since < STALL_SECONDS:
                continue
            told = since
            print(f"note: no batch for {time.monotonic() - since:.0f} s; {_doing(workers)}", flush=True)

    threading.Thread(target=watch, daemon=True, name="stalls").start()
    try:
        yield
    finally:
        ended.set()


def _doing(workers: list[int]) -> str:
    """What each worker does, with a way on for those that were stopped."""
    states = {pid: _state(pid) for pid in workers}
    stopped = [str(pid) for pid, state in states.items() if state == "stopped"]
    hint = f"; kill -CONT {' '.join(stopped)} lets them go on" if stopped else ""
    return "data workers: " + ", ".join(f"{pid} {state}" for pid, state in states.items()) + hint


def worker_pids() -> list[int]:
    """The processes that were started and still run."""
    return [process.pid for process in _started if process.exitcode is None]
