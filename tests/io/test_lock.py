"""A folder has one holder: the second is told who it is, and what a dead one left is taken over."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from joyvasa.io import lock
from joyvasa.io.lock import LOCK_NAME, FolderHeldError, Holder, find_holder, hold_folder

ROOT = Path(__file__).resolve().parents[2]
# Holds the folder, forks a process that outlives it as a data worker does, and waits to be killed.
HOLDER = """
import os, sys, time
from joyvasa.io.lock import hold_folder
with hold_folder(sys.argv[1], "training"):
    if os.fork() == 0:
        os.close(1)
        time.sleep(600)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def killed_holder(tmp_path):
    """(folder) -> a process that holds it; killed with what it forked when the test ends."""
    started = []

    def start(folder: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        started.append(process)
        assert int(process.stdout.readline()) == process.pid
        return process

    yield start
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_second_process_is_told_who_holds_it_and_a_killed_one_holds_nothing(tmp_path, killed_holder, capsys):
    process = killed_holder(tmp_path / "run")
    with pytest.raises(FolderHeldError) as refused, hold_folder(tmp_path / "run", "training"):
        pass
    assert refused.value.holder.pid == process.pid and refused.value.holder.purpose == "training"
    assert str(process.pid) in str(refused.value) and refused.value.holder.host in str(refused.value)
    process.kill()
    process.wait()
    with hold_folder(tmp_path / "run", "importing"):
        assert str(process.pid) in capsys.readouterr().out
        assert find_holder(tmp_path / "run").pid == os.getpid()
        with pytest.raises(FolderHeldError), hold_folder(tmp_path / "run", "again"):
            pass
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("alive", [False, True])
def test_a_lock_of_another_machine_holds_while_somebody_touches_it(alive, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "SILENT_SECONDS", 60.0 if alive else 0.2)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    other = Holder(1, "elsewhere", "another boot", "2000-01-01 00:00:00", "training")
    path = tmp_path / LOCK_NAME
    path.write_text(json.dumps(dataclasses.asdict(other)))
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.01):
            os.utime(path)

    toucher = threading.Thread(target=touch)
    if alive:
        toucher.start()
    try:
        if alive:
            with pytest.raises(FolderHeldError) as refused, hold_folder(tmp_path, "training"):
                pass
            assert refused.value.holder == other
        else:
            with hold_folder(tmp_path, "training"):
                assert find_holder(tmp_path).pid == os.getpid()
    finally:
        ended.set()
        if alive:
            toucher.join()


def test_a_holder_removes_no_lock_but_its_own(tmp_path, monkeypatch):
    """Neither where its folder was moved and another process holds a new one of that name, nor behind a chdir."""
    folder = tmp_path / "run"
    with hold_folder(folder, "first"):
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / LOCK_NAME).write_text("of another process")
    assert (folder / LOCK_NAME).read_text() == "of another process"
    monkeypatch.chdir(tmp_path)
    with hold_folder("relative", "second"):
        elsewhere = tmp_path / "elsewhere" / "relative"
        elsewhere.mkdir(parents=True)
        (elsewhere / LOCK_NAME).write_text("of another process")
        monkeypatch.chdir(elsewhere.parent)
    assert (elsewhere / LOCK_NAME).exists() and not (tmp_path / "relative").exists()
