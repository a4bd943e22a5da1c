"""Where a motion generator is from: `checkpoint=latest`, and the step, score and date that are told of a checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

LATEST = "latest"
SCORES = ("lip_pc1",)  # of a run's metrics.json, the first that is there


@dataclass(frozen=True)
class Origin:
    """What is known of a checkpoint; None where it does not say. score: "lip_pc1 0.93". date: of the training."""

    step: int | None
    score: str | None
    date: str | None

    @property
    def facts(self) -> dict[str, str]:
        """For the metadata of a result: what is known, and that the rest is not."""
        return {
            "step": _or_unknown(self.step),
            "score": _or_unknown(self.score),
            "trained": _or_unknown(self.date),
        }

    @property
    def words(self) -> str:
        """For the user: "step 1024, lip_pc1 0.93, trained 2025-11-21"."""
        return f"step {_or_unknown(self.step)}, {self.score or 'no score'}, trained {self.date or 'at an unknown date'}"


def _or_unknown(value: object) -> str:
    return "unknown" if value is None else str(value)


def is_latest(given: str) -> bool:
    """Whether `checkpoint=` asks for the newest run: latest, or latest:EXPERIMENT."""
    return given == LATEST or given.startswith(f"{LATEST}:")


def find_latest(runs: Path, given: str) -> Path:
    """The run folder that `checkpoint=latest` or `checkpoint=latest:EXPERIMENT` means.

    Args:
        runs: the folder of all runs; each experiment's `latest` is a link to one.
        given: the word.

    Returns:
        Of the experiments' latest runs that came to their end the one that ended last.

    Raises:
        FileNotFoundError: there is none; says what there is.
    """
    experiment = given.partition(":")[2]
    found: list[Path] = []
    unfit: list[str] = []
    for link in sorted(runs.glob(f"*/{LATEST}")):
        name = link.parent.name
        if experiment and name != experiment:
            unfit.append(f"{name} (another experiment)")
        elif not (link / "metrics.json").is_file() or not any((link / "checkpoints").glob("*.ckpt")):
            unfit.append(f"{name} (its latest run has not come to its end)")
        elif not _generates(link):
            unfit.append(f"{name} (no motion generator)")
        else:
            found.append(link)
    if found:
        newest = max(found, key=lambda link: (link / "metrics.json").stat().st_mtime)
        return newest.resolve()
    there = "; there is " + ", ".join(unfit) if unfit else "; there is no run"
    raise FileNotFoundError(
        f"checkpoint={given}: no finished run of {experiment or 'any experiment'} under {runs}{there}; give the path "
        "of a run, or leave checkpoint= out for the one that comes with the package"
    )


def _generates(run: Path) -> bool:
    """Whether a run trained a motion generator; a sync expert's does not."""
    config = run / "config.yaml"
    return config.is_file() and OmegaConf.load(config).get("expert") is None


def origin_of_run(run: Path | None, checkpoint: Path, step: int | None) -> Origin:
    """What a run says of its checkpoint. The score is that of the checkpoint which the run scored, and of no other."""
    date = time.strftime("%Y-%m-%d", time.localtime(checkpoint.stat().st_mtime))
    metrics = run / "metrics.json" if run is not None else None
    score = None
    if metrics is not None and metrics.is_file():
        try:
            content = json.loads(metrics.read_text())
        except ValueError:
            content = None  # written by hand, or torn: the checkpoint itself is what counts
        score = _score(content, checkpoint, step)
    return Origin(step, score, date)


def _score(content: Any, checkpoint: Path, step: int | None) -> str | None:
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), dict):
        return None
    scored = Path(str(content.get("checkpoint"))).name == checkpoint.name and content.get("step") == step
    row = content["metrics"].get("model")
    if not scored or not isinstance(row, dict):
        return None
    for name in SCORES:
        entry = row.get(name)
        value = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(value, (int, float)):
            return f"{name} {value:.2f}"
    return None


def origin_of_file(facts: Mapping[str, str], step: int) -> Origin:
    """What an exported file says of itself in its metadata."""
    return Origin(step, facts.get("score"), facts.get("trained"))
