"""What `checkpoint=` may mean, and task=export: runs, official files, files of one piece."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from joyvasa import weights
from joyvasa.animate.pipeline import OnStep, Speak
from joyvasa.data.official_template import (
    TEMPLATES,
    read_template,
    stats_of_template,
    template_from_stats,
    write_template,
)
from joyvasa.models.checkpoint import read_official, write_official
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.official import build_official
from joyvasa.motion import MotionStats
from joyvasa.quoting import literal
from joyvasa.tasks.build import build_sampling, device_of, load_generator, open_checkpoint
from joyvasa.tasks.origin import LATEST, Origin, find_latest, is_latest, origin_of_file, origin_of_run
from joyvasa.tasks.portable import ENDING, open_portable, read_facts, write_portable

REGISTRY = "weights:"
SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "demo.safetensors"
EXPORT_EXAMPLE = "python run.py task=export checkpoint=runs/official/latest out=exported/motion_generator.pt"


@dataclass(frozen=True)
class Opened:
    """A generator ready to sample, the configuration it is sampled with, where it is from, its run if it has one."""

    cfg: DictConfig
    generator: MotionGenerator
    checkpoint: Path
    step: int | None
    run: Path | None
    origin: Origin


def open_generator(cfg: DictConfig, overrides: list[str], example: str) -> Opened:
    """What `checkpoint=` means: a run, one of its files, `latest` for the newest run, an exported .safetensors, an
    official .pt, or weights:NAME of the registry."""
    given = str(cfg.checkpoint) if cfg.checkpoint else ""
    if is_latest(given):
        given = str(find_latest(Path(cfg.paths.runs), given))
        cfg.checkpoint = literal(given)
    if given.startswith(REGISTRY) or given.endswith(".pt"):
        return _open_official(cfg, overrides, _official_path(given))
    if cfg.template is not None:
        raise ValueError(f"template= is for official files (.pt); {given or 'a run'} has its own statistics")
    if given.endswith(ENDING):
        cfg, generator, step = open_portable(cfg, overrides, Path(given))
        return Opened(cfg, generator, Path(given), step, None, origin_of_file(read_facts(Path(given)), step))
    cfg, checkpoint = open_checkpoint(cfg, overrides, example)
    generator, step = load_generator(cfg, checkpoint)
    run = checkpoint.resolve().parents[1]
    return Opened(cfg, generator, checkpoint, step, run, origin_of_run(run, checkpoint, step))


def speaker(opened: Opened) -> Speak:
    """Voice (640 T,) -> motion (T, 70), with the generator and the sampling of what was opened."""
    how = build_sampling(opened.cfg)

    def speak(audio: np.ndarray, name: str, guidance: float | None, on_step: OnStep) -> np.ndarray:
        scale = how.guidance.scale if guidance is None else guidance
        return opened.generator.generate(
            [audio],
            seeds=[how.seed_of(name)],
            sampler=how.sampler,
            guidance=replace(how.guidance, scale=scale),
            windowing=how.windowing,
            temperature=how.temperature,
            smoothing=how.smoothing,
            on_window=on_step,
        )[0]

    return speak


def open_chosen(cfg: DictConfig, overrides: list[str], example: str) -> Opened:
    """The generator that `checkpoint=` means, by default the one that comes with the package; which it is, is printed.

    No run that happens to lie under `paths.runs` is taken unasked: it may be a trial of a minute.
    """
    given = cfg.checkpoint
    if given is None:
        cfg.checkpoint = literal(str(SHIPPED))
    opened = open_generator(cfg, overrides, example)
    chosen = "" if given is not None else f"; the package's own, checkpoint={LATEST} takes the newest run"
    print(f"checkpoint {opened.checkpoint} ({opened.origin.words}{chosen})")
    return opened


def _official_path(given: str) -> Path:
    if not given.startswith(REGISTRY):
        return Path(given)
    folder = weights.where(given.removeprefix(REGISTRY))
    found = sorted(folder.rglob("*.pt"))
    if len(found) != 1:
        raise ValueError(f"checkpoint={given}: {folder} holds {len(found)} .pt files (expected one motion generator)")
    return found[0]


def _open_official(cfg: DictConfig, overrides: list[str], path: Path) -> Opened:
    """Sampled as published where nothing else is asked for, but without the two frames by which it is late."""
    file = read_official(path)
    generator = build_official(file, read_template(find_template(cfg.template, path)))
    window, history = int(file.argument("n_motions")), generator.denoiser.start_motion_feat.shape[1]
    suggested = {
        "generation": "official",
        "smoothing@generation.smoothing": "exponential",
        "sampler": "ancestral",
        "sampler.steps": generator.schedule.num_steps,
        "generation.window": window,
        "generation.history": history,
    }
    taken = {item.split("=")[0].lstrip("+") for item in overrides}
    if "sampler" in taken:
        del suggested["sampler.steps"]
    words = [f"{key}={value}" for key, value in suggested.items() if key not in taken]
    cfg = _recompose([*words, *overrides])
    return Opened(cfg, generator.to(device_of(cfg)), path, file.iteration, None, Origin(file.iteration, None, None))


def _recompose(words: list[str]) -> DictConfig:
    """The configuration of the running program, with other words on its command line."""
    from hydra import compose

    cfg = OmegaConf.create(OmegaConf.to_container(compose("config", words)))
    OmegaConf.set_struct(cfg, True)
    return cfg


def find_template(given: str | None, checkpoint: Path) -> Path:
    """`template=`, else motion_template.pkl beside the checkpoint or in motion_template/ beside its folder."""
    if given:
        return Path(given)
    folders = (checkpoint.parent, checkpoint.parent.parent / "motion_template", checkpoint.parent / "motion_template")
    for path in (folder / name for folder in folders for name in TEMPLATES):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{checkpoint}: no {TEMPLATES[0]} beside it nor in motion_template/; its motion cannot be brought to units "
        f"without. Give template=FILE, or python -m joyvasa.weights pull joyvasa"
    )


def template_stats(generator: MotionGenerator) -> MotionStats:
    """Statistics with which the published formulas bring this generator's motion to units, whatever its normaliser.

    They are exp = m std + mean, and m (max - min) + min for scale, translation and angles.
    """
    offset, gain = generator.normaliser.offset.cpu(), generator.normaliser.gain.cpu()
    return MotionStats(mean=offset, std=gain, min=offset, max=offset + gain, low=offset, high=offset + gain)


def same_template(path: Path, content: dict[str, np.ndarray]) -> bool:
    """Whether the file gives a motion the same units as `content`."""
    there, ours = read_template(path), stats_of_template(content, "this generator")
    return all(torch.allclose(getattr(there, name), getattr(ours, name)) for name in ("mean", "std", "min", "max"))


def export(cfg: DictConfig, overrides: list[str]) -> int:
    """task=export: needs `checkpoint=` and `out=`, whose ending says what is written: .pt, the official layout (and
    motion_template.pkl beside it), or .safetensors, one small file for this program."""
    opened = open_generator(cfg, overrides, EXPORT_EXAMPLE)
    out = Path(cfg.out or "")
    if out.suffix == ENDING:
        if opened.checkpoint.suffix == ".pt":
            raise ValueError(f"{opened.checkpoint} is an official file: checkpoint= takes it as it is")
        facts = {
            "step": str(opened.step),
            "from": opened.checkpoint.name,
            "sha256": weights.sha256_of(opened.checkpoint),
        }
        known = {"score": opened.origin.score, "trained": opened.origin.date}
        facts |= {name: value for name, value in known.items() if value is not None}
        write_portable(out, opened.generator, opened.cfg, facts)
        print(f"written   {out} ({out.stat().st_size / 1e6:.1f} MB)")
        return 0
    if out.suffix != ".pt":
        raise ValueError(f"out={cfg.out}: expected a file ending in .pt or {ENDING}; for example: {EXPORT_EXAMPLE}")
    _export_official(out, opened)
    return 0


def _export_official(out: Path, opened: Opened) -> None:
    template, content = out.parent / TEMPLATES[0], template_from_stats(template_stats(opened.generator))
    if template.exists() and not same_template(template, content):
        raise ValueError(f"{template} is of another generator; export to another folder, or remove it")
    foreign = write_official(out, opened.generator, window=opened.cfg.generation.window, iteration=opened.step or 0)
    write_template(template, content)
    for problem in foreign:
        print(f"note: the published program cannot use this file: {problem}; this one can")
    print(f"written   {out}\ntemplate  {template}")
