"""What a logger of this framework does beyond Lightning's: follow a resume, take the scores at the end, own up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

PROBLEMS = "problems.txt"  # beside the curves: what went wrong in a logger


class RunLogger(Logger):
    """`failures`: what could not be logged, one sentence each; none of it ended the training."""

    def __init__(self):
        super().__init__()
        self.failures: list[str] = []

    @property
    def version(self) -> str:
        return ""  # the progress bar would show it at each step

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Before a run is resumed at optimizer step `step`."""

    @rank_zero_only
    def conclude(self, result: dict[str, Any], checkpoint: Path) -> None:
        """After the run was trained and scored: metrics.json's content, and the checkpoint that was scored."""
