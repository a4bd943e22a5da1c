"""Two ranks on one store: whoever is gone, silent, failed or late is named by the other, which then ends."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
from functools import partial

import pytest

from joyvasa.lit.distributed import agree, connect, join, rank_zero_first
from joyvasa.lit.watch import EXIT_CODE, Watch

fork = multiprocessing.get_context("fork")
SECONDS = 2.0  # without a word before a rank counts as gone: a busy machine can hold a process still for one


def leaves_in_peace(watch) -> None:
    time.sleep(0.3)
    watch.stop()


def dies(watch) -> None:
    watch.mark("in the forward pass of step 7")
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


def stops_beating(watch) -> None:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGSTOP)


def fails(watch) -> None:
    time.sleep(0.3)
    watch.failed("DatasetError: clip x\nis broken")
    watch.stop()


def stays_behind(watch) -> None:
    watch.mark("in the forward pass of step 8")
    time.sleep(4 * SECONDS)


def goes_on(watch) -> None:
    for step in range(3):
        watch.mark(f"in the backward pass of step {step}")
        time.sleep(0.1)
    time.sleep(4 * SECONDS)


def watched(rank: int, port: int, does, path) -> None:
    sys.stderr = os.fdopen(os.open(path / f"{rank}.err", os.O_WRONLY | os.O_CREAT), "w")
    watch = Watch(partial(connect, "127.0.0.1", port, rank == 0, 5), rank, 2, SECONDS)
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
        for process in how:
            process.join(3 * SECONDS)
            process.kill()
            process.join()
        printed = [tmp_path / f"{rank}.err" for rank in range(2)]
        return [(p.exitcode, file.read_text() if file.exists() else "") for p, file in zip(how, printed, strict=True)]

    return run


def test_ranks_that_end_in_peace_say_nothing(pair):
    assert pair(leaves_in_peace, leaves_in_peace) == [(0, ""), (0, "")]


@pytest.mark.parametrize(
    "does, why",
    [
        (dies, r"is gone, last seen in the forward pass of step 7"),
        (stops_beating, r"has not been heard of for \d+ s"),
        (fails, r"failed: DatasetError: clip x is broken"),
        (stays_behind, r"holds up the others for \d+ s, last seen in the forward pass of step 8"),
    ],
)
def test_the_other_names_the_rank_that_is_missing_and_ends(does, why, pair):
    (code, printed), (_, by_the_other) = pair(goes_on, does)
    assert code == EXIT_CODE
    printed += by_the_other  # one of the two says it
    assert re.fullmatch(rf"error: rank 1 of 2 \(.+, process \d+\) {why}.*; .* resume=auto\n", printed), printed


def test_rank_0_takes_the_store_with_it_and_is_named_all_the_same(pair):
    _, (code, printed) = pair(dies, goes_on)
    assert code == EXIT_CODE and re.match(r"error: rank 0 of 2 .*is gone", printed), printed


def test_a_rank_that_never_comes_is_named(port):
    store = connect("127.0.0.1", port(), True, 5)
    with pytest.raises(TimeoutError, match=r"rank 1, 2 of 3 did not come within 0 s .*start_seconds"):
        join(store, 0, 3, 0.3)
    with pytest.raises(ConnectionError, match="rank 0 is missing: nothing answers at 127.0.0.1"):
        connect("127.0.0.1", port(), False, 0.3)


def takes_part(rank: int, port: int, path) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": rank, "LOCAL_RANK": rank % 2, "GROUP_RANK": rank // 2}
    torchrun |= {"WORLD_SIZE": 4, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in torchrun.items()}
    time.sleep(0.3 if rank == 0 else 0)
    with rank_zero_first():
        with open(path / "order", "a") as file:
            file.write(f"{rank} ")
        time.sleep(0.1)
    (path / f"{rank}.agreed").write_text(agree(f"the value of {rank}"))
    while rank == 0 and len(list(path.glob("*.agreed"))) < 4:  # it keeps the store, which torchrun would
        time.sleep(0.05)


def test_rank_0_goes_first_then_one_of_each_machine_and_all_agree_with_it(tmp_path, port):
    at = port()
    ranks = [fork.Process(target=takes_part, args=(rank, at, tmp_path)) for rank in range(4)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(20)
        process.kill()
    order = (tmp_path / "order").read_text().split()
    assert order[0] == "0" and order.index("2") < order.index("3") and sorted(order) == ["0", "1", "2", "3"]
    assert {(tmp_path / f"{rank}.agreed").read_text() for rank in range(4)} == {"the value of 0"}
