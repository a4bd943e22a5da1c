"""Judges from the registry's files, or with random weights."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from joyvasa import weights
from joyvasa.models.judges.i3d import I3D
from joyvasa.models.judges.inception import InceptionV3
from joyvasa.models.judges.judge import Judge
from joyvasa.models.judges.syncnet import SyncNet
from joyvasa.unpickle import load_torch
from joyvasa.weight_store import COMMAND, records

# By entry of the registry. Files of i3d and i3d_videogpt have the same names and shapes: the entry says which it is.
JUDGES: dict[str, Callable[[], Judge]] = {
    "syncnet": SyncNet,
    "i3d": lambda: I3D(eps=1e-3),
    "i3d_videogpt": lambda: I3D(eps=1e-5),
    "inception": InceptionV3,
}
WEIGHTS, RANDOM = "weights", re.compile(r"random:(\d+)")
SPREAD = 0.1  # of random norms around the one that changes nothing
# SyncNet takes bytes and cepstra as they are: its first layers bring them to the order of 1.
FACTORS = {"netcnnlip.0.weight": 1 / 128, "netcnnaud.0.weight": 1 / 16}


def build(name: str) -> Judge:
    """A judge on the meta device: names and shapes, no numbers. Raises ValueError, listing the known names."""
    if name not in JUDGES:
        raise ValueError(f"judge {name!r}: choose from {', '.join(JUDGES)}")
    with torch.device("meta"):
        judge = JUDGES[name]()
    judge.name = name
    return judge.eval()


def load(name: str, which: str) -> Judge:
    """The judge of an entry of the registry, float32 on the CPU.

    which: "weights" for the registry's file, "random:SEED" for random weights. Raises FileNotFoundError naming the
    command that gets what is missing, ValueError naming a wrong file and how it differs, or an unknown name.
    """
    judge = build(name)
    if which == WEIGHTS:
        return _read(judge)
    asked = RANDOM.fullmatch(which)
    if not asked:
        raise ValueError(f"weights of {name}: {which!r} (expected {WEIGHTS}, or random:SEED with SEED a whole number)")
    return _fill(judge, int(asked[1]))


def _read(judge: Judge) -> Judge:
    from joyvasa.models.liveportrait.state import load_official  # its package takes as long to import as torch

    entry = weights.get(judge.name)
    (filename,) = (each.name for each in entry.files)
    path = weights.file(judge.name, filename)
    state, next_step = load_torch(path), f"expected that of {entry.source}: {COMMAND} pull {judge.name}"
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        raise ValueError(f"{path}: no state dict of tensors; {next_step}")
    load_official(judge, state, str(path), next_step)
    judge.sha256, judge.untrained = records(entry)[filename].sha256, False
    return judge


def _fill(judge: Judge, seed: int) -> Judge:
    """Random weights, the same for the same seed and name of a tensor; signals keep their size from layer to layer."""
    state = {name: _value(name, tensor, seed) for name, tensor in judge.state_dict().items()}
    judge.load_state_dict(state, assign=True)
    return judge.requires_grad_(False)


def _value(name: str, tensor: Tensor, seed: int) -> Tensor:
    """Kaiming's deviation for weights, norms spread around the identity, so that a wrong one would show."""
    if not tensor.is_floating_point():
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))
    drawn = torch.randn(tensor.shape, generator=generator)
    if tensor.ndim > 1:
        return drawn * (2 / tensor[0].numel()) ** 0.5 * FACTORS.get(name, 1)
    if name.endswith("running_var"):
        return 1 + SPREAD * drawn.abs()
    return SPREAD * drawn + (1 if name.endswith("weight") else 0)
