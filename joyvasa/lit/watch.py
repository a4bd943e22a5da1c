"""Who is missing when a job of several ranks stands still: a heartbeat of every rank in the group's key-value store.

A collective that waits for a rank that will not come knows only that it waits. Here each rank says every few moments
that it lives and how far its main thread has come; each rank reads what the others say and, when one is gone, has
failed, or has fallen behind for longer than the time-out, ends with a sentence that names it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torch.distributed import Store

EXIT_CODE = 2  # that of every error of run.py
LONGEST_INTERVAL = 2.0
LEAVE_SECONDS = 60.0  # for which a rank that ends in peace and keeps the store waits for the others, on a busy machine


def whereabouts() -> str:
    """Name of this host and, in a container, of its process namespace: two processes of equal ones see each other."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_runs(process: int) -> bool:
    """Whether a process of this host runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return not Path("/proc/self/stat").exists()  # no /proc here: its heart has to tell


class Watch(threading.Thread):
    """Beats for this rank and listens to the others until `stop`; ends the process when one of them is missing.

    It ends it by itself, for the main thread may wait in a collective that nothing interrupts. `connect()` opens the
    store for this thread alone: a client that waits blocks every other user of it. `clock`: seconds, of any beginning.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        rank: int,
        world_size: int,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(daemon=True, name="watch")
        self._store, self.rank, self.world_size = connect(), rank, world_size
        self.timeout_seconds, self.interval = timeout_seconds, min(timeout_seconds / 20, LONGEST_INTERVAL)
        self._ended, self._failure, self._here, self._parent = threading.Event(), "", whereabouts(), os.getppid()
        self._clock = clock
        self._beats, self._progress, self._moved, self._doing = 0, 0, clock(), "starting"
        self._heard: dict[int, tuple[dict, float, float]] = {}  # rank: what it says, when it last spoke and moved

    def mark(self, doing: str) -> None:
        """The main thread has come to `doing`; every rank marks the same points in the same order."""
        self._progress, self._moved, self._doing = self._progress + 1, self._clock(), doing

    def failed(self, reason: str) -> None:
        """Tell the others why this rank ends."""
        self._failure = " ".join(reason.split()) or "an error without words"

    def stop(self) -> None:
        """Leave the group; the rank that keeps the store waits a little, so that the others learn of it."""
        self._ended.set()
        self.join(LEAVE_SECONDS + 10 * self.interval)

    def run(self) -> None:
        reason = None
        while not reason:
            leaving = self._ended.is_set()
            try:
                if leaving:
                    self._beat(leaving)
                    return self._see_others_off() if self.rank == 0 else None
                reason = self.look_around()
            except (RuntimeError, OSError):
                if leaving:
                    return
                # The store is kept by rank 0, or by the torchrun of its machine, and is gone with it.
                reason = _advice(f"rank 0 of {self.world_size} is gone, or the torchrun of its machine{self._seen(0)}")
            self._ended.wait(self.interval)
        if self._first_to_say():
            print(f"error: {reason}", file=sys.stderr, flush=True)
        if self.rank == 0:  # the others have still to read it in the store, which it may keep
            time.sleep(3 * self.interval)
        with suppress(RuntimeError, OSError):
            self._beat(leaving=True)  # a rank 0 that failed need not wait for this one
        os._exit(EXIT_CODE)

    def look_around(self) -> str | None:
        """Say that this rank lives, and read what the others say: one round of `run`.

        Returns:
            The sentence that names the ranks that are missing, or None where all are there.
        """
        self._beat(leaving=False)
        return self._find_missing(self._clock())

    def _beat(self, leaving: bool) -> None:
        self._beats += 1
        says = {"beat": self._beats, "progress": self._progress, "doing": self._doing, "host": self._here}
        says |= {"process": os.getpid(), "left": leaving, "failure": self._failure}
        self._store.set(f"beat/{self.rank}", json.dumps(says))

    def _see_others_off(self) -> None:
        """Keep the store until every other rank has said that it leaves, or has ended: without it they would take this
        rank for lost."""
        deadline = self._clock() + LEAVE_SECONDS
        while self._clock() < deadline:
            self._listen_to_all(self._clock())
            if not any(self._stays(says) for says, _, _ in self._heard.values()):
                return
            time.sleep(self.interval / 4)

    def _stays(self, says: dict) -> bool:
        if says["left"] or says["failure"]:
            return False
        return says["host"] != self._here or process_runs(says["process"])

    def _listen_to_all(self, now: float) -> None:
        for rank in range(self.world_size):
            if rank == self.rank or not self._store.check([f"beat/{rank}"]):
                continue
            says = json.loads(self._store.get(f"beat/{rank}"))
            before, spoke, moved = self._heard.get(rank, ({}, now, now))
            spoke = spoke if says["beat"] == before.get("beat") else now
            moved = moved if says["progress"] == before.get("progress") else now
            self._heard[rank] = (says, spoke, moved)

    def _find_missing(self, now: float) -> str | None:
        """The sentence, the same on every rank: the first to find out writes it down, for when it leaves in turn."""
        if self._store.check(["reason"]):
            return self._store.get("reason").decode()
        self._listen_to_all(now)
        missing = {rank: why for rank in self._heard if (why := self._missing(rank, now))}
        what = "; ".join(f"{self._called(rank)} {why}" for rank, why in missing.items())
        if "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._parent:
            what = f"the torchrun that started rank {self.rank} of {self.world_size} ({self._here.split()[0]}) is gone"
        return self._store.compare_set("reason", "", _advice(what)).decode() if what else None

    def _missing(self, rank: int, now: float) -> str | None:
        says, spoke, moved = self._heard[rank]
        if says["failure"]:
            return f"failed: {says['failure']}"
        if says["left"]:
            return None
        if says["host"] == self._here and not process_runs(says["process"]):
            return f"is gone{self._seen(rank)}"
        if now - spoke > self.timeout_seconds:
            return f"has not been heard of for {now - spoke:.0f} s{self._seen(rank)}"
        behind = says["progress"] < self._progress and now - self._moved > self.timeout_seconds
        beating = now - spoke < 3 * self.interval
        if behind and beating and now - moved > self.timeout_seconds:
            return f"holds up the others for {now - moved:.0f} s{self._seen(rank)}"
        return None

    def _called(self, rank: int) -> str:
        says = self._heard[rank][0]
        return f"rank {rank} of {self.world_size} ({says['host'].split()[0]}, process {says['process']})"

    def _seen(self, rank: int) -> str:
        return f", last seen {self._heard[rank][0]['doing']}" if rank in self._heard else ""

    def _first_to_say(self) -> bool:
        """Whether no other rank of this machine has printed the reason; so too where the store is gone."""
        try:
            return self._store.add(f"said/{self._here}", 1) == 1
        except (RuntimeError, OSError):
            return True


def _advice(what: str) -> str:
    return f"{what}; the last checkpoints are whole: start every rank again with resume=auto"
