"""Checkpoints: written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from joyvasa.io.files import named_in_utf8, replacing
from joyvasa.lit.finite import checkpoint_tensors, listed, not_finite, settle
from joyvasa.lit.stops import NotFiniteError

_BROKEN = "not a whole checkpoint of this framework; take previous.ckpt beside it, or train anew"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes under a temporary name, flushes to disk, renames: a full disk or a kill leaves the previous file whole.

    What holds NaN or infinity is not written at all, so that it never takes the place of a good checkpoint.
    `by_design`: names of buffers that may.
    """

    def __init__(self, by_design: frozenset[str] = frozenset()):
        super().__init__()
        self.by_design = by_design

    def save_checkpoint(self, checkpoint: dict[str, Any], path, storage_options=None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            NotFiniteError: a weight, moving average or optimizer state is not finite; names the first ones.
            OSError: the file could not be written.
        """
        broken = not_finite(checkpoint_tensors(checkpoint, self.by_design))
        if broken:
            what = f"step {checkpoint.get('global_step')}: {path} is not written; not finite: {listed(broken)}"
            raise NotFiniteError(what, everywhere=False)
        try:
            with replacing(path) as temporary, open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError of its zip writer
            raise OSError(
                f"{path}: checkpoint not written ({error}); the previous one is whole. Free disk space and resume"
            ) from error

    def load_checkpoint(self, path, map_location=None, weights_only=True) -> dict[str, Any]:
        return read_checkpoint(path)


class Checkpoints(ModelCheckpoint):
    """`best.ckpt` by a validation metric and `last.ckpt` every `every_steps` steps; the last but one stays as
    `previous.ckpt`, so that two whole checkpoints exist at any time."""

    def __init__(self, *, folder: str, monitor: str, mode: str, every_steps: int):
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.every_steps = every_steps
        self._saved_step: int | None = None
        self._last_validation = False

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == trainer.max_steps and between_steps(trainer):
            # The last step, and no validation is due: Lightning validates once more before it stops when asked to.
            trainer.should_stop = True
            self._last_validation = not between_steps(trainer)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._due(trainer) and between_steps(trainer):
            log_now(trainer)
            self.keep(trainer)

    def on_validation_end(self, trainer, pl_module) -> None:
        epoch_loop = trainer.fit_loop.epoch_loop
        # Lightning counts the step after the validation, and on resume only where a validation is due by its place.
        epoch_loop._batches_that_stepped += int(self._last_validation)
        super().on_validation_end(trainer, pl_module)
        if self._due(trainer) and not trainer.sanity_checking:
            self.keep(trainer)
        epoch_loop._batches_that_stepped -= int(self._last_validation)
        self._last_validation = False

    def _due(self, trainer) -> bool:
        return trainer.global_step % self.every_steps == 0 or trainer.global_step == trainer.max_steps

    def keep(self, trainer) -> Path:
        """Save the present state as `last.ckpt`, unless this step's is saved already; returns its path."""
        last = Path(self.dirpath) / "last.ckpt"
        if trainer.global_step == self._saved_step:
            return last
        settle(trainer)  # before the checkpoint that was last becomes the one before
        if trainer.is_global_zero and last.exists():
            # A second name for the old file, then the new one in its place: `last.ckpt` is never absent.
            other_name = last.with_name("previous.ckpt.tmp")
            other_name.unlink(missing_ok=True)
            os.link(last, other_name)
            os.replace(other_name, last.with_name("previous.ckpt"))
        trainer.save_checkpoint(last)
        self._saved_step = trainer.global_step
        return last

    def on_train_end(self, trainer, pl_module) -> None:
        self.keep(trainer)


def log_now(trainer) -> None:
    """Write this step's numbers, which Lightning writes after the callbacks: a run killed between the checkpoint and
    them would resume behind the step and never draw them. What Lightning then does is left out, once."""
    connector = trainer._logger_connector
    connector.update_train_step_metrics()
    connector.update_train_step_metrics = lambda: vars(connector).pop("update_train_step_metrics")


def between_steps(trainer) -> bool:
    """Whether a state saved in `on_train_batch_end` is exact: no gradients pending, and no validation about to run,
    which a run resumed from there would leave out (save in `on_validation_end` then)."""
    loop = trainer.fit_loop
    return not loop._should_accumulate() and not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def prepare_between_batches(trainer) -> bool:
    """Make the state exact that is saved while a batch is waited for; False where gradients are being accumulated.

    A validation that was broken off is left out when the run is resumed.
    """
    epoch_loop = trainer.fit_loop.epoch_loop
    if epoch_loop.batch_progress.current.ready % trainer.accumulate_grad_batches:
        return False
    if trainer.validating:
        epoch_loop.val_loop.batch_progress.reset()
        print("note: the validation is left out", flush=True)
    elif epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
        epoch_loop._batches_that_stepped -= 1  # Lightning counts the step once more where a validation was due
    return True


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


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint's content, on the CPU, without running any code in it.

    Raises ValueError when the file is cut off, of another kind, or holds more than tensors and plain containers.
    """
    try:
        with named_in_utf8(path) as name:
            checkpoint = torch.load(name, map_location="cpu", weights_only=True, mmap=True)
        whole = {"state_dict", "global_step", "callbacks", "loops", "feature_spec"} <= checkpoint.keys()
    except (RuntimeError, UnpicklingError, EOFError, AttributeError) as error:
        raise ValueError(f"{path}: {_BROKEN} ({str(error).splitlines()[0]})") from error
    if not whole:
        raise ValueError(f"{path}: {_BROKEN}")
    return checkpoint


def load_averaged(module: pl.LightningModule, path: Path) -> int:
    """Load the averaged weights, where there is an average, into a LightningModule; returns the step it was saved at.

    Raises ValueError when the file is no whole checkpoint or is of another model, naming the keys.
    """
    checkpoint = read_checkpoint(path)
    module.on_load_checkpoint(checkpoint)
    state = dict(checkpoint["state_dict"]) | checkpoint["callbacks"].get("EMA", {}).get("average", {})
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        keys = " ".join(str(error).split())
        raise ValueError(f"{path}: of another model than its config.yaml describes ({keys})") from error
    return int(checkpoint["global_step"])
