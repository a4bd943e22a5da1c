"""run.py without the scoring at the end, for subprocesses; and callbacks that watch a run or break it on purpose."""

from __future__ import annotations

import json
import os
from pathlib import Path

import lightning.pytorch as pl


class Stop(Exception):
    """What `RaiseAt` raises: to the files on disk it is as good as a kill."""


class RaiseAt(pl.Callback):
    """Breaks the run before optimizer step `step`."""

    def __init__(self, step: int):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            raise Stop


class SignalAt(pl.Callback):
    """Sends this process a signal during the optimizer step after `step` of them."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


class Record(pl.Callback):
    """Writes `folder`/rank<r>.json: [step, key, draw, weight] of every training example this rank saw."""

    def __init__(self, folder: str):
        self.folder, self.rows = Path(folder), []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        examples = zip(batch["key"], batch["draw"], batch["weight"].tolist(), strict=True)
        self.rows += [[trainer.global_step, *example] for example in examples]

    def on_train_end(self, trainer, pl_module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(self.rows))


if __name__ == "__main__":
    from joyvasa.__main__ import main
    from joyvasa.tasks import train

    train.score_and_show = lambda *scored: None
    main()
