"""A sweep's table (summary.csv, summary.md, printed) and plot (summary.png), from the records of its trials.

`python -m joyvasa.tasks.sweep_report FOLDER` makes them anew, also while the sweep runs.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from joyvasa.io.files import replacing
from joyvasa.tasks.runs import write_text
from joyvasa.tasks.trials import DONE, FAILED, INTERRUPTED, NOT_RUN, SCORES, Trial, read_trials

DOT, BEST, CROSS, GREY = "#3a86a8", "#d1495b", "#8d99ae", "#adb5bd"
_LOG_FROM = 4  # largest by smallest value of a parameter that is drawn on a logarithmic axis


def summarise(folder: Path) -> list[Trial]:
    """Write and print the summary of the trials recorded in `folder`; returns them."""
    trials, facts = read_trials(folder), json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    name, direction = facts["objective"]["name"], facts["objective"]["direction"]
    keys = swept(trials)
    best = best_of(trials, direction)
    parts = [*_heading(facts, trials, keys, best), "", table(trials, keys, name, best), *_notes(trials, folder)]
    text = "\n".join(parts)
    write_text(folder / "summary.md", text + "\n")
    write_text(folder / "summary.csv", _csv(trials, keys, name))
    print(f"\n{text}\n")
    written = ["summary.md", "summary.csv"]
    if any(trial.objective is not None for trial in trials):
        plot(folder / "summary.png", trials, keys, facts)
        written.append("summary.png")
    print("\n".join(f"sweep     {folder / file}" for file in written), flush=True)
    return trials


def swept(trials: Sequence[Trial]) -> list[str]:
    """The overrides that differ between trials, in the order they were given."""
    keys = dict.fromkeys(key for trial in trials for key in trial.overrides)
    differ = [key for key in keys if len({trial.overrides.get(key) for trial in trials}) > 1]
    return [key for key in differ if not key.startswith("budget.")]  # a study that goes on may be given another


def best_of(trials: Sequence[Trial], direction: str) -> Trial | None:
    """The trial of the lowest objective, of the highest where it is maximised; None where none has one."""
    sign = -1 if direction == "maximize" else 1
    return min((t for t in trials if t.objective is not None), key=lambda t: sign * t.objective, default=None)


def _heading(facts: dict, trials: Sequence[Trial], keys: list[str], best: Trial | None) -> list[str]:
    count = {status: sum(trial.status == status for trial in trials) for status in (DONE, FAILED, INTERRUPTED, NOT_RUN)}
    counted = ", ".join(f"{number} {status}" for status, number in count.items() if number) or "no trial was begun"
    goal = f"{facts['objective']['direction']} {facts['objective']['name']}"
    lines = [f"Sweep {facts['name']}: {counted}; {goal}"]
    if best is not None:
        lines.append(f"Best: trial {best.number}, " + " ".join(f"{key}={best.overrides.get(key)}" for key in keys))
    fixed = [f"{key}={value}" for key, value in (trials[0].overrides if trials else {}).items() if key not in keys]
    return [*lines, f"The same in all: {' '.join(fixed)}"] if fixed else lines


def table(trials: Sequence[Trial], keys: list[str], objective: str, best: Trial | None) -> str:
    """A Markdown table, padded so that it is as readable in a terminal; the best objective is marked by a star."""
    known = {score for trial in trials for score, value in trial.scores.items() if value is not None}
    scores = [score for score in SCORES if score in known - {objective}]
    rows = [["trial", *keys, objective, *scores, "seconds", "status", "run"]]
    for trial in trials:
        value = _short(trial.objective) + (" *" if trial is best else "")
        marks = [_short(trial.scores.get(score)) for score in scores]
        parameters = [_parameter(trial.overrides.get(key, "")) for key in keys]
        rows.append(
            [str(trial.number), *parameters, value, *marks, f"{trial.seconds:.0f}", trial.status, _near(trial.run)]
        )
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in width) + "|", *lines[1:]])


def _notes(trials: Sequence[Trial], folder: Path) -> list[str]:
    """A line for each trial that failed; and what to do about trials that were not run."""
    lines = [
        f"- trial {trial.number} failed: {trial.error} (traceback: {folder / 'trials' / f'{trial.number}.error.txt'})"
        for trial in trials
        if trial.status == FAILED
    ]
    if any(trial.status == INTERRUPTED for trial in trials):
        lines.append("- interrupted: the trials behind it were not begun; its run goes on with resume=RUN")
    if any(trial.status == NOT_RUN for trial in trials):
        lines.append("- the budget was spent; raise budget.minutes or budget.trials to run the rest")
    return ["", *lines] if lines else []


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _parameter(text: str) -> str:
    """Optuna writes numbers with sixteen digits."""
    number = _number(text)
    return text if number is None or len(text) < 8 else f"{number:.4g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _near(path: str | None) -> str:
    """The path from the working directory, where it is below that."""
    if path is None:
        return ""
    absolute = Path(path).resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _csv(trials: Sequence[Trial], keys: list[str], objective: str) -> str:
    """Everything, a line a trial; numbers unrounded."""
    out = io.StringIO()
    scores = [score for score in SCORES if score != objective]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", *keys, objective, *scores, "seconds", "status", "run", "error"])
    for trial in trials:
        values = [trial.overrides.get(key, "") for key in keys]
        numbers = [trial.objective, *(trial.scores.get(score) for score in scores), trial.seconds]
        texts = ["" if number is None else repr(number) for number in numbers]
        writer.writerow([trial.number, *values, *texts, trial.status, trial.run or "", trial.error])
    return out.getvalue()


def plot(path: Path, trials: Sequence[Trial], keys: list[str], facts: dict) -> None:
    """The objective by trial, with the best so far; and against each swept parameter that is a number."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    name, direction = facts["objective"]["name"], facts["objective"]["direction"]
    done = [trial for trial in trials if trial.objective is not None]
    numeric = [key for key in keys if all(_number(trial.overrides.get(key, "")) is not None for trial in done)]
    panels = 1 + len(numeric)
    columns = 2 if panels == 4 else min(panels, 3)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    best = best_of(trials, direction)
    _by_trial(axes[0], trials, done, best, direction)
    for axis, key in zip(axes[1:], numeric, strict=False):
        _by_parameter(axis, done, best, key)
    for axis in axes[panels:]:
        axis.set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel(f"{name} ({'higher' if direction == 'maximize' else 'lower'} is better)")
    figure.suptitle(f"Sweep {facts['name']}", fontsize=10)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=4 if columns > 1 else 2)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _by_trial(axis, trials: Sequence[Trial], done: list[Trial], best: Trial, direction: str) -> None:
    from matplotlib.ticker import MaxNLocator

    running, pick = [], max if direction == "maximize" else min
    for trial in done:
        running.append(pick([trial.objective, *running[-1:]]))
    begun, end = [trial.number for trial in done], trials[-1].number
    axis.step([*begun, end], [*running, running[-1]], where="post", color=GREY, linewidth=1, label="best so far")
    axis.scatter(begun, [trial.objective for trial in done], color=DOT, s=22, label="trial", zorder=2)
    axis.scatter([best.number], [best.objective], color=BEST, s=44, label="best", zorder=3)
    lost = [trial.number for trial in trials if trial.objective is None]
    if lost:  # they have no value: on the edge that is worst, so that none passes for a good one
        edge = [0.03 if direction == "maximize" else 0.97] * len(lost)
        how = {"color": CROSS, "marker": "x", "s": 30, "label": "failed or not run"}
        axis.scatter(lost, edge, transform=axis.get_xaxis_transform(), **how)
    axis.margins(y=0.12)
    axis.set_xlim(trials[0].number - 0.5, end + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("trial")


def _by_parameter(axis, done: list[Trial], best: Trial, key: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    values = [float(trial.overrides[key]) for trial in done]
    if min(values) > 0 and max(values) >= _LOG_FROM * min(values):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
    axis.scatter(values, [trial.objective for trial in done], color=DOT, s=22)
    axis.scatter([float(best.overrides[key])], [best.objective], color=BEST, s=44)
    if len(set(values)) <= 4:  # a grid: its values are the ticks, and no others
        axis.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
    axis.margins(x=0.15, y=0.12)
    axis.set_xlabel(key)


if __name__ == "__main__":
    summarise(Path(sys.argv[1]))
