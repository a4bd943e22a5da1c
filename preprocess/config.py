"""The typed root of `python -m preprocess`: a misspelt key fails, and so does one that the source does not take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from joyvasa.usage.front import Front
from joyvasa.usage.program import Program

SHARED = ("input", "audio", "pairs", "min_frames", "features", "metadata", "weights", "engine", "filters")


@dataclass
class Features:
    """Types of conf/features, for `--help`: see preprocess.features.FeatureSource."""

    name: str
    path: str | None
    layer: int | None
    rate: int
    dtype: str
    starts: int | None
    window: int
    left_context: int
    right_context: int
    batch_seconds: float


@dataclass
class Root:
    source: Any = MISSING
    features: Any = field(default=None, metadata={"holds": Features})
    output: str | None = None
    seed: int = MISSING
    input: str | None = None
    audio: str | None = None
    pairs: str = MISSING
    min_frames: int = MISSING
    metadata: str | None = None
    weights: str = MISSING
    engine: Any = MISSING
    filters: Any = MISSING


def check_taken(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raise ValueError for a word like `audio=DIR` that the chosen source would never look at."""
    taken = _leaves(OmegaConf.to_container(cfg.source, resolve=False))
    given = {word.split("=")[0].split(".")[0].lstrip("+~") for word in overrides}
    surplus = [name for name in SHARED if name in given and f"${{{name}}}" not in taken]
    if surplus:
        words, source = ", ".join(f"{name}=" for name in surplus), cfg.source._target_.rsplit(".", 1)[-1]
        raise ValueError(f"{words} not taken by {source}; leave it out, or choose the source= that takes it")


def front() -> Front:
    """What the command line answers before Hydra sees it."""
    program = Program(
        command="python -m preprocess",
        short="python -m preprocess source={choice}",
        conf=conf_dir(),
        file="preprocess",
        root=Root,
        chooser="source",
        starts=("source",),
    )
    examples = (
        "python -m preprocess source=videos input=DIR output=data/talks",
        "python -m preprocess source=synthetic output=data/made",
    )
    return Front(program, "sources", {}, examples)


def _leaves(node: Any) -> list[Any]:
    return [leaf for child in node.values() for leaf in _leaves(child)] if isinstance(node, dict) else [node]


def conf_dir() -> Path:
    """The configuration: in an installed wheel joyvasa/conf, in a checkout conf/ beside this package."""
    import joyvasa

    package = Path(joyvasa.__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "preprocess.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"no preprocess.yaml in {package / 'conf'} nor {package.parent / 'conf'}; reinstall joyvasa"
    )
