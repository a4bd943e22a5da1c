"""Ctrl-C: the step is finished and saved, the command that goes on is printed, and nothing of the curves is lost."""

from __future__ import annotations

import shlex
import signal

import pytest

from joyvasa.lit.checkpoints import read_checkpoint


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
