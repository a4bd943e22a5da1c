"""What is left of the trials of a sweep: a record each, in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

DONE, FAILED, INTERRUPTED, NOT_RUN = "done", "failed", "interrupted", "not run: budget"
SCORES = ("lip_pc1", "lip_pc2", "closure_f1", "frechet_motion")  # shown beside the objective


@dataclass(frozen=True)
class Trial:
    """What is left of one trial; `objective` None where there is none, `run` None where it made no folder."""

    number: int
    status: str
    overrides: dict[str, str]
    objective: float | None = None
    scores: dict[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    run: str | None = None
    error: str = ""


def read_trials(folder: Path) -> list[Trial]:
    """The trials recorded in a sweep's folder, by number."""
    files = (folder / "trials").glob("*.json")
    return sorted(
        (Trial(**json.loads(file.read_text(encoding="utf-8"))) for file in files), key=lambda trial: trial.number
    )
