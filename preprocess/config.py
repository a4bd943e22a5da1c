"""The typed root of `python -m preprocess`: a misspelt key fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING


@dataclass
class Root:
    source: Any = MISSING
    output: str | None = None
    seed: int = MISSING


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
