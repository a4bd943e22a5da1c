"""Ctrl-C: the step is finished and saved, the command that goes on is printed, and nothing of the curves is lost."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from joyvasa.lit.checkpoints import read_checkpoint
from joyvasa.lit.interrupt import AGAIN_SECONDS, _Hurry, requeue
from tests.waiting import HANGS_SECONDS, runs, until


def interrupting(step: int, number: int) -> tuple[str, ...]:
    keys = {"_target_": "driver.SignalAt", "step": step, "number": number}
    return tuple(f"+callbacks.signal.{key}={value}" for key, value in keys.items())


def test_ctrl_c_ends_with_130_a_checkpoint_and_the_command_that_goes_on(tmp_path, launch):
    run = tmp_path / "runs" / "train" / "a"
    done = launch(tmp_path / "runs", *interrupting(5, signal.SIGINT))
    assert done.returncode == 130, done.stderr
    command = shlex.split(next(line for line in done.stdout.splitlines() if line.startswith("go on with: ")))
    assert command[3:5] == ["python", "run.py"] and command[-1] == f"resume={run}"
    assert "Traceback" not in done.stderr
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 6


# 5: in mid-epoch. 7: in an epoch's last step, whose validation has to come first. Workers inherit the handlers.
@pytest.mark.parametrize("step, workers, name", [(5, 0, "SIGINT"), (7, 0, "SIGINT"), (5, 2, "SIGTERM")])
def test_nothing_is_lost_and_it_goes_on_exactly(step, workers, name, tmp_path, fit, curve, capsys):
    whole = fit(tmp_path / "whole")
    number = getattr(signal, name)
    stop = (f"data.num_workers={workers}", *interrupting(step, number))
    run = fit(tmp_path / "stopped", *stop, code=128 + number)
    assert capsys.readouterr().out.count("finishing this step") == 1
    assert curve(run) == curve(whole, 0, step + 1)
    assert curve(fit(tmp_path / "stopped", f"resume={run}")) == curve(whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handlers before are back"


def test_slurm_queues_the_job_again_and_it_goes_on_by_itself(tmp_path, fit, curve, capsys, monkeypatch):
    """SIGUSR1 before the time limit; when SLURM starts the same command again it needs no resume=."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n")
    scontrol.chmod(0o755)
    whole = fit(tmp_path / "whole")
    monkeypatch.setenv("PATH", f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    job = ("run_id=null", "trainer.max_steps=12")
    fit(tmp_path / "job", *job, *interrupting(5, signal.SIGUSR1), code=128 + signal.SIGUSR1, run_id="4711")
    assert (tmp_path / "asked").read_text() == "requeue 4711\n"
    assert "job 4711 is queued again" in (out := capsys.readouterr().out) and "go on with" not in out
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert curve(fit(tmp_path / "job", *job, run_id="4711")) == curve(whole)
    assert "at step 6" in capsys.readouterr().out


def test_a_cluster_that_does_not_answer_is_reported(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("PATH", "")
    assert "job 4711 could not be queued again" in requeue()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert requeue() is None


def waits_in_a_collective(ready, now, asked) -> None:
    """Blocked outside Python, as in a collective: no handler of Python's runs there. now: what its clock says."""
    signal.signal(signal.SIGINT, lambda *_: None)

    def clock() -> float:
        said = now.value
        asked.value += 1
        return said

    hurry = _Hurry(clock)
    store = TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=HANGS_SECONDS))
    ready.set()
    store.get("never")
    hurry.close()


@pytest.mark.parametrize(
    "moments, survived",
    [((10.0, 10.0 + AGAIN_SECONDS + 0.2), 1), ((10.0, 10.05, 10.0 + AGAIN_SECONDS, 10.1 + AGAIN_SECONDS), 3)],
)
def test_a_second_ctrl_c_ends_a_hanging_process_at_once(moments, survived):
    """One Ctrl-C arrives several times within moments, from the terminal and from torchrun: that is no second one."""
    fork = multiprocessing.get_context("fork")
    ready, now, asked = fork.Event(), fork.Value("d", 0.0), fork.Value("i", 0)
    process = fork.Process(target=waits_in_a_collective, args=(ready, now, asked))
    process.start()
    try:
        assert ready.wait(HANGS_SECONDS)
        for number, now.value in enumerate(moments, start=1):
            assert runs(process.pid), f"it ended at the Ctrl-C before number {number}"
            os.kill(process.pid, signal.SIGINT)
            until(lambda number=number: asked.value == number or not runs(process.pid), "the Ctrl-C to arrive")
        until(lambda: not runs(process.pid), "the second Ctrl-C to end it")
        assert asked.value == survived + 1
    finally:
        process.kill()
        process.join()
    assert process.exitcode == 128 + signal.SIGINT
