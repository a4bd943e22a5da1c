"""Two ranks on one store: whoever is gone, silent, failed or late is named by the other, which then ends."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from torch.distributed import HashStore

from joyvasa.lit.distributed import agree, connect, join, rank_zero_first
from joyvasa.lit.watch import EXIT_CODE, Watch
from tests.waiting import HANGS_SECONDS, FakeClock, hang, linger, process_state, runs, until

fork = multiprocessing.get_context("fork")
NEVER = 100 * HANGS_SECONDS  # a time-out that does not pass: what is noticed is noticed by itself


class Counted(Watch):
    """A watch that counts its rounds and knows where its pair leaves marks."""

    rounds, folder = 0, Path()

    def look_around(self) -> str | None:
        reason = super().look_around()
        self.rounds += 1
        return reason


def two_rounds(watch: Counted) -> None:
    """Then one round has begun and ended since: what this rank does is said, what the other said is heard."""
    begun = watch.rounds
    until(lambda: watch.rounds >= begun + 2, "two rounds of the watch")


def meet(watch: Counted) -> None:
    """Both have heard of each other: a rank that was never heard of is not missed."""
    for word in ("beats", "heard"):
        two_rounds(watch)
        (watch.folder / f"{watch.rank}.{word}").write_text(str(os.getpid()))
        until((watch.folder / f"{1 - watch.rank}.{word}").exists, f"rank {1 - watch.rank}, which {word}")


def leaves_in_peace(watch: Counted) -> None:
    meet(watch)
    (watch.folder / f"{watch.rank}.leaves").touch()
    watch.stop()


def leaves_late(watch: Counted) -> None:
    """After the other, which keeps the store."""
    meet(watch)
    until((watch.folder / f"{1 - watch.rank}.leaves").exists, "the other to leave")
    linger()
    two_rounds(watch)
    watch.stop()


def dies(watch: Counted) -> None:
    watch.mark("in the forward pass of step 7")
    meet(watch)
    os.kill(os.getpid(), signal.SIGKILL)


def stops_beating(watch: Counted) -> None:
    meet(watch)
    (watch.folder / f"{watch.rank}.stops").touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def has_stopped(process: int, rank: int, folder: Path) -> bool:
    """Whether a rank has stopped itself; others may stop a process for a while."""
    return (folder / f"{rank}.stops").exists() and process_state(process) == "T"


def fails(watch: Counted) -> None:
    meet(watch)
    watch.failed("DatasetError: clip x\nis broken")
    watch.stop()


def goes_on(watch: Counted) -> None:
    """Until its watch ends the process."""
    meet(watch)
    hang()


def goes_on_impatient(watch: Counted) -> None:
    """Its time-out begins to count only now that the other is stopped."""
    meet(watch)
    other = int((watch.folder / f"{1 - watch.rank}.heard").read_text())
    until(lambda: has_stopped(other, 1 - watch.rank, watch.folder), "the other to be stopped")
    watch.timeout_seconds = 0.5
    hang()


def watched(rank: int, port: int, does, folder: Path) -> None:
    sys.stderr = os.fdopen(os.open(folder / f"{rank}.err", os.O_WRONLY | os.O_CREAT), "w")
    watch = Counted(partial(connect, "127.0.0.1", port, rank == 0, HANGS_SECONDS), rank, 2, NEVER)
    watch.interval, watch.folder = 0.01, folder
    watch.start()
    does(watch)


@pytest.fixture
def pair(tmp_path, port):
    """(what rank 0 does, what rank 1 does) -> their exit codes and what they printed; a stopped one is killed."""

    def run(zero, one) -> list[tuple[int | None, str]]:
        at = port()
        how = [fork.Process(target=watched, args=(rank, at, does, tmp_path)) for rank, does in enumerate((zero, one))]
        for process in how:
            process.start()
        try:
            for rank, process in enumerate(how):
                until(lambda pid=process.pid, rank=rank: not runs(pid) or has_stopped(pid, rank, tmp_path), "their end")
        finally:
            for process in how:
                process.kill()
                process.join()
        printed = [tmp_path / f"{rank}.err" for rank in range(2)]
        return [(p.exitcode, file.read_text() if file.exists() else "") for p, file in zip(how, printed, strict=True)]

    return run


@pytest.mark.parametrize("other", [leaves_in_peace, leaves_late])
def test_ranks_that_end_in_peace_say_nothing(other, pair):
    assert pair(leaves_in_peace, other) == [(0, ""), (0, "")]


@pytest.mark.parametrize(
    "does, other, why",
    [
        (dies, goes_on, r"is gone, last seen in the forward pass of step 7"),
        (fails, goes_on, r"failed: DatasetError: clip x is broken"),
        (stops_beating, goes_on_impatient, r"has not been heard of for \d+ s"),
    ],
)
def test_the_other_names_the_rank_that_is_missing_and_ends(does, other, why, pair):
    (code, printed), (_, by_the_other) = pair(other, does)
    assert code == EXIT_CODE
    printed += by_the_other  # one of the two says it
    assert re.fullmatch(rf"error: rank 1 of 2 \(.+, process \d+\) {why}.*; .* resume=auto\n", printed), printed


def test_rank_0_takes_the_store_with_it_and_is_named_all_the_same(pair):
    _, (code, printed) = pair(dies, goes_on)
    assert code == EXIT_CODE and re.match(r"error: rank 0 of 2 .*is gone", printed), printed


@pytest.fixture
def watches():
    """Two watches on one store, in this process, and the clock of both; `look_around` is a round of each."""
    store, clock = HashStore(), FakeClock()
    return [Watch(lambda: store, rank, 2, 100.0, clock) for rank in range(2)], clock


def test_a_rank_that_is_silent_for_the_time_out_is_named_and_not_a_moment_before(watches):
    (one, two), clock = watches
    assert two.look_around() is None and one.look_around() is None
    clock.now = 100.0
    assert one.look_around() is None
    clock.now = 100.5
    assert "rank 1 of 2" in (said := one.look_around()) and "has not been heard of for 100 s" in said
    assert two.look_around() == said, "the same sentence on every rank"


def test_a_rank_that_beats_but_holds_up_the_others_is_named_after_the_time_out(watches):
    """Both have come to a step; one has gone on to the next, and the other has not."""
    (one, two), clock = watches
    for watch in (one, two):
        watch.mark("in the forward pass of step 8")
    one.mark("in the backward pass of step 8")
    for second in range(0, 101):
        clock.now = float(second)
        assert two.look_around() is None and one.look_around() is None
    clock.now = 101.0
    assert two.look_around() is None, "who is behind waits for nobody"
    said = one.look_around()
    assert "rank 1 of 2" in said and "holds up the others for 101 s, last seen in the forward pass of step 8" in said


def test_ranks_that_stand_at_the_same_place_for_long_hold_up_nobody(watches):
    (one, two), clock = watches
    for clock.now in (0.0, 90.0, 180.0, 270.0):
        assert two.look_around() is None and one.look_around() is None


def test_a_rank_that_never_comes_is_named(port):
    store = connect("127.0.0.1", port(), True, HANGS_SECONDS)
    with pytest.raises(TimeoutError, match=r"rank 1, 2 of 3 did not come within 0 s .*start_seconds"):
        join(store, 0, 3, 0.0)
    with pytest.raises(ConnectionError, match="rank 0 is missing: nothing answers at 127.0.0.1"):
        connect("127.0.0.1", port(), False, 0.3)


def takes_part(rank: int, port: int, path: Path) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": rank, "LOCAL_RANK": rank % 2, "GROUP_RANK": rank // 2}
    torchrun |= {"WORLD_SIZE": 4, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in torchrun.items()}
    (path / f"{rank}.comes").touch()
    if rank == 0:  # the last to come, and the first to go
        until(lambda: len(list(path.glob("*.comes"))) == 4, "all ranks to come")
        linger()
    with rank_zero_first():
        with open(path / "order", "a") as file:
            file.write(f"{rank} ")
        linger()
    (path / f"{rank}.agreed").write_text(agree(f"the value of {rank}"))
    if rank == 0:  # it keeps the store, which torchrun would
        until(lambda: len(list(path.glob("*.agreed"))) == 4, "all ranks to agree")


def test_rank_0_goes_first_then_one_of_each_machine_and_all_agree_with_it(tmp_path, port):
    at = port()
    ranks = [fork.Process(target=takes_part, args=(rank, at, tmp_path)) for rank in range(4)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(HANGS_SECONDS)
        process.kill()
    order = (tmp_path / "order").read_text().split()
    assert order[0] == "0" and order.index("2") < order.index("3") and sorted(order) == ["0", "1", "2", "3"]
    assert {(tmp_path / f"{rank}.agreed").read_text() for rank in range(4)} == {"the value of 0"}
