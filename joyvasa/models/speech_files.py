"""The files of a speech encoder: found, checked, and loaded when they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from joyvasa import weights

FAMILIES = {"hubert_zh": "HubertModel", "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model"}
HEADS = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "final_proj.")  # of pre-training and recognition
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Unloaded:
    """A transformers model still on disk: its configuration, and what loads it."""

    config: Any
    load: Callable[[], nn.Module]


def find_weights(name: str, path: str | None) -> Path:
    """The folder of the encoder's files: `path`, a hub repository downloaded where need be, or the registry's.

    Raises FileNotFoundError naming the command that gets them.
    """
    if name not in FAMILIES:
        raise ValueError(f"encoder.name={name!r}: choose from {', '.join(FAMILIES)}")
    if path is None:
        return weights.where(name)
    return Path(path) if Path(path).is_dir() else Path(_from_hub(name, path))


def _from_hub(name: str, path: str) -> str:
    missing = (
        f"encoder.path={path}: no such folder, and not to be had from the hub; python -m joyvasa.weights pull {name}"
    )
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise FileNotFoundError(missing)
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(path, allow_patterns=["config.json", *WEIGHT_FILES])
    except (OSError, ValueError) as error:  # no network, no such repository, no permission: all derive from these
        raise FileNotFoundError(f"{missing} ({type(error).__name__})") from error


def weight_file(folder: Path, name: str) -> Path:
    """The weights beside a config.json. Raises FileNotFoundError naming the command that gets them."""
    files = [folder / file for file in WEIGHT_FILES if (folder / file).is_file()]
    if not (folder / "config.json").is_file() or not files:
        raise FileNotFoundError(
            f"{folder}: no config.json with {' or '.join(WEIGHT_FILES)}; python -m joyvasa.weights pull {name}"
        )
    return files[0]


def unloaded(folder: Path, name: str) -> Unloaded:
    """The model in a folder whose files are there and whose configuration is of the right kind."""
    import transformers

    file, expected = weight_file(folder, name), FAMILIES[name].removesuffix("Model")
    kind = getattr(transformers, f"{expected}Config")
    get = f"python -m joyvasa.weights pull {name}"
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{folder / 'config.json'}: unreadable ({error}); {get}") from error
    if said != kind.model_type:
        raise ValueError(f"{folder}: a {said} model (expected {kind.model_type}); {get}")
    return Unloaded(kind.from_pretrained(str(folder), local_files_only=True), partial(_load, name, file))


def _load(name: str, file: Path) -> nn.Module:
    import transformers

    kind, get = getattr(transformers, FAMILIES[name]), f"python -m joyvasa.weights pull {name}"
    try:
        model, report = kind.from_pretrained(
            str(file.parent), local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, UnpicklingError) as error:
        raise ValueError(f"{file}: not the weights of this configuration ({error}); {get}") from error
    surplus = [key for key in report["unexpected_keys"] if not key.startswith(HEADS)]
    if surplus:
        raise ValueError(f"{file}: {len(surplus)} tensors of another model ({', '.join(sorted(surplus)[:5])} …); {get}")
    missing = set(report["missing_keys"]) - {"masked_spec_embed"}
    if missing:
        raise ValueError(f"{file}: lacks {len(missing)} tensors ({', '.join(sorted(missing)[:5])} …); {get}")
    return model
