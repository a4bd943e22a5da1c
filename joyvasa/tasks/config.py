"""The typed root of the configuration: every argument of every task, so that a misspelt key fails at every level.

Values live in conf/; what has a `_target_` is an object of the configuration and its keys are those of the target's
signature, which `check_targets` compares before anything is built.

What `--help` says of a key is its type here and the comment on its line in conf/; see joyvasa.usage.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf


def several(types: str, default: Any = MISSING) -> Any:
    """A field that takes values of several types, which OmegaConf knows as Any alone.

    Args:
        types: what `--help` calls them, for example "path or list".
        default: the value where conf/ sets none.

    Returns:
        The dataclass field.
    """
    return field(default=default, metadata={"type": types})


@dataclass
class SyntheticData:
    """The corpus that is made when `data.path` holds none; see joyvasa.data.synthetic.Corpus."""

    seed: int = MISSING
    train_speakers: int = MISSING
    validation_speakers: int = MISSING
    clips_per_speaker: int = MISSING
    seconds: float = MISSING
    clips_per_shard: int = MISSING
    processes: int = MISSING


@dataclass
class Data:
    """What is read and how an example is cut from it; see joyvasa.data.windows and joyvasa.data.loader."""

    path: str = MISSING
    synthetic: SyntheticData | None = field(default=None, metadata={"holds": SyntheticData})
    window: Any = several("int or [low,high]")
    history: Any = several("int or [low,high]")
    batch_size: int = MISSING
    num_workers: int = MISSING
    short: str = MISSING
    truncate_p: Any = several("float or [float,float]")
    truncate_pad: str = MISSING
    windows_per_clip: int = MISSING
    buffer: int = MISSING
    features: str | None = None


@dataclass
class Diffusion:
    schedule: Any = MISSING
    target: Any = MISSING
    guidance_dropout: float = MISSING
    history_noise: float = MISSING


@dataclass
class Optim:
    optimizer: Any = MISSING
    encoder_lr: float | None = MISSING
    schedule: Any = MISSING


@dataclass
class Generation:
    """How motion is sampled: see joyvasa.models.generation.Windowing and Guidance."""

    window: int = MISSING
    history: int = MISSING
    overlap: int = MISSING
    noise: str = MISSING
    lead: int = MISSING
    guidance: float = MISSING
    threshold: Any = several("list or null", None)
    temperature_lips: float = MISSING
    temperature_rest: float = MISSING
    smoothing: Any = MISSING
    seed: int = MISSING
    batch_size: int = MISSING


@dataclass
class Eval:
    clips: int = MISSING
    split: str = MISSING
    previews: int = MISSING
    sync_expert: str | None = MISSING


@dataclass
class Rules:
    """See joyvasa.eval.films.film_scores.Rules."""

    max_excluded: float = MISSING
    min_face_rate: float = MISSING
    min_loudness_db: float = MISSING


@dataclass
class Evaluate:
    """Of task=evaluate and task=benchmark; see joyvasa.eval.films.plan.Setup."""

    protocols: dict[str, list[str]] = MISSING
    detector: str = MISSING
    devices: Any = several("int or auto")
    cache: str = MISSING
    rules: Rules = field(default_factory=Rules)


@dataclass
class Preview:
    """The puppet that shows motion while training, validating and sampling."""

    species: str = MISSING
    size: int = MISSING


@dataclass
class Web:
    """Types of conf/web that its values do not tell, for `--help`."""

    folder: str | None


@dataclass
class Paths:
    runs: str = MISSING
    run: str | None = None


@dataclass
class Objective:
    """What a sweep minimises or maximises; see joyvasa.tasks.sweep.read_scores."""

    name: str = MISSING
    direction: str = MISSING


@dataclass
class Budget:
    """Of a sweep: once either is spent, the remaining trials are not run."""

    minutes: float | None = None
    trials: int | None = None


@dataclass
class Bench:
    """See joyvasa.tasks.bench."""

    warmup: int = MISSING
    steps: int = MISSING


@dataclass
class Root:
    """Arguments of the tasks first, then the groups of conf/."""

    task: Any = MISSING
    name: str = MISSING
    seed: int = MISSING
    threads: int | None = None
    compile: bool = MISSING
    run_id: str | None = None
    resume: str | None = None
    checkpoint: str | None = None
    template: str | None = None
    image: Any = several("path or list", None)
    audio: Any = several("path or list", None)
    out: str | None = None
    species: str = MISSING
    regions: Any = several("text or list", None)
    face: int | None = None
    box: Any = several("x,y,w,h or null", None)
    guidance: float | None = None
    max_frames: int | None = None
    generated: str | None = None
    reference: str | None = None
    photos: str | None = None
    systems: str | None = None
    metrics: Any = several("text or list", None)
    protocol: Any = several("text or list", None)
    weights: str = MISSING
    data: Data = field(default_factory=Data)
    encoder: Any = MISSING
    denoiser: Any = MISSING
    diffusion: Diffusion = field(default_factory=Diffusion)
    normaliser: Any = MISSING
    sampler: Any = MISSING
    generation: Generation = field(default_factory=Generation)
    loss: Any = MISSING
    optim: Optim = field(default_factory=Optim)
    trainer: Any = MISSING
    callbacks: Any = MISSING
    logger: Any = MISSING
    eval: Eval = field(default_factory=Eval)
    evaluate: Evaluate = field(default_factory=Evaluate)
    preview: Preview = field(default_factory=Preview)
    animate: Any = MISSING
    render: Any = MISSING
    expert: Any = None  # network, loss and study of task=sync_expert
    web: Any = field(default=MISSING, metadata={"holds": Web})
    paths: Paths = field(default_factory=Paths)
    objective: Objective = field(default_factory=Objective)
    budget: Budget = field(default_factory=Budget)
    bench: Bench = field(default_factory=Bench)


def conf_dir() -> Path:
    """The configuration: inside an installed wheel joyvasa/conf, in a checkout conf/ beside the package."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no configuration in {package / 'conf'} nor {package.parent / 'conf'}; reinstall joyvasa")


def targets(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a `_target_`, with its path in the configuration."""
    if not OmegaConf.is_config(node) or node._is_none() or node._is_missing():
        return
    if OmegaConf.is_dict(node):
        if "_target_" in node:
            yield path, node
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key), f"{path}.{key}" if path else str(key))
    elif OmegaConf.is_list(node):
        for index in range(len(node)):
            yield from targets(node._get_node(index), f"{path}[{index}]")


def check_targets(cfg: DictConfig) -> None:
    """Raise ValueError for a key that its target does not take, naming both and what there is."""
    from hydra.utils import get_object

    for path, node in targets(cfg):
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()) and not path.startswith("trainer"):
            continue
        surplus = [key for key in node if not str(key).startswith("_") and key not in parameters]
        if surplus:
            raise ValueError(
                f"{path}.{surplus[0]}: {node['_target_']} takes no such argument (it has: {', '.join(parameters)})"
            )
