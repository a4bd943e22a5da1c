"""Checkpoints: written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes under a temporary name, flushes to disk, renames: a full disk or a kill leaves the previous file whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path, storage_options=None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        try:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError of its zip writer
            temporary.unlink(missing_ok=True)
            raise OSError(
                f"{path}: checkpoint not written ({error}); the previous one is whole. Free disk space and resume"
            ) from error

    def load_checkpoint(self, path, map_location=None, weights_only=True) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class Checkpoints(ModelCheckpoint):
    """`best.ckpt` by a validation metric and `last.ckpt` every `every_steps` steps; the last but one stays as
    `previous.ckpt`, so that two whole checkpoints exist at any time."""

    def __init__(self, *, folder: str, monitor: str, mode: str, every_steps: int):
        super().__init__(
            dirpath=folder, filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False
        )
        self.every_steps = every_steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        stepped = trainer.global_step != getattr(self, "_saved_step", None)
        if stepped and trainer.global_step and trainer.global_step % self.every_steps == 0:
            self.keep(trainer)

    def keep(self, trainer) -> Path:
        """Save the present state as `last.ckpt`; returns its path."""
        self._saved_step = trainer.global_step
        last = Path(self.dirpath) / "last.ckpt"
        if trainer.is_global_zero and last.exists():
            os.replace(last, last.with_name("previous.ckpt"))
            os.link(last.with_name("previous.ckpt"), last)
        trainer.save_checkpoint(last)
        return last

    def on_train_end(self, trainer, pl_module) -> None:
        if trainer.global_step != getattr(self, "_saved_step", None):
            self.keep(trainer)


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file meant by a file, a run folder or a link to one: `best.ckpt`, else `last.ckpt`."""
    path = Path(path)
    if path.is_file():
        return path
    for name in ("best.ckpt", "last.ckpt"):
        candidate = path.resolve() / "checkpoints" / name
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{path}: no checkpoint there (expected checkpoints/best.ckpt); train one: make demo")


def load_averaged(module: nn.Module, path: Path) -> int:
    """Load the averaged weights, where there is an average, into a LightningModule; returns the step it was saved at.

    Raises ValueError when the file is no whole checkpoint or is of another model, naming the keys.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(checkpoint["state_dict"])
    except Exception as error:
        raise ValueError(f"{path}: not a whole checkpoint of this framework ({error})") from error
    state |= checkpoint.get("callbacks", {}).get("EMA", {}).get("average", {})
    wrong = module.load_state_dict(state, strict=False)
    if wrong.missing_keys or wrong.unexpected_keys:
        raise ValueError(f"{path}: of another model (missing {wrong.missing_keys}, surplus {wrong.unexpected_keys})")
    return int(checkpoint["global_step"])
