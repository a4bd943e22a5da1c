"""experiment=sync_expert: train a sync expert, then move the voices of unseen clips and see whether it finds them."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.data.shards import DatasetInfo, open_dataset
from joyvasa.eval.bootstrap import table
from joyvasa.eval.sync_expert import Judge
from joyvasa.eval.sync_study import OTHER_VOICE, ShiftStudy, StudyClip, study_shifts
from joyvasa.io.files import replacing
from joyvasa.lit.checkpoints import load_averaged
from joyvasa.lit.sync_expert import SyncModule
from joyvasa.models.sync_expert_file import NAME, write_expert
from joyvasa.motion import MotionStats
from joyvasa.tasks.build import device_of, unit_stats
from joyvasa.tasks.runs import write_json
from joyvasa.tasks.train import fit_run, to_plain

LINE, SPREAD, STRANGE = "#d1495b", "#f2d492", "#3a86a8"


def train_expert(cfg: DictConfig, overrides: list[str]) -> int:
    """Exit code: 0, or 130 after Ctrl-C (143 after SIGTERM) with the command that goes on printed."""
    return fit_run(cfg, check_expert, build_expert_module, study_and_tell)


def check_expert(cfg: DictConfig) -> None:
    """Raise ValueError for settings that give no example or no study, before anything is made."""
    if cfg.expert is None:
        raise ValueError("task=sync_expert has no network to train; give experiment=sync_expert")
    if cfg.data.synthetic is None:
        open_dataset(cfg.data.path)
    windows = to_plain(cfg.data.window)
    least, needed = 2 * min(windows if isinstance(windows, list) else [windows]), cfg.expert.network.window
    if least < needed:
        raise ValueError(f"data.window={windows}: two windows have no {needed} frames (expert.network.window)")
    if cfg.expert.study.frames < needed + cfg.expert.loss.max_shift:
        raise ValueError(
            f"expert.study.frames={cfg.expert.study.frames}: expected expert.network.window + expert.loss.max_shift = "
            f"{needed + cfg.expert.loss.max_shift} or more"
        )


def build_expert_module(cfg: DictConfig, stats: MotionStats) -> SyncModule:
    """A new expert with its loss and optimizer, its weights drawn from `seed`."""
    torch.manual_seed(cfg.seed)
    encoder = instantiate(cfg.encoder)
    return SyncModule(
        expert=instantiate(cfg.expert.network)(encoder=encoder, stats=stats, seed=cfg.seed),
        loss=instantiate(cfg.expert.loss),
        optimizer=instantiate(cfg.optim.optimizer),
        schedule=instantiate(cfg.optim.schedule),
        encoder_lr=cfg.optim.encoder_lr,
        seed=cfg.seed,
    )


def study_and_tell(cfg: DictConfig, dataset: DatasetInfo, folder: Path, checkpoint: Path, facts: dict) -> dict:
    """Write expert.safetensors, metrics.json and confidence.png under `folder`, print the table; returns metrics.json.

    Clips of the split `eval.split` that are too short for the study are left out and counted.
    """
    module, how = build_expert_module(cfg, unit_stats()), cfg.expert.study
    step, max_shift = load_averaged(module, checkpoint), cfg.expert.loss.max_shift
    encoder = {name: value for name, value in to_plain(cfg.encoder).items() if not name.startswith("_")}
    where = {"step": step, "seed": cfg.seed, "dataset_sha256": dataset.sha}
    write_expert(folder / NAME, module.expert, encoder=encoder, max_shift=max_shift, facts=where)
    judge = Judge(module.expert.eval().to(device_of(cfg)), max_shift)
    split = dataset.entries(cfg.eval.split)
    entries = [entry for entry in split if entry.frames >= how.frames + 2 * how.max_planted]
    clips = [StudyClip(entry.speaker, entry.motion(), entry.audio()) for entry in entries]
    study = study_shifts(judge, clips, frames=how.frames, shifts=range(-how.max_planted, how.max_planted + 1))
    rows = study.rows(cfg.seed)
    described = {"path": str(dataset.folder), "sha256": dataset.sha, "split": cfg.eval.split, "clips": len(clips)}
    result = facts | {
        "step": step,
        "dataset": described | {"too_short": len(split) - len(entries), "speakers": len(set(study.speakers))},
        "study": OmegaConf.to_container(how),
        "metrics": {"model": _named(rows["all"])} | {row: _named(scores) for row, scores in rows.items()},
    }
    write_json(folder / "metrics.json", result)
    plot_study(folder / "confidence.png", study, cfg.seed)
    print(f"{len(clips)} clips of {how.frames} frames, {len(set(study.speakers))} unseen speakers; moved voices")
    print(table(rows), end="")
    print(f"\nscores    {folder / 'metrics.json'}\nplot      {folder / 'confidence.png'}\nexpert    {folder / NAME}")
    return result


def _named(scores: dict) -> dict[str, dict]:
    return {name: asdict(score) for name, score in scores.items()}


def plot_study(path: Path, study: ShiftStudy, seed: int) -> None:
    """Confidence that lips and voice belong together as they are, by the frames the voice was moved: mean with its
    interval, every clip as a dot, and the mean of another speaker's voice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rows = study.rows_by_shift(seed)
    strange = study.rows(seed)[OTHER_VOICE]["confidence"]
    for values in study.confidence_NK:
        axes.plot(study.shifts_K, values, ".", color=SPREAD, markersize=3, zorder=1)
    if math.isnan(strange.low):  # of too few speakers there is no interval
        axes.set_title(strange.note, fontsize="small")
    else:
        low_K, high_K = [score.low for score in rows], [score.high for score in rows]
        axes.fill_between(study.shifts_K, low_K, high_K, color=LINE, alpha=0.3, zorder=2)
        axes.axhspan(strange.low, strange.high, color=STRANGE, alpha=0.3, zorder=2)
    axes.plot(study.shifts_K, [s.value for s in rows], color=LINE, label="own voice, moved", zorder=3)
    axes.axhline(strange.value, color=STRANGE, label="another speaker's voice", zorder=3)
    axes.set(xlabel="frames the voice was moved by", ylabel="sync confidence", xticks=study.shifts_K[::2])
    axes.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
