"""Killed again and again, wherever it happens to be: what comes out in the end is what an undisturbed run writes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.preprocess.videos.made import talking

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for seed in range(6):
        (folder / f"speaker {seed}").mkdir()
        talking(folder / f"speaker {seed}" / "take.mp4", seed, seconds=4.4)
    (folder / "speaker 0" / "text.mp4").write_text("no film")
    return folder


def start(films: Path, output: Path, *more: str) -> subprocess.Popen:
    words = (
        "source=videos", f"input={films}", f"output={output}", "weights=random:0:small", "filters.min_seconds=2",
        "filters.max_seconds=2.2", "engine.workers=2", "source.settings.decoding.span_seconds=1000", *more,
    )  # fmt: skip
    with open(output.with_name("log.txt"), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "preprocess", *words], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )


def things(output: Path) -> set[tuple[str, int]]:
    """Every file and folder there is, with the time of its last change; what goes meanwhile is passed over."""
    found = set()
    for folder, folders, files in os.walk(output):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            with suppress(OSError):
                found.add((path, os.stat(path).st_mtime_ns))
    return found


def content(output: Path) -> dict[str, bytes]:
    """All but the unfinished work."""
    paths = (path for path in output.rglob("*") if path.is_file() and ".staging" not in path.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


def kill_when(process: subprocess.Popen, output: Path, due: Callable[[set[str]], bool]) -> bool:
    """Kill the whole group when the files changed since the start are due; whether it was alive then."""
    before = things(output)
    while process.poll() is None:
        if due({name for name, _ in things(output) - before}):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


def kills() -> list[Callable[[set[str]], bool]]:
    """Six while films are worked on, wherever it is; four at moments of packing."""
    rng = random.Random(0)
    counts = [rng.randint(2, 5) for _ in range(6)]
    patterns = ("*/.staging/*/film-*", "*/packing/core/*.tmp", "*/set/core", "*/set/report.html*")
    return [lambda changed, count=count: len(changed) >= count for count in counts] + [
        lambda changed, pattern=pattern: any(fnmatch(name, pattern) for name in changed) for pattern in patterns
    ]


@pytest.mark.torture
def test_ten_kills_leave_the_bytes_of_an_undisturbed_run(films, tmp_path):
    (tmp_path / "whole").mkdir()
    whole, broken = tmp_path / "whole" / "set", tmp_path / "broken" / "set"
    broken.parent.mkdir()
    assert start(films, whole).wait(600) == 0, (tmp_path / "whole" / "log.txt").read_text()
    for number, due in enumerate(kills()):
        assert kill_when(start(films, broken), broken, due), f"the run ended after {number} kills"
    assert start(films, broken).wait(600) == 0, (tmp_path / "broken" / "log.txt").read_text()
    one, two = content(whole), content(broken)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert not list(broken.rglob("*.tmp"))
    before = things(broken)
    assert start(films, broken).wait(600) == 0
    assert {name for name, _ in things(broken) - before} <= {str(broken / ".staging" / "lock")}
