"""task=train: train, then score the averaged weights on voices never heard and show them."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.lit.checkpoints import AtomicCheckpointIO, find_checkpoint
from joyvasa.lit.csv_logger import CurveLogger
from joyvasa.lit.data_module import MotionData
from joyvasa.lit.interrupt import TrainingInterrupted
from joyvasa.lit.samples import SampleMetrics
from joyvasa.tasks.build import build_module, build_sampling, load_generator, prepare_dataset
from joyvasa.tasks.runs import find_resume, make_run_folder, write_config
from joyvasa.tasks.score import portrait, score_and_show

_LOADER = ("window", "history", "batch_size", "num_workers", "short", "truncate_p", "windows_per_clip", "buffer")


def resume_command(folder: Path) -> str:
    """The command typed, with resume= added."""
    import shlex

    words = [word for word in sys.argv[1:] if not word.startswith("resume=")]
    return " ".join(["python", "run.py", *(shlex.quote(word) for word in words), f"resume={shlex.quote(str(folder))}"])


def train(cfg: DictConfig, overrides: list[str]) -> int:
    """Exit code: 0, or 130 after Ctrl-C (143 after SIGTERM) with the command that goes on printed."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*(LeafSpec|does not have many workers|logging interval).*")
    rank_zero = int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("RANK", "0")) == 0
    dataset = prepare_dataset(cfg) if rank_zero else wait_for_dataset(cfg)
    resume = find_resume(cfg)
    folder = make_run_folder(cfg, resume)
    cfg.paths.run = str(folder)
    module = build_module(cfg, dataset.stats)
    data = MotionData(dataset=dataset, seed=cfg.seed, **{name: to_plain(cfg.data[name]) for name in _LOADER})
    if rank_zero:
        write_config(folder, cfg)
        dataset.stats.save(folder / "stats.safetensors")
        size = sum(p.numel() for p in module.parameters()) / 1e6
        print(f"{size:.2f} M parameters, {dataset.hours:.2f} h of motion, run folder {folder}", flush=True)
    loggers = [logger for logger in instantiate(cfg.logger).values()]
    if resume:
        step = torch.load(resume, map_location="cpu", weights_only=True, mmap=True)["global_step"]
        print(f"resuming {resume} at step {step}", flush=True)
        for logger in loggers:
            if isinstance(logger, CurveLogger) and rank_zero:
                logger.rewind(step)
    callbacks = [callback for callback in instantiate(cfg.callbacks).values()]
    for callback in callbacks:
        if isinstance(callback, SampleMetrics):
            callback.prepare(build_sampling(cfg), portrait(cfg))
    trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=loggers, plugins=[AtomicCheckpointIO()])
    started = time.monotonic()
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except TrainingInterrupted as stop:
        if trainer.is_global_zero:
            print(f"\nsaved {stop.checkpoint}\ngo on with: {resume_command(folder)}", flush=True)
        return stop.exit_code
    seconds = time.monotonic() - started
    if trainer.is_global_zero:
        checkpoint = find_checkpoint(folder)
        generator, step = load_generator(cfg, checkpoint)
        facts = {"checkpoint": str(checkpoint), "step": step, "training_seconds": round(seconds, 1)}
        facts["skipped_clips"] = trainer.train_dataloader.skipped
        score_and_show(cfg, generator.to(module.device), dataset, folder, facts)
        print(f"trained   {trainer.global_step} steps in {seconds:.0f} s\nrun       {folder}", flush=True)
    return 0


def to_plain(value):
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def wait_for_dataset(cfg: DictConfig, seconds: float = 3600.0):
    """Other ranks wait until rank 0 has made a synthetic corpus; `dataset.json` is written last."""
    path = Path(cfg.data.path, "dataset.json")
    deadline = time.monotonic() + seconds
    while cfg.data.synthetic is not None and not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} was not made by rank 0 within {seconds:.0f} s")
        time.sleep(0.5)
    return prepare_dataset(cfg)
