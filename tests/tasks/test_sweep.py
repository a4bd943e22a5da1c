"""--multirun: a grid and an Optuna search leave a table and a plot; what fails is reported, what the budget or Ctrl-C
leaves undone is said, and the rest is done."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from joyvasa.tasks import bench, train
from joyvasa.tasks.objectives import SCORES
from joyvasa.tasks.sweep import DONE, FAILED, INTERRUPTED, NOT_RUN, Trial, read_scores, read_trials
from joyvasa.tasks.sweep_report import best_of, plot, swept, table
from tests.tasks.conftest import TINY

NO_OPTUNA = importlib.util.find_spec("hydra_plugins") is None or (
    importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> list[str]:
    """The tiny model as an experiment: Hydra parses every word of a command line several times a trial, slowly."""
    folder = tmp_path_factory.mktemp("conf")
    node = OmegaConf.from_dotlist([word for word in TINY if not word.startswith("experiment=")])
    (folder / "experiment").mkdir()
    text = f"# @package _global_\ndefaults:\n  - demo\n\n{OmegaConf.to_yaml(node)}"
    (folder / "experiment" / "tiny.yaml").write_text(text)
    return [f"hydra.searchpath=[file://{folder}]", "experiment=tiny"]


@pytest.fixture
def sweep(run, home, tiny, tmp_path, monkeypatch):
    """(*words) -> (Done, sweep folder) of a --multirun of runs that are trained but not scored."""
    monkeypatch.setattr(train, "score_and_show", lambda *scored: {"metrics": {}})

    def command(*words: str):
        folder = tmp_path / "sweep"
        return run("--multirun", f"hydra.sweep.dir={folder}", *tiny, *words), folder

    return command


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "summary.csv").open()))


def test_a_grid_of_four_with_failing_trials_does_the_rest(sweep, home):
    done, folder = sweep("optim.optimizer.lr=1e-3,3e-3", "denoiser.width=15,16", "name=grid", "run_id=g")
    assert done.code == 0, done.err
    trials = read_trials(folder)
    assert [trial.status for trial in trials] == [FAILED, DONE, FAILED, DONE]
    assert {Path(trial.run).resolve() for trial in trials} == {home / "runs" / "grid" / f"g-{n}" for n in range(4)}
    assert all("Traceback" in (folder / "trials" / f"{number}.error.txt").read_text() for number in (0, 2))
    summary = (folder / "summary.md").read_text()
    assert summary in done.out and "2 done, 2 failed; minimize val/loss" in summary
    assert "trial 0 failed: RuntimeError: mat1 and mat2" in summary
    assert (folder / "summary.png").stat().st_size > 10_000
    table = rows(folder)
    assert [row["optim.optimizer.lr"] for row in table] == ["0.001", "0.001", "0.003", "0.003"]
    assert [row["denoiser.width"] for row in table] == ["15", "16", "15", "16"]
    assert [row["val/loss"] != "" for row in table] == [False, True, False, True]
    assert table[0]["error"].startswith("RuntimeError")


def test_a_trial_is_the_run_that_its_overrides_alone_would_make(sweep, run, home, tiny):
    _, folder = sweep("denoiser.width=16,24", "name=alone", "run_id=swept")
    assert run(*tiny, "denoiser.width=24", "name=alone", "run_id=single").code == 0
    value, _ = read_scores(home / "runs" / "alone" / "single", "val/loss")
    assert read_trials(folder)[1].objective == value


@pytest.mark.parametrize(
    "words, fact",
    [
        (("objective.name=val/los",), "val/loss"),
        (("objective.name=val/lip_pc1",), "callbacks.samples"),  # logged from step 512 on; a trial has 4
        (("trainer.limit_val_batches=0",), "trainer.limit_val_batches"),
    ],
)
def test_an_objective_that_cannot_exist_is_refused_before_the_first_trial(words, fact, sweep, home):
    done, folder = sweep("optim.optimizer.lr=1e-3,3e-3", "name=never", *words)
    assert done.code == 2 and fact in done.err and "train/loss" in done.err
    assert not read_trials(folder) and not (home / "runs" / "never").exists()


def test_the_scores_that_a_sweep_knows_are_those_of_a_run(trained):
    scores = json.loads((trained / "metrics.json").read_text())["metrics"]["model"]
    assert set(scores) == set(SCORES)


def test_a_sweep_moves_no_link_to_the_latest_run(sweep, home):
    sweep("denoiser.width=16,24", "name=swept_only")
    assert len(list((home / "runs" / "swept_only").iterdir())) == 2
    assert not (home / "runs" / "swept_only" / "latest").exists()


@pytest.mark.skipif(NO_OPTUNA, reason='hydra-optuna-sweeper is not installed: pip install -e ".[sweep]"')
def test_an_optuna_search_of_three_with_a_failing_trial(sweep):
    """The first point of the search space is drawn by the seed; the choice of widths makes one of these trials fail."""
    import optuna

    words = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "denoiser.width=choice(15,16)", "denoiser.depth=1")
    done, folder = sweep(*words, "name=search", "seed=1")
    assert done.code == 0, done.err
    trials = read_trials(folder)
    widths = [trial.overrides["denoiser.width"] for trial in trials]
    assert set(widths) == {"15", "16"}, "choose a seed that draws both"
    assert [trial.status for trial in trials] == [DONE if width == "16" else FAILED for width in widths]
    assert all(3e-4 <= float(trial.overrides["optim.optimizer.lr"]) <= 1e-2 for trial in trials)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/optuna.db")
    assert [trial.value for trial in study.trials] == [trial.objective for trial in trials]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE" if w == "16" else "FAIL" for w in widths]
    best = OmegaConf.load(folder / "optimization_results.yaml").best_value
    assert best == min(trial.objective for trial in trials if trial.objective is not None)
    again, _ = sweep(*words, "name=search", "seed=1", "budget.trials=1", "hydra.sweeper.n_trials=2")
    assert [trial.status for trial in read_trials(folder)[3:]][1] == NOT_RUN, "the study goes on behind its trials"
    assert len(read_trials(folder)) == 5 and again.code == 0


@pytest.mark.skipif(not NO_OPTUNA, reason="hydra-optuna-sweeper is installed")
def test_without_the_extra_the_command_that_gets_it_is_named(sweep):
    done, _ = sweep("hydra/sweeper=optuna")
    assert done.code == 2 and "[sweep]" in done.err


def test_a_sweeps_runs_are_a_group_in_wandb_unless_another_is_given(sweep, home, monkeypatch):
    def before_training(*args, **kwargs):
        raise RuntimeError("the configuration is written")

    monkeypatch.setattr(train, "build_trainer", before_training)
    done, folder = sweep("denoiser.width=16", "logger=wandb", "seed=1,2", "name=group", "run_id=own")
    assert (
        done.code == 1
        and [trial.error for trial in read_trials(folder)] == ["RuntimeError: the configuration is written"] * 2
    )
    groups = [OmegaConf.load(home / "runs" / "group" / f"own-{n}" / "config.yaml").logger.wandb.group for n in (0, 1)]
    assert groups == ["group-sweep"] * 2
    sweep("denoiser.width=16", "logger=wandb", "logger.wandb.group=mine", "name=group", "run_id=given")
    assert OmegaConf.load(home / "runs" / "group" / "given-0" / "config.yaml").logger.wandb.group == "mine"


def test_what_is_beyond_the_budget_is_listed_as_not_run(sweep):
    done, folder = sweep("denoiser.width=16", "seed=1,2", "budget.trials=1", "name=budget")
    assert done.code == 0 and [row["status"] for row in rows(folder)] == [DONE, NOT_RUN]
    assert "raise budget.minutes or budget.trials" in done.out


def test_a_sweep_of_which_nothing_is_done_ends_with_an_error(sweep):
    done, folder = sweep("denoiser.width=16", "seed=1,2", "budget.minutes=0", "name=none")
    assert done.code == 1 and [row["status"] for row in rows(folder)] == [NOT_RUN, NOT_RUN]
    assert not (folder / "summary.png").exists()


def test_ctrl_c_leaves_the_summary_of_what_is_done(sweep, monkeypatch):
    real, begun = train.build_trainer, []

    def interrupted(*args, **kwargs):
        begun.append(real(*args, **kwargs))
        if len(begun) == 2:
            monkeypatch.setattr(begun[1], "fit", lambda *a, **k: os.kill(os.getpid(), signal.SIGINT))
        return begun[-1]

    monkeypatch.setattr(train, "build_trainer", interrupted)
    done, folder = sweep("denoiser.width=16", "seed=1,2,3", "name=stopped")
    assert done.code == 130
    assert [row["status"] for row in rows(folder)] == [DONE, INTERRUPTED]
    assert "the trials behind it were not begun" in done.out


def test_the_objective_is_a_score_a_number_or_a_curve_at_the_scored_checkpoint(tmp_path):
    (tmp_path / "logs").mkdir()
    lines = ["step,name,value", "3,val/loss,2.0", "7,val/loss,1.0", "9,val/loss,9.0", "9,bad,nan"]
    (tmp_path / "logs" / "metrics.csv").write_text("\n".join(lines) + "\n")
    facts = {"step": 8, "training_seconds": 3.5, "metrics": {"model": {"lip_pc1": {"value": 0.4}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(facts))
    assert read_scores(tmp_path, "val/loss") == (1.0, {"lip_pc1": 0.4})
    assert read_scores(tmp_path, "lip_pc1")[0] == 0.4 and read_scores(tmp_path, "training_seconds")[0] == 3.5
    with pytest.raises(ValueError, match="nothing of this name.*lip_pc1"):
        read_scores(tmp_path, "lip_pc7")
    (tmp_path / "metrics.json").write_text(json.dumps(facts | {"step": 10}))
    with pytest.raises(ValueError, match="is nan"):
        read_scores(tmp_path, "bad")


def trial(number: int, objective: float | None, **overrides: str) -> Trial:
    return Trial(number, FAILED if objective is None else DONE, overrides, objective)


def test_what_differs_is_a_column_and_the_best_is_marked(tmp_path):
    trials = [trial(0, 2.0, lr="1e-3", loss="motion"), trial(1, None, lr="1e-2", loss="motion"),
              trial(2, 3.0, lr="1e-1", loss="motion")]  # fmt: skip
    assert swept(trials) == ["lr"]
    assert best_of(trials, "minimize").number == 0 and best_of(trials, "maximize").number == 2
    assert best_of(trials[1:2], "minimize") is None
    text = table(trials, ["lr"], "val/loss", trials[0])
    assert len({len(line) for line in text.splitlines()}) == 1 and text.count("*") == 1
    facts = {"name": "x", "objective": {"name": "val/loss", "direction": "maximize"}}
    plot(tmp_path / "plot.png", trials, ["lr"], facts)
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_a_bench_can_be_swept(sweep):
    objective = ("objective.name=examples_per_second", "objective.direction=maximize")
    steps = ("bench.steps=1", "bench.warmup=1", "task=bench")  # one: medians of several do not add up
    done, folder = sweep("denoiser.width=16", "data.batch_size=1,2", *steps, *objective)
    assert done.code == 0, done.err
    facts = [json.loads((folder / f"trial-{number}" / "bench.json").read_text()) for number in (0, 1)]
    assert [fact["batch_size"] for fact in facts] == [1, 2]
    assert [trial.objective for trial in read_trials(folder)] == [fact["examples_per_second"] for fact in facts]
    for fact in facts:
        parts = sum(fact["seconds"][part] for part in bench.PARTS if part != "data")  # waited for before the step
        assert min(fact["seconds"].values()) >= 0 and parts <= fact["seconds"]["step"]
        assert fact["seconds"]["encoder"] > 0 and fact["mfu"] is None and math.isfinite(fact["tflops"])
