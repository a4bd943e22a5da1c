"""Waiting for a condition: no test depends on how fast the machine is.

A test waits for what it needs: an event, a file, a line of a log, the state of a process. One limit ends the waiting.
It is far longer than any machine takes, so what passes it hangs. Where the behaviour itself is about time, the test
passes a clock of its own to the code.
"""

from __future__ import annotations

import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HANGS_SECONDS = 600.0  # what takes longer than this hangs; also for `timeout=` of processes, threads and futures
PAUSE_SECONDS = 0.005
LINGER_SECONDS = 0.05
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT = 10_000


def until(condition: Callable[[], Any], what: str | Callable[[], str] = "the condition") -> Any:
    """Wait until `condition()` is true.

    Args:
        condition: asked every few milliseconds.
        what: what is waited for, or a function that says it, for the message.

    Returns:
        What `condition` returned.

    Raises:
        AssertionError: where it does not come within HANGS_SECONDS.
    """
    end = time.monotonic() + HANGS_SECONDS
    while not (found := condition()):
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise AssertionError(f"waited {HANGS_SECONDS:.0f} s in vain for {said}")
        time.sleep(PAUSE_SECONDS)
    return found


def linger(seconds: float = LINGER_SECONDS) -> None:
    """Give a program that is wrong a moment in which to show it: to begin twice, to read too far ahead.

    It synchronises nothing: a program that is right passes however short or long this moment is.
    """
    time.sleep(seconds)


def hang() -> None:
    """Stand still, as what hangs does, until somebody ends this process. It gives up only after all who wait for it."""
    time.sleep(10 * HANGS_SECONDS)


def process_state(process: int) -> str:
    """The letter of a process: R runs, S sleeps, T is stopped, Z ended and is not collected; "" where it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def runs(process: int) -> bool:
    """Whether a process has not ended."""
    return process_state(process) not in ("", "Z", "X")


class FakeClock:
    """A clock that stands still until it is told to go on: `clock.now += 5`. `asked` counts its calls."""

    def __init__(self, now: float = 0.0):
        self.now = now
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


class TickingClock(FakeClock):
    """A clock on which a second passes with every call."""

    def __call__(self) -> float:
        self.now += 1.0
        return super().__call__()


class WatchedQueue(queue.Queue):
    """A queue that says with `full` that somebody found no room in it and waits."""

    def __init__(self, maxsize: int, full: threading.Event):
        super().__init__(maxsize)
        self.full_once = full

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        try:
            super().put(item, block=False)
        except queue.Full:
            self.full_once.set()
            super().put(item, block, timeout)


_port_lock = threading.Lock()
_next_port = 0


def free_port() -> int:
    """A port of this machine that nobody uses, and that neither this process nor the system hands out again soon.

    Between this call and its use another program could take a port of the range from which the system serves outgoing
    connections and `bind(0)`, so the port lies below that range. Processes begin at different places of it.
    """
    global _next_port
    highest = 32_768
    if EPHEMERAL.exists():
        highest = max(int(EPHEMERAL.read_text().split()[0]), LOWEST_PORT + 1_000)
    with _port_lock:
        if not _next_port:
            _next_port = random.Random(os.getpid()).randrange(LOWEST_PORT, highest)
        for _ in range(highest - LOWEST_PORT):
            port = _next_port
            _next_port = port + 1 if port + 1 < highest else LOWEST_PORT
            if _is_free(port):
                return port
    raise OSError(f"no port from {LOWEST_PORT} to {highest} is free (expected one): end the programs that hold them")


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
