"""Curves as one file: `metrics.csv` with a line per number (step, name, value), continued when a run is resumed.

Beside it `report.html` shows them.
"""

from __future__ import annotations

import csv
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from joyvasa.io.files import replacing
from joyvasa.lit.report import write_report
from joyvasa.lit.run_logger import RunLogger

HEADER = ["step", "name", "value"]
SPEED = "speed/"  # numbers of the machine, not of the run: a resumed run draws others


class CurveLogger(RunLogger):
    """Appends at each call, so that a killed run keeps its numbers.

    On resume the lines after the checkpoint's step are dropped: they are drawn again. (Lightning's CSVLogger starts
    its file anew.) The report is written after each validation and at the end, unless that would take more than
    a fiftieth of the time.
    """

    def __init__(self, *, folder: str):
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._report_due = 0.0

    @property
    def name(self) -> str:
        return "csv"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The configuration is beside the file, as config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(HEADER)
            writer.writerows([step, name, repr(float(value))] for name, value in metrics.items() if name != "epoch")
        if any(name.startswith("val/") for name in metrics) and time.monotonic() > self._report_due:
            self.report()

    def report(self) -> None:
        started = time.monotonic()
        try:
            write_report(self.path.parents[1], read_curves(self.path))
        except OSError as error:  # a full disk: the numbers themselves may still find room
            self.failures.append(f"report.html was not written: {error}")
            print(self.failures[-1], flush=True)
        ended = time.monotonic()
        self._report_due = ended + 50 * (ended - started)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.path.exists():
            self.report()

    @rank_zero_only
    def conclude(self, result: dict[str, Any], checkpoint: Path) -> None:
        """The report once more, now that the run is scored."""
        self.report()

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop what was logged at or after optimizer step `step` (lines are numbered from 0)."""
        if not self.path.exists():
            return
        rows = read_curves(self.path)
        with replacing(self.path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows([at, name, repr(value)] for at, name, value in rows if at < step)


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """(step, name, value) of each whole line; a line cut off by a kill is left out."""
    rows = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if len(row) == len(HEADER) and row != HEADER:
                rows.append((int(row[0]), row[1], float(row[2])))
    return rows
