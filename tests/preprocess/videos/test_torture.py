"""Killed again and again, wherever it happens to be: what comes out in the end is what an undisturbed run writes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.preprocess.videos.made import talking
from tests.waiting import HANGS_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for seed in range(6):
        (folder / f"speaker {seed}").mkdir()
        talking(folder / f"speaker {seed}" / "take.mp4", seed, seconds=4.4)
    (folder / "speaker 0" / "text.mp4").write_text("no film")
    return folder


def run(films: Path, output: Path, pattern: str = "", number: int = 0) -> int:
    """The exit code of a run whose processes are all killed at the `number`-th moment at which they write a file or a
    folder of this pattern, on a machine of any speed; 0 is never."""
    words = (
        "source=videos", f"input={films}", f"output={output}", "weights=random:0:small", "filters.min_seconds=2",
        "filters.max_seconds=2.2", "engine.workers=2", "source.settings.decoding.span_seconds=1000",
    )  # fmt: skip
    count = output.with_name("moments")
    count.unlink(missing_ok=True)
    moment = {"KILLED_AT": str(number), "KILLED_PATTERN": f"{output}/{pattern}", "KILLED_COUNT": str(count)}
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), *words]
    with open(output.with_name("log.txt"), "ab") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | moment | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return process.wait(timeout=HANGS_SECONDS)


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


def kills() -> list[tuple[str, int]]:
    """Six while films are worked on, wherever it is; four at moments of packing."""
    rng = random.Random(0)
    anywhere = [(".staging/*", rng.randint(5, 20)) for _ in range(6)]
    packing = [(".staging/packing/core/*.tmp", 2), (".staging/packing/stats.safetensors", 1), ("core", 1)]
    return [*anywhere, *packing, ("report.html", 1)]


@pytest.mark.torture
def test_ten_kills_leave_the_bytes_of_an_undisturbed_run(films, tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, broken = tmp_path / "whole" / "set", tmp_path / "broken" / "set"
    assert run(films, whole) == 0, (tmp_path / "whole" / "log.txt").read_text()
    for pattern, number in kills():
        code = run(films, broken, pattern, number)
        assert code == -signal.SIGKILL, f"{pattern} {number}: {(tmp_path / 'broken' / 'log.txt').read_text()}"
    assert run(films, broken) == 0, (tmp_path / "broken" / "log.txt").read_text()
    one, two = content(whole), content(broken)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert not list(broken.rglob("*.tmp"))
    before = things(broken)
    assert run(films, broken) == 0
    assert {name for name, _ in things(broken) - before} <= {str(broken / ".staging" / "lock")}
