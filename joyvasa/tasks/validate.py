"""task=validate: score a checkpoint on a dataset, beside the baselines."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from joyvasa.tasks.build import prepare_dataset
from joyvasa.tasks.official import open_generator
from joyvasa.tasks.runs import write_text
from joyvasa.tasks.score import score_and_show


def validate(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `checkpoint=` (a run folder or a file); `data.path=` another dataset, `out=` where to write."""
    example = "python run.py task=validate checkpoint=runs/demo/latest data.path=data/other"
    opened = open_generator(cfg, overrides, example)
    if opened.cfg.out is None and opened.run is None:
        raise ValueError("out= is missing: an official file has no run folder to write the scores to")
    cfg, checkpoint = opened.cfg, opened.checkpoint
    if any(item.startswith("data.path=") for item in overrides):
        cfg.data.synthetic = None  # the folder named on the command line is what is wanted, not the run's own corpus
    dataset = prepare_dataset(cfg)
    folder = Path(cfg.out) if cfg.out else opened.run / "validate" / dataset.name
    write_text(folder / "command.txt", " ".join(overrides) + "\n")
    score_and_show(cfg, opened.generator, dataset, folder, {"checkpoint": str(checkpoint), "step": opened.step})
    return 0
