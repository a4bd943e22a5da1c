"""Films in, results out: read what is missing, on as many devices as there are, then score from what was read.

Reading is the long part. Each film's readings are kept as soon as it ends, so that a run that was killed goes on where
it was, and another metric, another threshold or another system costs only itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import torch

from joyvasa.eval.films.pairing import Group, Pairing
from joyvasa.eval.films.passing import FilmRead, measure
from joyvasa.eval.films.plan import Plan, Setup, make_plan
from joyvasa.eval.films.store import Store

Progress = Callable[[str, int, int], None]  # key of a group, its films done, frames decoded, since the last call
Reads = dict[str, dict[str, FilmRead]]  # group -> row -> where its readings are


def read_films(pairing: Pairing, plan: Plan, store: Store, devices: Sequence[str], progress: Progress) -> Reads:
    """The readings of all films are in the store afterwards.

    devices: one process each; of a single one the work is done here. Raises RuntimeError where a process died.
    """
    if len(devices) == 1:
        return {group.key: _read_here(group, plan, store, progress) for group in pairing.groups}
    return _read_beside(pairing.groups, plan.setup, store, devices, progress)


def _read_here(group: Group, plan: Plan, store: Store, progress: Progress) -> dict[str, FilmRead]:
    found = measure(group, plan.sides, store, lambda frames: progress(group.key, 0, frames))
    progress(group.key, len(found), 0)
    return found


def _read_beside(
    groups: Sequence[Group], setup: Setup, store: Store, devices: Sequence[str], progress: Progress
) -> Reads:
    """A few groups are handed out ahead, so that an interrupted run waits for these alone."""
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for device in devices:
        free.put(device)
    found: Reads = {}
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    with ProcessPoolExecutor(len(devices), context, _begin, (free, setup, store.folder, threads)) as pool:
        waiting, running = deque(groups), {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * len(devices):
                    group = waiting.popleft()
                    running[pool.submit(_work, group)] = group
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    group = running.pop(done)
                    found[group.key] = done.result()
                    decoded = sum(film.decoded for film in found[group.key].values())
                    progress(group.key, len(group.films), decoded)
        except KeyboardInterrupt:
            for process in list(pool._processes.values()):  # what they have finished is written
                process.kill()
            raise
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a process that read films died, most likely for lack of memory; what was read is kept: type the same "
                "command again, with evaluate.devices=1 if it happens again"
            ) from error
    return {group.key: found[group.key] for group in groups}


_WORKER: tuple[Plan, Store] | Exception | None = None


def _begin(free, setup: Setup, folder: Path, threads: int) -> None:
    """In a new process: one device is its own, also for what chooses the first one by itself."""
    global _WORKER
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the parent decides
    device = free.get()
    torch.set_num_threads(threads)
    if device.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible(int(device.removeprefix("cuda:")))
        device = "cuda:0"
    try:
        _WORKER = make_plan(replace(setup, device=device)), Store(folder)
    except Exception as error:  # raised here, it would be taken for a process that died
        _WORKER = error


def _visible(number: int) -> str:
    """Which of the devices that this process may see."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return seen.split(",")[number] if seen else str(number)


def _work(group: Group) -> dict[str, FilmRead]:
    assert _WORKER is not None
    if isinstance(_WORKER, Exception):
        raise _WORKER
    plan, store = _WORKER
    return measure(group, plan.sides, store, lambda frames: None)
