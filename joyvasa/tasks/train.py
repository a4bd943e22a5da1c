"""task=train: train, then score the averaged weights on voices never heard and show them."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from joyvasa.data.feature_groups import find_group
from joyvasa.data.shards import DatasetInfo, open_dataset
from joyvasa.data.workers import explain_death, forget_workers
from joyvasa.lit.checkpoints import AtomicCheckpointIO, find_checkpoint, read_checkpoint
from joyvasa.lit.data_module import MotionData
from joyvasa.lit.distributed import is_rank_zero, rank_zero_first
from joyvasa.lit.finite import infinite_by_design
from joyvasa.lit.module import MotionModule
from joyvasa.lit.provenance import provenance
from joyvasa.lit.run_logger import RunLogger
from joyvasa.lit.samples import SampleMetrics
from joyvasa.lit.stops import NotFiniteError, TrainingInterrupted
from joyvasa.models.speech import find_weights
from joyvasa.motion import CHANNELS, MotionStats
from joyvasa.tasks.build import build_module, build_sampling, load_generator, prepare_dataset
from joyvasa.tasks.judge import open_judge
from joyvasa.tasks.runs import (
    check_run_folder,
    check_steps,
    choose_run_folder,
    find_resume,
    hold_run,
    point_latest,
    shared_run_id,
    told_changes,
    write_config,
)
from joyvasa.tasks.score import portrait, score_and_show

_LOADER = ("window", "history", "batch_size", "num_workers", "short", "truncate_p", "windows_per_clip", "buffer")

# Lightning's advice on what is so by design: a resumed run's folder is not empty, few batches an epoch, no workers.
EXPECTED = ".*(LeafSpec|does not have many workers|logging interval|exists and is not empty|in eval mode).*"

# What PyTorch and Python say of it, in a RuntimeError.
NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "can't start new thread")

Check = Callable[[DictConfig], None]
Build = Callable[[DictConfig, MotionStats], MotionModule]
Conclude = Callable[[DictConfig, DatasetInfo, Path, Path, dict], dict]


def resume_command(folder: Path | None, *changes: str) -> str:
    """The command typed, with resume= and `changes` (key=value) in place of what was typed for them; without a folder,
    to start anew."""
    import shlex

    keys = ["resume", *(change.partition("=")[0] for change in changes)]
    words = [word for word in sys.argv[1:] if word.partition("=")[0] not in keys] + list(changes)
    if folder is not None:
        words.append(f"resume={folder}")
    return " ".join(["python", "run.py", *(shlex.quote(word) for word in words)])


def train(cfg: DictConfig, overrides: list[str]) -> int:
    """Exit code: 0, or 130 after Ctrl-C (143 after SIGTERM) with the command that goes on printed."""
    return fit_run(cfg, check_ready, _compiled_module, _score_generator)


def fit_run(cfg: DictConfig, check: Check, build: Build, conclude: Conclude) -> int:
    """What every training has in common: data, run folder, fit, resume, what is said when it is interrupted.

    `check(cfg)` raises before anything is made, `build(cfg, stats)` gives the module; of a run that came to its end
    `conclude(cfg, dataset, folder, checkpoint, facts)`, on rank 0, gives what the loggers are told. Returns the exit
    code: 0, or 130 after Ctrl-C (143 after SIGTERM).
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=EXPECTED)
    # Deterministic algorithms would otherwise overwrite every new tensor with NaN first, which nothing here relies on.
    torch.utils.deterministic.fill_uninitialized_memory = False
    with rank_zero_first():  # what is downloaded or made is found by the ranks that follow
        check(cfg)
        dataset = prepare_dataset(cfg)
    resume = find_resume(cfg)
    folder = choose_run_folder(cfg, resume)
    cfg.paths.run = str(folder)
    module = build(cfg, dataset.stats)
    data = build_data(cfg, dataset, module)
    with hold_run(folder):  # it makes the folder: what does not fit has been refused before
        check_run_folder(folder, cfg, resume)
        if resume:
            check_steps(cfg, resume, read_checkpoint(resume)["global_step"])
        return _fit_in(folder, cfg, module, data, resume, partial(conclude, cfg, dataset))


def _fit_in(
    folder: Path,
    cfg: DictConfig,
    module: MotionModule,
    data: MotionData,
    resume: Path | None,
    conclude: Callable[[Path, Path, dict], dict],
) -> int:
    """Train in a run folder that this process holds; returns the exit code."""
    rank_zero = is_rank_zero()
    dataset = data.dataset
    forget_workers()
    if rank_zero:
        if resume:
            for line in told_changes(folder, cfg, read_checkpoint(resume)["global_step"]):
                print(line, flush=True)
        write_config(folder, cfg)
        dataset.stats.save(folder / "stats.safetensors")
        size = sum(p.numel() for p in module.parameters()) / 1e6
        print(f"{size:.2f} M parameters, {dataset.hours:.2f} h of motion, run folder {folder}", flush=True)
    trainer = build_trainer(cfg, module, resume if rank_zero else None, dataset)
    started = time.monotonic()
    try:
        with shared_run_id(folder):
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except TrainingInterrupted as stop:
        if trainer.is_global_zero:
            _tell_interrupted(stop, folder)
        return stop.exit_code
    except NotFiniteError as error:
        if not trainer.is_global_zero and error.everywhere:
            return 2  # rank 0 says it
        raise ValueError(f"{error}\n{_remedy(error, cfg, folder)}") from error
    except (RuntimeError, OSError, EOFError, MemoryError) as error:
        better = explain_death(error) or _explain_memory(error)
        if better is None:
            raise
        raise better from error
    if trainer.is_global_zero:
        _conclude_run(trainer, time.monotonic() - started, conclude, folder)
        if point_latest(folder):
            print(f"latest    {folder.parent / 'latest'}", flush=True)
    return 0


def _explain_memory(error: BaseException) -> OSError | None:
    """The error to raise where the process may have no more memory or threads; None for any other exception."""
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not any(sign in text for sign in NO_MEMORY):
        return None
    return OSError(
        f"the system gives this process no more memory or threads ({text}); lower data.batch_size or data.num_workers, "
        "or raise the limits (ulimit -a shows them)"
    )


def _tell_interrupted(stop: TrainingInterrupted, folder: Path) -> None:
    """What was saved, and the command that goes on from there."""
    last = folder / "checkpoints" / "last.ckpt"
    how = stop.requeued or f"go on with: {resume_command(folder)}"
    if stop.checkpoint is not None:
        print(f"\nsaved {stop.checkpoint}\n{how}", flush=True)
    elif last.is_file():
        step = read_checkpoint(last)["global_step"]
        print(f"\nno batch came; the last checkpoint is {last} of step {step}\n{how}", flush=True)
    else:
        print("\nno batch came, and there was no checkpoint yet: nothing to go on from", flush=True)


def _remedy(error: NotFiniteError, cfg: DictConfig, folder: Path) -> str:
    """What to do about a training that met NaN or infinity, with the checkpoint that is whole and the command."""
    last = folder / "checkpoints" / "last.ckpt"
    lower = f"optim.optimizer.lr={cfg.optim.optimizer.lr / 10:g}"
    where = "no checkpoint had been saved: start anew"
    resumed = None
    if last.is_file():
        where = f"{last} (step {read_checkpoint(last)['global_step']}) is whole: go on from there"
        resumed = folder
    if error.from_data:
        return f"remove or re-extract this clip; {where}: {resume_command(resumed)}"
    clip = cfg.trainer.gradient_clip_val
    how = f"lower the learning rate (now {cfg.optim.optimizer.lr:g}), or clip gradients more (now {clip})"
    return f"{how}; {where}: {resume_command(resumed, lower)}"


def _conclude_run(trainer: Trainer, seconds: float, conclude: Callable[[Path, Path, dict], dict], folder: Path) -> None:
    checkpoint, loggers = find_checkpoint(folder), _ours(trainer.loggers)
    facts = {"checkpoint": str(checkpoint), "training_seconds": round(seconds, 1)}
    facts["skipped_clips"] = trainer.train_dataloader.skipped
    facts["tracking_failures"] = [text for logger in loggers for text in logger.failures]
    result = conclude(folder, checkpoint, facts)
    for logger in loggers:
        logger.conclude(result, checkpoint)
    print(f"trained   {trainer.global_step} steps in {seconds:.0f} s\nrun       {folder}", flush=True)


def _compiled_module(cfg: DictConfig, stats: MotionStats) -> MotionModule:
    module = build_module(cfg, stats)
    if cfg.compile:
        module.generator.denoiser.compile(dynamic=False)
    return module


def _score_generator(cfg: DictConfig, dataset: DatasetInfo, folder: Path, checkpoint: Path, facts: dict) -> dict:
    generator, step = load_generator(cfg, checkpoint)
    return score_and_show(cfg, generator, dataset, folder, facts | {"step": step})


def check_ready(cfg: DictConfig) -> None:
    """Raise one error naming all that is missing or does not fit, before anything is made or written."""
    problems = []
    checks = [lambda: find_weights(cfg.encoder.name, cfg.encoder.path)] if "path" in cfg.encoder else []
    checks += [lambda: open_dataset(cfg.data.path)] if cfg.data.synthetic is None else []
    for check in (*checks, lambda: open_judge(cfg), lambda: check_fits(cfg)):
        try:
            check()
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def check_fits(cfg: DictConfig) -> None:
    """Raise ValueError for settings of which one undoes or forbids the other; a step would find them late."""
    if cfg.checkpoint is not None:
        raise ValueError("checkpoint= is for sampling and scoring; resume= goes on with a run")
    with torch.random.fork_rng(devices=[]):
        denoiser = instantiate(cfg.denoiser, channels=CHANNELS, audio_width=8)
    instantiate(cfg.loss).require(denoiser)
    history = to_plain(cfg.data.history)
    denoiser.start(1, max(history if isinstance(history, list) else [history]))
    denoiser.start(1, cfg.generation.history)
    if cfg.compile and any(OmegaConf.is_list(cfg.data[name]) for name in ("window", "history")):
        raise ValueError(
            "compile=true: each window length drawn would compile anew; give data.window and data.history one number"
        )
    if not isinstance(cfg.data.truncate_p, float | int) and not cfg.encoder.get("per_window", False):
        raise ValueError("data.truncate_p of each window needs an encoder with per_window=true; give one number")
    if cfg.optim.encoder_lr is not None and cfg.encoder.get("frozen", False):
        raise ValueError("optim.encoder_lr is set, but the encoder is frozen; encoder.frozen=false fine-tunes it")


def build_data(cfg: DictConfig, dataset: DatasetInfo, module: MotionModule) -> MotionData:
    """The data module; raises ValueError where `data.features` asks for what this encoder cannot use."""
    how = {name: to_plain(cfg.data[name]) for name in _LOADER}
    features = find_group(dataset, cfg.data.features, module.generator.encoder.spec, how["window"])
    return MotionData(dataset=dataset, seed=cfg.seed, features=features, **how)


def build_trainer(cfg: DictConfig, module: MotionModule, resume: Path | None, dataset: DatasetInfo) -> Trainer:
    """The Trainer with its loggers and callbacks; curves beyond the checkpoint `resume` are dropped."""
    loggers = list(instantiate(cfg.logger).values())
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True) | provenance(dataset))
    step = read_checkpoint(resume)["global_step"] if resume else 0
    if resume:
        print(f"resuming {resume} at step {step}", flush=True)
    for logger in _ours(loggers) if is_rank_zero() else ():  # killed before its first checkpoint, a run begins anew
        logger.rewind(step)
    callbacks = [each for each in instantiate(cfg.callbacks).values() if each is not None]  # null leaves one out
    for callback in callbacks:
        if isinstance(callback, SampleMetrics):
            callback.prepare(build_sampling(cfg), portrait(cfg), open_judge(cfg))
    writer = AtomicCheckpointIO(infinite_by_design(module))
    return instantiate(cfg.trainer, callbacks=callbacks, logger=loggers, plugins=[writer])


def _ours(loggers: Iterable[Logger]) -> list[RunLogger]:
    """Without those that somebody added from elsewhere."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]


def to_plain(value):
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
