"""Laws of the line: first come, first served; so many and no more; a cancelled job ends and makes room."""

import threading
from concurrent.futures import CancelledError

import pytest

from joyvasa.animate.pipeline import Cancelled
from joyvasa.web.line import Line, Refused
from tests.waiting import HANGS_SECONDS, until


class Work:
    """Waits for `go`, asking its job whether to go on; remembers the order of starting."""

    def __init__(self):
        self.go, self.started = threading.Event(), []

    def named(self, name: str):
        def work(job):
            self.started.append(name)
            on_step = job.enter("drawing")
            while not self.go.wait(0.01):
                on_step(1, 2)
            return name

        return work


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def line():
    line = Line(at_once=1, waiting=2)
    yield line
    line.close()


def test_jobs_run_in_order_and_what_is_too_many_is_refused(line, work):
    jobs = [line.add(name, work.named(name)) for name in "abc"]
    until(lambda: work.started == ["a"])
    assert [line.ahead(job) for job in jobs] == [0, 1, 2]
    with pytest.raises(Refused, match="3 films are being made or waiting.*try again"):
        line.add("d", work.named("d"))
    work.go.set()
    assert [job.future.result(HANGS_SECONDS) for job in jobs] == ["a", "b", "c"] == work.started
    assert line.add("d", work.named("d")).future.result(HANGS_SECONDS) == "d"


def test_an_owner_has_one_job_at_a_time(line, work):
    line.add("a", work.named("first"))
    with pytest.raises(Refused, match="still being made"):
        line.add("a", work.named("second"))
    work.go.set()


def test_a_cancelled_job_ends_at_its_next_step_and_makes_room(line, work):
    running, waiting, last = (line.add(name, work.named(name)) for name in "abc")
    until(lambda: work.started == ["a"])
    waiting.cancel()
    assert line.ahead(last) == 1, "who leaves the line while waiting is not waited for"
    with pytest.raises(CancelledError):
        waiting.future.result(HANGS_SECONDS)
    assert line.cancel_owner("a")
    assert isinstance(running.future.exception(HANGS_SECONDS), Cancelled)
    until(lambda: work.started == ["a", "c"])
    assert not line.cancel_owner("a") and not line.cancel_owner("nobody")
    work.go.set()


def test_closing_ends_what_runs_and_what_waits(work):
    line = Line(at_once=2, waiting=2)
    jobs = [line.add(name, work.named(name)) for name in "abc"]
    until(lambda: len(work.started) == 2)
    line.close()
    assert all(job.future.done() for job in jobs) and "c" not in work.started


def test_an_error_is_the_jobs_own(line):
    def broken(job):
        raise ValueError("no face")

    assert str(line.add("a", broken).future.exception(HANGS_SECONDS)) == "no face"
    assert line.add("a", lambda job: 1).future.result(HANGS_SECONDS) == 1
