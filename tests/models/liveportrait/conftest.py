"""Fixtures: small networks' files in the official layout, filled by the parity fixtures' rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from joyvasa import weights
from joyvasa.models.liveportrait.files import ENTRIES, FILES, RETARGETING, entry_of
from joyvasa.models.liveportrait.loading import build
from joyvasa.models.liveportrait.sizes import PARTS, SMALL
from joyvasa.models.liveportrait.state import official_shapes
from tests.parity import rule

State = dict[str, Tensor]


def official_state(letter: str, species: str = "human") -> State:
    """The tensors of a part's official file, small, those of S with their network's name in front."""
    shapes = official_shapes(build(letter, SMALL))
    counters = {name for name in shapes if name.endswith("num_batches_tracked")}
    factor = 1.0 if species == "human" or letter == "S" else 0.9
    values = {name: np.asarray(factor * rule.weight(name, shapes, name in counters)) for name in shapes}
    return {
        name: torch.from_numpy(value).to(torch.int64 if name in counters else torch.float32)
        for name, value in values.items()
    }


def nested(state: State, prefix: str = "") -> dict[str, State]:
    """The file of S: a state dict for each of its networks, and something else that nobody reads."""
    return {"epoch": 3} | {
        name: {f"{prefix}{key.removeprefix(f'{name}.')}": value for key, value in state.items() if key.startswith(name)}
        for name in RETARGETING
    }


def write_layout(folder: Path, species: tuple[str, ...] = tuple(ENTRIES)) -> Path:
    """All files of the species below `folder`, as the official repository has them."""
    for kind in species:
        for letter in PARTS:
            path = folder / weights.get(entry_of(letter, kind)).file(FILES[letter]).path
            path.parent.mkdir(parents=True, exist_ok=True)
            state = official_state(letter, kind)
            torch.save(nested(state, "module.") if letter == "S" else state, path)
    return folder


@pytest.fixture
def state_of() -> Callable[..., State]:
    """`official_state`: (letter, species) -> tensors by official name."""
    return official_state


@pytest.fixture
def nest() -> Callable[..., dict[str, State]]:
    """`nested`: (state, prefix) -> content of the file of S."""
    return nested


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both species' files in the official layout. Shared by all tests: read only."""
    return write_layout(tmp_path_factory.mktemp("official"))
