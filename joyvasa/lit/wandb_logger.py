"""Weights & Biases: the run's id is the run folder's name, so that a resumed run continues its curves."""

from __future__ import annotations

from pathlib import Path


def wandb_logger(*, project: str, offline: bool, group: str, folder: str):
    """A Lightning WandbLogger writing under the run folder. Offline runs are sent later by `wandb sync`."""
    from lightning.pytorch.loggers import WandbLogger

    Path(folder).mkdir(parents=True, exist_ok=True)
    name = Path(folder).name
    return WandbLogger(
        project=project,
        offline=offline,
        group=group,
        save_dir=folder,
        id=name,
        name=name,
        resume="allow",
        log_model=False,
    )
