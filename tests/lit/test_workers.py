"""Data workers that die or stop: the run ends with the cause, or on Ctrl-C with a checkpoint to go on from."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from joyvasa.lit.checkpoints import read_checkpoint
from tests.waiting import HANGS_SECONDS

DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).resolve().parents[2]
WORKERS = "data.num_workers=2"


def callback(name: str, **keys) -> list[str]:
    words = {"_target_": f"driver.{name}"} | keys
    return [f"+callbacks.{name.lower()}.{key}={value}" for key, value in words.items()]


# Up to eight batches are fetched before and used up: it stops in mid-epoch, or where the next epoch begins.
@pytest.mark.parametrize("how", [(), ("trainer.val_check_interval=2",)], ids=["epoch", "often"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_no_batch_comes_saves_and_goes_on_exactly(number, how, tmp_path, fit, curve, state):
    whole = fit(tmp_path / "whole", *how)
    stop = callback("Stall", step=2, number=int(number))
    run = fit(tmp_path / "stopped", WORKERS, "data.windows_per_clip=4", *how, *stop, code=128 + number)
    saved = read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"]
    assert 2 <= saved < 12
    assert curve(run) == curve(whole, 0, saved)
    resumed = fit(tmp_path / "stopped", *how, f"resume={run}")
    assert curve(resumed) == curve(whole)
    assert all((value == state(whole)[name]).all() for name, value in state(resumed).items())


def test_a_signal_to_every_process_of_the_job_saves_too(tmp_path, fit):
    stop = callback("SignalAll", step=2, number=int(signal.SIGTERM))
    run = fit(tmp_path, WORKERS, *stop, code=143)
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] >= 3


@pytest.mark.parametrize("validation", [False, True])
def test_a_killed_worker_ends_the_run_with_its_cause(validation, tmp_path, fit):
    kill = callback("KillWorker", step=2, number=9, validation=validation)
    with pytest.raises(ChildProcessError, match="data worker [0-9]+ was killed .SIGKILL"):
        fit(tmp_path, WORKERS, "data.windows_per_clip=40", "trainer.val_check_interval=2", *kill)


@pytest.mark.slow
def test_of_two_ranks_one_whose_worker_is_killed_ends_both(tmp_path, ranks):
    run = ranks(tmp_path, WORKERS, *callback("KillWorker", step=2, number=9))
    assert 0 not in run.wait(), run.printed()
    assert "was killed (SIGKILL)" in run.printed()


@pytest.mark.torture
@pytest.mark.parametrize("size", ["4k", "64k"])
def test_a_small_dev_shm_is_told(size, tmp_path, tiny_args):
    """As in a container; needs root and `unshare`."""
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", mount]).returncode:
        pytest.skip("unshare -m and mount are not permitted here")
    command = f'{mount}; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", command, "sh", sys.executable, str(DRIVER), *tiny_args(tmp_path, WORKERS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=HANGS_SECONDS)
    assert done.returncode == 2
    assert "/dev/shm" in done.stderr and "--shm-size" in done.stderr and "data.num_workers=0" in done.stderr
