"""What train and validate have in common: sample, score, show, write."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from joyvasa.animate.preview import contact_sheet, plot_curves, write_preview
from joyvasa.animate.puppet import PuppetPortrait
from joyvasa.data.shards import DatasetInfo
from joyvasa.eval.motion import table
from joyvasa.eval.runner import Evaluation, cached_voices, choose_clips, evaluate, is_paired
from joyvasa.models.generator import MotionGenerator
from joyvasa.progress import advance, progress_bar
from joyvasa.tasks.build import build_sampling
from joyvasa.tasks.judge import ABSENT, open_judge
from joyvasa.tasks.runs import write_json


def portrait(cfg: DictConfig) -> PuppetPortrait:
    return PuppetPortrait(species=cfg.preview.species, size=cfg.preview.size)


def score_and_show(
    cfg: DictConfig, generator: MotionGenerator, dataset: DatasetInfo, folder: Path, facts: dict
) -> dict:
    """Write metrics.json and preview/ under `folder`, print the table and the paths; returns metrics.json."""
    how, judge = build_sampling(cfg), open_judge(cfg)
    features, remark = cached_voices(generator, dataset, cfg.data.get("features"), how)
    clips = choose_clips(dataset, cfg.eval.split, cfg.eval.clips, features)
    with progress_bar(what="sampling unseen voices", unit="clip", total=2 * len(clips)) as bar:
        evaluation = evaluate(generator, dataset, clips, how, advance(bar))
    evaluation.remarks.extend([remark] if remark else [])
    if judge:
        voices = [clip.audio for clip in clips]
        for row, scores in judge.rows(evaluation.motions, voices, how.seed, list(evaluation.rows)).items():
            evaluation.rows[row] |= scores
    unpaired = sum(not is_paired(clip) for clip in clips)
    described = {"path": str(dataset.folder), "sha256": dataset.sha, "split": cfg.eval.split, "clips": len(clips)}
    result = facts | {
        "dataset": described | {"unpaired_clips": unpaired},
        "speakers": sorted({clip.meta["speaker"] for clip in clips}),
        "sampling": OmegaConf.to_container(cfg.generation) | {"sampler": OmegaConf.to_container(cfg.sampler)},
        "metrics": {
            row: {name: asdict(score) for name, score in scores.items()} for row, scores in evaluation.rows.items()
        },
        "remarks": evaluation.remarks,
    }
    write_json(folder / "metrics.json", result)
    shown = show(cfg, evaluation, folder / "preview")
    print(table(evaluation.rows))
    print("\n".join(evaluation.remarks), end="")
    print(f"\nscores    {folder / 'metrics.json'}")
    if judge is None:
        print(ABSENT)
    for path in shown:
        print(f"preview   {path}")
    return result


def show(cfg: DictConfig, evaluation: Evaluation, folder: Path) -> list[Path]:
    """Film, contact sheet and curves of the first clips, truth beside generated."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    pairs = list(zip(evaluation.clips, evaluation.motions, strict=True))[: cfg.eval.previews]
    for clip, motion in progress_bar(pairs, what="drawing previews", unit="clip"):
        # Speakers of imported data are called anything, folders included.
        name, phones = re.sub(r"[^\w.-]+", "_", f"{clip.meta['speaker']}-{clip.key[:8]}"), motion.phones
        paths = [folder / f"{name}{ending}" for ending in (".mp4", "-sheet.png", "-curves.png")]
        face = portrait(cfg)
        write_preview(paths[0], motion.generated, clip.audio, portrait=face, truth_TC=clip.motion)
        contact_sheet(paths[1], motion.generated, portrait=face, truth_TC=clip.motion, phones=phones)
        plot_curves(
            paths[2],
            motion.generated,
            clip.audio,
            truth_TC=clip.motion,
            determined_TC=clip.truth,
            phones=phones,
            title=name,
        )
        written += paths
    return written
