"""Several ranks: what they agree on before Lightning joins them, who goes first, and a DDP that names who is missing.

Ranks are started by torchrun, by SLURM's srun, or by Lightning itself from the first of them. Before the process group
exists they talk through a key-value store at the address where the group will meet.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch.distributed import PrefixStore, Store, TCPStore

from joyvasa.data.workers import explain_death
from joyvasa.lit.watch import Watch, whereabouts

FIRST_SECONDS = 3600.0  # for what one rank does while the others wait: a download, making a corpus
_BROKEN = re.compile(r"gloo|nccl|connection|store|socket|process group|timed? ?out", re.IGNORECASE)
_numbers = itertools.count()  # every rank comes to the same points in the same order


@dataclass(frozen=True)
class Place:
    """Where this process stands among ranks that were started together, and where they meet."""

    rank: int
    local_rank: int
    node: int
    world_size: int
    address: str
    port: int


def is_rank_zero() -> bool:
    """Whether this process writes; also before Lightning has joined the ranks, and in a process alone."""
    place = find_place()
    if place:
        return place.rank == 0
    return all(int(os.environ.get(name, "0")) == 0 for name in ("NODE_RANK", "LOCAL_RANK"))


def find_place() -> Place | None:
    """None for a process alone, and for those that Lightning starts: their first has done everything before."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env and int(env["WORLD_SIZE"]) > 1:
        names = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE")
        return Place(*(int(env[name]) for name in names), env["MASTER_ADDR"], int(env["MASTER_PORT"]))
    if int(env.get("SLURM_NTASKS", "1")) > 1 and SLURMEnvironment.detect():
        slurm = SLURMEnvironment(auto_requeue=False)
        ranks = (slurm.global_rank(), slurm.local_rank(), slurm.node_rank(), slurm.world_size())
        return Place(*ranks, slurm.main_address, slurm.main_port)
    return None


def connect(address: str, port: int, keeps: bool, seconds: float) -> Store:
    """A client of the store at `address`; rank 0 keeps it (`keeps`), unless torchrun does.

    Raises ConnectionError when nothing answers there within `seconds`.
    """
    keeps = keeps and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    how = {"is_master": keeps, "wait_for_workers": False, "multi_tenant": True}
    try:
        store = TCPStore(address, port, timeout=timedelta(seconds=seconds), **how)
    except RuntimeError as error:
        raise ConnectionError(
            f"rank 0 is missing: nothing answers at {address}:{port} within {seconds:.0f} s; start every rank, "
            "and let this address be reachable from all machines"
        ) from error
    return PrefixStore(f"joyvasa/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@functools.cache
def _early_store(place: Place) -> Store:
    """Kept open for the whole process: rank 0's is the one the others use."""
    return connect(place.address, place.port, place.rank == 0, FIRST_SECONDS)


def agree(value: str) -> str:
    """Rank 0's value on every rank. In a process alone, and in those Lightning starts, the value itself."""
    place = find_place()
    if place is None:
        return value
    store, key = _early_store(place), f"agreed/{next(_numbers)}"
    if place.rank == 0:
        store.set(key, value)
    return store.get(key).decode()


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Rank 0 goes through the body before all others, then one rank of each other machine, then the rest.

    What the first has downloaded or made, the others find: on a shared disk all of them, else those of one machine.
    """
    place = find_place()
    if place is None:
        yield
        return
    store, key = _early_store(place), f"first/{next(_numbers)}"
    for node in {0, place.node}:
        if place.rank != 0 and (node != place.node or place.local_rank != 0):
            store.get(f"{key}/{node}")
    try:
        yield
    finally:
        if place.local_rank == 0:
            store.set(f"{key}/{place.node}", "done")


class _Launcher(_SubprocessScriptLauncher):
    """Lightning's, without its observer: that kills this process before it can say which rank is missing."""

    def launch(self, function, *args, trainer=None, **kwargs):
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._refuse_sweep()
            self._call_children_scripts()
        return function(*args, **kwargs)

    def _refuse_sweep(self) -> None:
        from hydra.core.hydra_config import HydraConfig

        if HydraConfig.initialized() and HydraConfig.get().mode.name == "MULTIRUN":
            raise ValueError(
                "--multirun with several ranks: each would sweep anew; use hydra/launcher=slurm, or one device a run"
            )


class WatchedDDP(DDPStrategy):
    """DDP whose ranks watch each other: a job that a rank has left ends with a sentence that names it.

    timeout_seconds: how long a rank may be silent, or stand still while others wait for it. start_seconds: how long
    the ranks may take to come together, and the time-out of the process group's own collectives, which has the last
    word where the watch has nothing to say. backend: gloo, nccl, or null for that of the device. bucket_view:
    gradients lie in the buckets that are reduced, not beside them.
    """

    def __init__(self, *, timeout_seconds: float, start_seconds: float, backend: str | None, bucket_view: bool):
        if not 0 < timeout_seconds <= start_seconds:
            raise ValueError(
                f"trainer.strategy.timeout_seconds={timeout_seconds}, start_seconds={start_seconds}: expected "
                "0 < timeout_seconds <= start_seconds"
            )
        how = {"process_group_backend": backend, "gradient_as_bucket_view": bucket_view}
        super().__init__(timeout=timedelta(seconds=start_seconds), **how)
        self.timeout_seconds, self.start_seconds = timeout_seconds, start_seconds
        self.watch: Watch | None = None

    def _configure_launcher(self) -> None:
        self._launcher = _Launcher(self.cluster_environment, self.num_processes, self.num_nodes)

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        environment = self.cluster_environment
        place = (environment.main_address, environment.main_port, self.global_rank == 0)
        self._store = connect(*place, self.start_seconds)
        join(self._store, self.global_rank, self.world_size, self.start_seconds)
        super().setup_distributed()
        again = functools.partial(connect, *place, self.timeout_seconds)
        self.watch = Watch(again, self.global_rank, self.world_size, self.timeout_seconds)
        self.watch.start()

    def _mark(self, doing: str) -> None:
        self.watch.mark(f"{doing} step {self.lightning_module.trainer.global_step}")

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        self._mark("in the forward pass of")

    def pre_backward(self, closure_loss: torch.Tensor) -> None:
        super().pre_backward(closure_loss)
        self._mark("in the backward pass of")

    def post_backward(self, closure_loss: torch.Tensor) -> None:
        super().post_backward(closure_loss)
        self._mark("after the backward pass of")

    def validation_step(self, *args, **kwargs):
        self._mark("in the validation after")
        return super().validation_step(*args, **kwargs)

    def on_exception(self, exception: BaseException) -> None:
        """A broken collective is not this rank's failure: the watch finds whose it is and ends the process."""
        super().on_exception(exception)
        if self.watch is None or not isinstance(exception, Exception):
            return
        if getattr(exception, "everywhere", False):
            return  # all ranks raise it together
        exception = explain_death(exception) or exception
        if isinstance(exception, RuntimeError) and _BROKEN.search(str(exception)):
            self.watch.join(self.timeout_seconds + 5 * self.watch.interval)
        self.watch.failed(f"{type(exception).__name__}: {exception}")

    def teardown(self) -> None:
        if self.watch:
            self.watch.stop()
            self.watch = None
        super().teardown()


def join(store: Store, rank: int, world_size: int, seconds: float) -> None:
    """Wait until every rank is there. Raises TimeoutError naming those that are not."""
    store.set(f"here/{rank}", whereabouts())
    missing, deadline = list(range(world_size)), time.monotonic() + seconds
    while missing := [other for other in missing if not store.check([f"here/{other}"])]:
        if time.monotonic() > deadline:
            ranks = ", ".join(map(str, missing))
            raise TimeoutError(
                f"rank {ranks} of {world_size} did not come within {seconds:.0f} s (trainer.strategy.start_seconds); "
                "look at the output of its machine, then start every rank again"
            )
        time.sleep(0.1)
