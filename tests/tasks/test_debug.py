"""debug=fast runs through, debug=overfit learns one batch or says that it does not, debug=profile leaves its files."""

from __future__ import annotations

import json

import numpy as np

from joyvasa.lit.csv_logger import read_curves
from tests.tasks.conftest import TINY

SMALL = [word for word in TINY if not word.startswith(("trainer.", "optim.", "eval."))]


def curve(folder, name: str) -> list[float]:
    return [value for _, called, value in read_curves(folder / "logs" / "metrics.csv") if called == name]


def test_fast_is_two_steps_and_leaves_the_latest_run_of_the_experiment_alone(run, home):
    done = run(*SMALL, "debug=fast", "run_id=fast", "eval.previews=0")
    assert done.code == 0, done.err
    folder = home / "runs" / "debug" / "fast"
    assert json.loads((folder / "metrics.json").read_text())["step"] == 2
    assert len(curve(folder, "train/loss")) == 2 and len(curve(folder, "val/loss")) == 1
    assert not list((folder / "preview").glob("step-*"))


def test_overfit_learns_one_batch(run, home):
    done = run(*SMALL, "debug=overfit", "run_id=overfit", "trainer.max_steps=80", "trainer.log_every_n_steps=1")
    assert done.code == 0, done.err
    losses = curve(home / "runs" / "debug" / "overfit", "train/loss")
    assert len(losses) == 80 and np.mean(losses[-5:]) < losses[0] / 3
    assert "one batch, 80 steps: the loss fell to 0." in done.out


def test_overfit_says_when_nothing_is_learnt(run):
    done = run(*SMALL, "debug=overfit", "run_id=frozen", "trainer.max_steps=10", "optim.optimizer.lr=0")
    assert done.code == 2 and "what trains does not learn" in done.err


def test_profile_leaves_a_table_and_a_trace(run, home):
    done = run(*SMALL, "debug=profile", "run_id=profile")
    assert done.code == 0, done.err
    logs = home / "runs" / "debug" / "profile" / "logs"
    text = (logs / "profile.txt").read_text()
    for part in ("forward", "encoder", "denoiser", "loss", "backward"):
        assert f"step: {part}" in text
    assert json.loads((logs / "trace.json").read_text())["traceEvents"]


def test_profile_needs_enough_steps(run):
    done = run(*SMALL, "debug=profile", "run_id=short", "trainer.max_steps=4")
    assert done.code == 2 and "profiling needs 8" in done.err


def test_bench_prints_every_part_and_writes_them(run, home):
    done = run(*SMALL, "task=bench", "bench.steps=2", "bench.warmup=1", "name=timed", "run_id=timed")
    assert done.code == 0, done.err
    for part in ("data", "encoder", "forward", "backward", "optimizer", "step"):
        assert f"\n{part} " in done.out
    assert json.loads((home / "runs" / "timed" / "timed" / "bench.json").read_text())["bench_steps"] == 2
