"""A trained sync expert as one small file, which needs no run folder and no configuration: expert.safetensors.

A frozen pretrained speech encoder stays outside, as in checkpoints; its hash is in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from joyvasa.features import FeatureSpec
from joyvasa.io.files import named_in_utf8, replacing
from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.speech import load_speech_encoder
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.motion import CHANNELS, MotionStats

NAME = "expert.safetensors"  # in a run folder
_FORMAT = "joyvasa sync expert 1"


@dataclass(frozen=True)
class OpenedExpert:
    """A sync expert in evaluation mode, the shifts it was taught to tell apart (frames, either way), its facts."""

    network: SyncExpert
    max_shift: int
    about: dict[str, str]


def write_expert(path: Path, expert: SyncExpert, *, encoder: Mapping[str, Any], max_shift: int, facts: dict) -> None:
    """`encoder`: the arguments its speech encoder was built with; `facts` (where it is from) travel along as text."""
    about = {
        "format": _FORMAT,
        "sizes": json.dumps(expert.sizes),
        "encoder": json.dumps(dict(encoder)),
        "feature_spec": json.dumps(asdict(expert.encoder.spec)),
        "max_shift": str(max_shift),
    }
    with replacing(path) as temporary, named_in_utf8(temporary) as reachable:
        state = {name: value.contiguous().cpu() for name, value in expert.state_dict().items()}
        save_file(state, reachable, about | {name: str(value) for name, value in facts.items()})


def find_expert(path: str | Path) -> Path:
    """The file of a run folder of experiment=sync_expert, or the file itself. Raises FileNotFoundError."""
    path = Path(path)
    file = path.resolve() / NAME if path.is_dir() else path
    if not file.is_file():
        hint = "a run writes it when its training ends" if path.is_dir() else "give a run of experiment=sync_expert"
        raise FileNotFoundError(f"{file}: no sync expert there ({hint})")
    return file


def open_expert(path: str | Path) -> OpenedExpert:
    """What `find_expert` finds; raises as it does, and ValueError for a file that is damaged or something else."""
    file = find_expert(path)
    try:
        with named_in_utf8(file) as name, safe_open(name, "pt") as opened:
            about = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise ValueError(f"{file}: not a whole safetensors file ({error}); train the expert again") from error
    if about.get("format") != _FORMAT:
        raise ValueError(f"{file}: no sync expert (expected {_FORMAT!r}, got format {about.get('format')!r})")
    # Opened in the middle of a run it must not move the random numbers of that run.
    with torch.random.fork_rng(devices=[]):
        network = _drawn(about, str(file))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{file}: of another expert than it says ({' '.join(str(error).split())})") from error
    return OpenedExpert(network.eval(), int(about["max_shift"]), about)


def _drawn(about: Mapping[str, str], where: str) -> SyncExpert:
    """A network of the file's sizes. What hears is chosen by the name of its features: the file names no code."""
    spec = FeatureSpec(**json.loads(about["feature_spec"]))
    kind = LogMelEncoder if spec.encoder == "logmel" else load_speech_encoder
    encoder = kind(**json.loads(about["encoder"]))
    spec.require(encoder.spec, where)
    zeros, ones = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    unit = MotionStats(zeros, ones, zeros, ones, zeros, ones)  # replaced by what the file holds
    return SyncExpert(encoder=encoder, stats=unit, seed=0, **json.loads(about["sizes"]))
