"""--multirun: every trial leaves a record in the sweep's folder; from these come the table and the plot at its end.

A trial trains in a run folder of its own. One that fails is recorded with its error and answers its status instead of a
number, which Optuna takes for a failed trial; the others go on. Once the budget is spent the remaining ones are
recorded as not run.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from joyvasa.tasks.trials import DONE, FAILED, INTERRUPTED, NOT_RUN, SCORES, Trial, read_trials

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Sweep(Callback):
    """Hydra calls it before the first trial: opens the sweep's folder with `sweep.json`. `main` closes it, whatever
    ended the sweep, so that Ctrl-C too leaves the table of what is done."""

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        _require_plugins(config)
        _require_objective(config)
        folder = Path(config.hydra.sweep.dir)
        facts = {
            "name": f"{config.name}-{folder.name}",
            "started": time.time(),
            "first": len(read_trials(folder)),  # a study that goes on numbers its trials behind those it has
            "objective": OmegaConf.to_container(config.objective),
            "command": " ".join(sys.argv),
        }
        from joyvasa.tasks.runs import write_json

        write_json(folder / "sweep.json", facts)
        Sweep.folder = folder

    @classmethod
    def close(cls) -> int:
        """Write and print the summary of the open sweep; exit code 1 when no trial was done, 0 without a sweep."""
        if cls.folder is None:
            return 0
        from joyvasa.tasks.sweep_report import summarise

        folder, cls.folder = cls.folder, None
        trials = summarise(folder)
        return 0 if any(trial.status == DONE for trial in trials) else 1


def _require_plugins(config: DictConfig) -> None:
    """Leave with one sentence where the sweeper or launcher asked for is not installed."""
    for node, extra in ((config.hydra.sweeper, "sweep"), (config.hydra.launcher, "cluster")):
        package = ".".join(node["_target_"].split(".")[:2])
        if importlib.util.find_spec(package.partition(".")[0]) is None or importlib.util.find_spec(package) is None:
            print(f'error: {package} is not installed; run: pip install -e ".[{extra}]"', file=sys.stderr)
            sys.exit(2)  # Hydra turns a callback's exceptions into warnings, but not this one


def _require_objective(config: DictConfig) -> None:
    """Leave with one sentence where no trial could have the number that the sweep looks at."""
    from joyvasa.tasks.objectives import check_objective

    try:
        check_objective(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def run_trial(cfg: DictConfig, overrides: list[str], task: Callable[[], int]) -> float | str:
    """Run `task` as a trial of the sweep Hydra is in; returns its objective, its status where there is none.

    What the task writes to `out=` goes to a folder of this trial. Raises KeyboardInterrupt, which ends the sweep, when
    the task was stopped by Ctrl-C.
    """
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().sweep.dir)
    facts = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    number = facts["first"] + HydraConfig.get().job.num
    given = dict(word.lstrip("+").partition("=")[::2] for word in overrides)
    if _spent(cfg, folder, facts):
        return _record(folder, Trial(number, NOT_RUN, given))
    cfg.out = str(Path(cfg.out or folder) / f"trial-{number}")
    if "wandb" in cfg.logger and "logger.wandb.group" not in given:
        cfg.logger.wandb.group = facts["name"]
    started, status, error = time.monotonic(), FAILED, ""
    objective, scores = None, {}
    try:
        with _as_typed_alone(overrides):
            code = task()
        status = INTERRUPTED if code > 128 else FAILED if code else DONE
        error = f"exit code {code}" if code else ""
        if status == DONE:
            objective, scores = read_scores(Path(cfg.paths.run or cfg.out), cfg.objective.name)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as failure:  # whatever it is, the other trials are not to be lost to it
        status, error = FAILED, _sentence(failure)
        (folder / "trials").mkdir(exist_ok=True)
        (folder / "trials" / f"{number}.error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        print(f"trial {number} failed: {error}\n(traceback: {folder}/trials/{number}.error.txt)", file=sys.stderr)
    _free_memory()
    seconds = round(time.monotonic() - started, 1)
    run = next((path for path in (cfg.paths.run, cfg.out) if path and Path(path).is_dir()), None)
    value = _record(folder, Trial(number, status, given, objective, scores, seconds, run, error))
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return value


def _spent(cfg: DictConfig, folder: Path, facts: dict) -> bool:
    ran = sum(t.status != NOT_RUN for t in read_trials(folder) if t.number >= facts["first"])
    late = cfg.budget.minutes is not None and time.time() - facts["started"] >= 60 * cfg.budget.minutes
    return late or (cfg.budget.trials is not None and ran >= cfg.budget.trials)


@contextmanager
def _as_typed_alone(overrides: list[str]) -> Iterator[None]:
    """The command line is this trial's: for the command that resumes it, and for processes Lightning starts.

    A trial that failed while training leaves its signal handlers behind; the former ones are put back.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    typed, sys.argv = sys.argv, [sys.argv[0], *overrides]
    try:
        yield
    finally:
        sys.argv = typed
        for number, handler in before.items():
            signal.signal(number, handler)


def _sentence(error: Exception) -> str:
    """One line; what the program says by itself needs no name of a class before it."""
    if type(error).__name__ == "InstantiationException" and error.__cause__:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text if text and isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {text}"


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _record(folder: Path, trial: Trial) -> float | str:
    """Write the trial's file, on the first process alone; returns what Hydra's sweeper is told.

    No NaN: hydra-optuna-sweeper 1.3.0 passes it on to a failed trial, which Optuna refuses, and the sweep ends.
    """
    from joyvasa.lit.distributed import is_rank_zero
    from joyvasa.tasks.runs import write_json

    if is_rank_zero():
        write_json(folder / "trials" / f"{trial.number}.json", asdict(trial))
    return trial.status if trial.objective is None else trial.objective


def read_scores(folder: Path, name: str) -> tuple[float, dict[str, float | None]]:
    """The objective `name` of a finished run, and its main scores.

    `name` is a score of the model (lip_pc1), a number of metrics.json or bench.json (examples_per_second), or a curve
    (val/loss): then its last value at the checkpoint that was scored. Raises ValueError where it is none or not finite.
    """
    facts: dict[str, Any] = {}
    for file in ("bench.json", "metrics.json"):
        if (folder / file).is_file():
            facts |= json.loads((folder / file).read_text(encoding="utf-8"))
    scores = {metric: score["value"] for metric, score in facts.get("metrics", {}).get("model", {}).items()}
    values = {key: value for key, value in facts.items() if isinstance(value, (int, float))} | scores
    values |= _curves(folder / "logs" / "metrics.csv", facts.get("step", math.inf))
    if name not in values:
        raise ValueError(f"objective.name={name}: nothing of this name in {folder} (there is: {', '.join(values)})")
    if values[name] is None or not math.isfinite(values[name]):
        raise ValueError(f"objective.name={name} is {values[name]}: the training diverged, or the score is undefined")
    return float(values[name]), {metric: scores[metric] for metric in SCORES if metric in scores}


def _curves(file: Path, step: float) -> dict[str, float]:
    if not file.is_file():
        return {}
    from joyvasa.lit.csv_logger import read_curves

    return {name: value for at, name, value in read_curves(file) if at < step}
