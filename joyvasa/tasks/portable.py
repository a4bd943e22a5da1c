"""A trained generator as one small file: half-precision averaged weights with the configuration they belong to.

    python run.py task=export checkpoint=runs/demo/latest out=FILE.safetensors
    python run.py task=sample checkpoint=FILE.safetensors audio=VOICE out=DIR

A frozen pretrained encoder stays outside, as in checkpoints; its hash is in the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from joyvasa.features import FeatureSpec
from joyvasa.io.files import named_in_utf8, replacing
from joyvasa.models.generator import MotionGenerator
from joyvasa.tasks.build import FIXED, SUGGESTED, adopt, build_generator, device_of, unit_stats

ENDING = ".safetensors"
_FORMAT = "joyvasa motion generator 1"


def write_portable(path: Path, generator: MotionGenerator, cfg: DictConfig, facts: dict[str, str]) -> None:
    """Weights in half precision, statistics in full; `facts` (where they are from) travel along as text."""
    kept = OmegaConf.to_container(cfg, resolve=True)
    config = OmegaConf.to_yaml(OmegaConf.create({name: kept[name] for name in (*FIXED, *SUGGESTED)}))
    tensors = {
        name: value.half() if value.is_floating_point() and not name.startswith("normaliser.") else value
        for name, value in generator.state_dict().items()
    }
    about = {"format": _FORMAT, "config": config, "feature_spec": json.dumps(asdict(generator.encoder.spec))}
    with replacing(path) as temporary, named_in_utf8(temporary) as reachable:
        save_file({name: value.contiguous().cpu() for name, value in tensors.items()}, reachable, about | facts)


def read_facts(path: Path) -> dict[str, str]:
    """What the file says of itself. Raises FileNotFoundError or ValueError naming it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; task=export writes one")
    try:
        with named_in_utf8(path) as name, safe_open(name, "pt") as file:
            about = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); export it again") from error
    if about.get("format") != _FORMAT:
        raise ValueError(f"{path}: not a motion generator of task=export (format {about.get('format')!r})")
    return about


def open_portable(cfg: DictConfig, overrides: list[str], path: Path) -> tuple[DictConfig, MotionGenerator, int]:
    """(the configuration the file belongs to, its generator ready to sample, the step it was saved at)."""
    about = read_facts(path)
    cfg = adopt(cfg, OmegaConf.create(about["config"]), path, overrides)
    generator = build_generator(cfg, unit_stats())
    FeatureSpec(**json.loads(about["feature_spec"])).require(generator.encoder.spec, "the configured encoder")
    with named_in_utf8(path) as name, safe_open(name, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    try:
        generator.load_state_dict({name: t.float() if t.dtype == torch.half else t for name, t in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path}: of another model than it says ({' '.join(str(error).split())})") from error
    return cfg, generator.eval().to(device_of(cfg)), int(about["step"])
