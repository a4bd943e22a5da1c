"""Configuration -> objects: the generator, the training module, the dataset, the sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.data.shards import DatasetInfo, open_dataset
from joyvasa.data.synthetic import Corpus, write_corpus
from joyvasa.eval.runner import Sampling
from joyvasa.io.lock import hold_folder
from joyvasa.lit.checkpoints import find_checkpoint, load_averaged
from joyvasa.lit.module import MotionModule
from joyvasa.models.generation import Guidance, Temperature, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.motion import CHANNELS, MotionStats

# What a checkpoint fixes, and what it merely suggests: the latter can be given anew beside `checkpoint=`.
FIXED = ("encoder", "denoiser", "diffusion", "normaliser")
SUGGESTED = ("data", "sampler", "generation", "eval", "preview", "loss", "optim", "name")


def unit_stats() -> MotionStats:
    """Placeholder of the right shapes, for a generator whose statistics come with its checkpoint."""
    zeros, ones = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    return MotionStats(zeros, ones, zeros, ones, zeros, ones)


def build_generator(cfg: DictConfig, stats: MotionStats) -> MotionGenerator:
    """A new generator, its weights drawn from `seed`."""
    torch.manual_seed(cfg.seed)
    encoder = instantiate(cfg.encoder)
    return MotionGenerator(
        encoder=encoder,
        denoiser=instantiate(cfg.denoiser, channels=CHANNELS, audio_width=encoder.width),
        schedule=instantiate(cfg.diffusion.schedule),
        target=instantiate(cfg.diffusion.target),
        guidance_dropout=cfg.diffusion.guidance_dropout,
        history_noise=cfg.diffusion.history_noise,
        truncation_pad=cfg.data.truncate_pad,
        normaliser=instantiate(cfg.normaliser)(stats),
    )


def build_module(cfg: DictConfig, stats: MotionStats) -> MotionModule:
    """The generator with its loss and optimizer."""
    return MotionModule(
        generator=build_generator(cfg, stats),
        loss=instantiate(cfg.loss),
        optimizer=instantiate(cfg.optim.optimizer),
        schedule=instantiate(cfg.optim.schedule),
        encoder_lr=cfg.optim.encoder_lr,
        seed=cfg.seed,
    )


def build_sampling(cfg: DictConfig) -> Sampling:
    how = cfg.generation
    return Sampling(
        sampler=instantiate(cfg.sampler),
        guidance=Guidance(how.guidance, None if how.threshold is None else tuple(how.threshold)),
        windowing=Windowing(how.window, how.history, how.overlap, how.noise, how.lead),
        temperature=Temperature(how.temperature_lips, how.temperature_rest),
        smoothing=instantiate(how.smoothing),
        seed=how.seed,
        batch_size=how.batch_size,
    )


def prepare_dataset(cfg: DictConfig) -> DatasetInfo:
    """Open `data.path`; where `data=synthetic` and nothing is there, make the corpus first (announced).

    Raises ValueError when a synthetic corpus of other settings is there already.
    """
    folder = Path(cfg.data.path)
    if cfg.data.synthetic is None:
        return open_dataset(folder)
    settings = OmegaConf.to_container(cfg.data.synthetic)
    clips_per_shard, processes = settings.pop("clips_per_shard"), settings.pop("processes")
    corpus = Corpus(**settings)
    if not (folder / "dataset.json").exists():
        with hold_folder(folder, "making the synthetic corpus"):  # two runs may be started at once
            return write_corpus(folder, corpus, clips_per_shard=clips_per_shard, processes=processes)
    dataset = open_dataset(folder)
    if dataset.description["source"] != str(corpus):
        raise ValueError(
            f"{folder} holds {dataset.description['source']}, the configuration asks for {corpus}; "
            "give another data.path, or data=shards to use what is there"
        )
    return dataset


def saved_config(checkpoint: Path) -> DictConfig:
    """The config.yaml that belongs to a checkpoint of a run."""
    beside = checkpoint.resolve().parents[1] / "config.yaml"
    if not beside.is_file():
        raise FileNotFoundError(
            f"{checkpoint}: its config.yaml is missing (expected {beside}); keep the run folder whole"
        )
    return OmegaConf.load(beside)


def adopt(cfg: DictConfig, saved: DictConfig, checkpoint: Path, overrides: list[str]) -> DictConfig:
    """`cfg` with what belongs to the checkpoint taken from the configuration `saved` with it.

    Raises ValueError when the command line changes a part that the checkpoint's weights fix. The files of a speech
    encoder may lie elsewhere: `encoder=NAME encoder.path=FOLDER` of the same kind may be given; the hash saved in the
    checkpoint says whether they are the same files.
    """
    # group@place=choice is about the place
    given = [item.split("=")[0].lstrip("+~").split("@")[-1] for item in overrides]
    moved = "encoder.path" in given and _same_but_path(cfg.encoder, saved.encoder)
    changed = sorted({key.split(".")[0] for key in given} & set(FIXED) - ({"encoder"} if moved else set()))
    if changed:
        raise ValueError(f"{', '.join(changed)}: fixed by the checkpoint {checkpoint}; leave it out, or train anew")
    OmegaConf.set_struct(cfg, False)
    if moved:
        saved.encoder.path = cfg.encoder.path
    for name in FIXED:
        cfg[name] = _filled(saved[name], cfg[name], name)
    for name in SUGGESTED:
        if name in given or "experiment" in given or name not in saved:
            continue
        for key in given:  # one number given anew leaves its neighbours as the run had them
            if key.startswith(f"{name}."):
                OmegaConf.update(saved, key, OmegaConf.select(cfg, key), merge=False)
        cfg[name] = _filled(saved[name], cfg[name], name)
    OmegaConf.set_struct(cfg, True)
    return cfg


def _same_but_path(one: DictConfig, other: DictConfig) -> bool:
    plain = [dict(OmegaConf.to_container(node)) for node in (one, other)]
    return [node.pop("path", None) for node in plain] and plain[0] == plain[1]


def _filled(saved: Any, now: Any, name: str) -> Any:
    """The saved group, with today's value of what it did not have when the run was made; that is announced."""
    if not OmegaConf.is_dict(saved) or "_target_" in saved:
        return saved
    new = [key for key in now if key not in saved]
    for key in (key for key in new if now[key] is not None):  # null: what was so before there was such a key
        print(f"note: the run has no {name}.{key}; {now[key]} is taken")
    return OmegaConf.merge({key: now[key] for key in new}, saved)


def device_of(cfg: DictConfig) -> torch.device:
    """Where to sample: the first GPU, unless there is none or trainer.accelerator=cpu."""
    return torch.device("cuda" if torch.cuda.is_available() and cfg.trainer.accelerator != "cpu" else "cpu")


def load_generator(cfg: DictConfig, checkpoint: Path) -> tuple[MotionGenerator, int]:
    """The generator with the averaged weights of a checkpoint, in evaluation mode, and the step it was saved at."""
    module = build_module(cfg, unit_stats())
    step = load_averaged(module, checkpoint)
    return module.generator.eval().to(device_of(cfg)), step


def open_checkpoint(cfg: DictConfig, overrides: list[str], example: str) -> tuple[DictConfig, Path]:
    """The configuration a checkpoint belongs to, and its file. Raises ValueError when none is given."""
    if cfg.checkpoint is None:
        raise ValueError(f"checkpoint= is missing; for example: {example}")
    checkpoint = find_checkpoint(cfg.checkpoint)
    return adopt(cfg, saved_config(checkpoint), checkpoint, overrides), checkpoint
