"""Curves as one file: `metrics.csv` with a line per number (step, name, value), continued when a run is resumed."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from joyvasa.media import replacing

HEADER = ["step", "name", "value"]


class CurveLogger(Logger):
    """Appends at each call, so that a killed run keeps its numbers.

    On resume the lines after the checkpoint's step are dropped: they are drawn again. (Lightning's CSVLogger starts
    its file anew.)
    """

    def __init__(self, *, folder: str):
        super().__init__()
        self.path = Path(folder) / "metrics.csv"

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""  # the progress bar would show it at each step

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The configuration is beside the file, as config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(HEADER)
            writer.writerows([step, name, repr(float(value))] for name, value in metrics.items() if name != "epoch")

    def rewind(self, step: int) -> None:
        """Drop what was logged at or after optimizer step `step` (lines are numbered from 0)."""
        if not self.path.exists():
            return
        rows = read_curves(self.path)
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows([at, name, repr(value)] for at, name, value in rows if at < step)


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """(step, name, value) of each whole line; a line cut off by a kill is left out."""
    rows = []
    with open(path, newline="") as file:
        for row in csv.reader(file):
            if len(row) == len(HEADER) and row != HEADER:
                rows.append((int(row[0]), row[1], float(row[2])))
    return rows
