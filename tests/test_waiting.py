"""No test depends on how fast the machine is: what would make one depend on it stands in tests/waiting.py alone."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

from tests.waiting import FakeClock, free_port, until

TESTS = Path(__file__).parent
# Programs that break a run on purpose at a share of a step, and those that tell a person how long something took.
MAY_USE_THE_CLOCK = {"waiting.py", "lit/driver.py", "parity/check.py", "parity/__main__.py"}
CLOCKS = {"sleep", "time", "monotonic", "perf_counter", "process_time", "monotonic_ns", "perf_counter_ns", "time_ns"}
LONG_WAITS = {"wait", "join", "result", "exception", "communicate", "acquire"}


def uses_of_time(source: str) -> list[str]:
    """What of a test's source looks at the clock, sleeps, or waits for so many seconds: line and name."""
    found, polled = [], set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.While):
            polled |= {id(inner) for inner in ast.walk(node.test)}  # asked again and again: no limit
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS and getattr(node.value, "id", "") == "time":
            found.append(f"{node.lineno}: time.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found.append(f"{node.lineno}: from time import")
        if isinstance(node, ast.Call) and id(node) not in polled:
            found += [f"{node.lineno}: {name}" for name in limits_of(node)]
    return found


def limits_of(call: ast.Call) -> list[str]:
    """The limits of a call that are numbers, and so somebody's guess of how long a machine takes."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    found = [f"timeout= of {name}" for word in call.keywords if word.arg == "timeout" and is_number(word.value)]
    if name in LONG_WAITS and call.args and is_number(call.args[0]):
        found.append(f"{name}(number)")
    if name in ("Timer", "alarm", "setitimer"):
        found.append(name)
    return found


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def test_no_test_looks_at_the_clock_sleeps_or_guesses_how_long_something_takes():
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        name = str(path.relative_to(TESTS))
        if name not in MAY_USE_THE_CLOCK:
            found += [f"tests/{name}:{use}" for use in uses_of_time(path.read_text())]
    assert found == [], "wait for a condition with tests.waiting.until, use HANGS_SECONDS, or pass a clock"


@pytest.mark.parametrize(
    "source, uses",
    [
        ("import time\ntime.sleep(1)", ["2: time.sleep"]),
        ("import time\nassert time.perf_counter() - 1 < 5", ["2: time.perf_counter"]),
        ("from time import sleep", ["1: from time import"]),
        ("run(x, timeout=20)", ["1: timeout= of run"]),
        ("thread.join(5)", ["1: join(number)"]),
        ("threading.Timer(0.1, end).start()", ["1: Timer"]),
        ("while not go.wait(0.01):\n    step()", []),
        ("run(x, timeout=HANGS_SECONDS)\nthread.join()\n', '.join(names)\nos.path.join(a, b)", []),
    ],
)
def test_what_depends_on_the_machine_is_found(source, uses):
    assert uses_of_time(source) == uses


def test_what_is_waited_for_is_returned_when_it_comes():
    there, found = threading.Event(), []
    thread = threading.Thread(target=lambda: found.append(until(lambda: there.is_set() and "it came")))
    thread.start()
    there.set()
    thread.join()
    assert found == ["it came"]


def test_what_does_not_come_is_named(monkeypatch):
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        clock.now += 1000.0 * seconds

    monkeypatch.setattr("tests.waiting.time.monotonic", clock)
    monkeypatch.setattr("tests.waiting.time.sleep", sleep)
    with pytest.raises(AssertionError, match="waited 600 s in vain for rain"):
        until(lambda: False, "rain")


def test_ports_differ_and_are_free():
    assert len({free_port() for _ in range(20)}) == 20
