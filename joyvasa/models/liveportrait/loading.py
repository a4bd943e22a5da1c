"""LivePortrait from the registry's files, from a folder in the official layout, or with random weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from joyvasa.models.liveportrait.appearance import AppearanceExtractor
from joyvasa.models.liveportrait.bundle import LivePortrait
from joyvasa.models.liveportrait.files import Found, entry_of, find, next_step, read_state
from joyvasa.models.liveportrait.generator import SpadeGenerator
from joyvasa.models.liveportrait.motion_extractor import MotionExtractor
from joyvasa.models.liveportrait.random_weights import fill
from joyvasa.models.liveportrait.retargeting import Retargeting
from joyvasa.models.liveportrait.sizes import OFFICIAL, PARTS, SMALL, Sizes
from joyvasa.models.liveportrait.state import load_official
from joyvasa.models.liveportrait.warping import WarpingNetwork

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "F": AppearanceExtractor, "M": MotionExtractor, "W": WarpingNetwork, "G": SpadeGenerator, "S": Retargeting,
}  # fmt: skip
RANDOM = re.compile(r"random:(\d+)(:small)?")


def build(letter: str, sizes: Sizes) -> nn.Module:
    """One network of these sizes on the meta device: names and shapes, no numbers."""
    with torch.device("meta"):
        return BUILDERS[letter](**sizes.networks[letter]).eval()


def read(file: Found, sizes: Sizes) -> nn.Module:
    """The network of an official file. Raises ValueError naming the file and how it differs from these sizes."""
    return load_official(build(file.letter, sizes), read_state(file), str(file.path), next_step(file))


def load(which: str | Path, species: str, parts: Sequence[str] = PARTS, sizes: Sizes = OFFICIAL) -> LivePortrait:
    """The networks of a species ("human" or "animal"), as far as `parts` asks; float32 on the CPU.

    which: "weights" for the registry's files; a folder that holds them in the official layout; "random:SEED" for random
    weights, "random:SEED:small" for small networks with such. A part's weights do not depend on which others are asked
    for. Raises FileNotFoundError naming the command that gets what is missing, ValueError naming a wrong file.
    """
    if not parts or set(parts) - set(PARTS):
        raise ValueError(f"parts {', '.join(parts) or 'none'}: choose from {', '.join(PARTS)}")
    for letter in parts:
        entry_of(letter, species)
    name = f"LivePortrait ({which}, {species})"
    if str(which).startswith("random"):
        asked = RANDOM.fullmatch(str(which))
        if not asked:
            raise ValueError(f"{which}: expected random:SEED or random:SEED:small, SEED a whole number")
        sizes = SMALL if asked[2] else sizes
        networks = {letter: fill(build(letter, sizes), letter, int(asked[1])) for letter in parts}
        return LivePortrait(sizes=sizes, networks=networks, sha256=None, untrained=True, name=name)
    found = [find(which, letter, species) for letter in parts]
    networks = {file.letter: read(file, sizes) for file in found}
    sha256 = {file.path.name: file.sha256 for file in found}
    return LivePortrait(sizes=sizes, networks=networks, sha256=sha256, untrained=False, name=name)
