"""One file of expected outputs, with what its metadata says of it and the tolerances that go with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import rule


def names_in(folder: Path) -> list[str]:
    """Names of the cases of a folder, sorted. Raises FileNotFoundError where there is none."""
    names = sorted(file.stem for file in (folder / "cases").glob("*.npz"))
    if not names:
        raise FileNotFoundError(f"{folder}: no cases/*.npz; name the folder that holds README.md, cases and floor.json")
    return names


@dataclass(frozen=True)
class Case:
    """Case `name` of `folder`. Everything is read when it is asked for, so that a broken file fails one case alone."""

    folder: Path
    name: str

    @cached_property
    def stored(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "cases" / f"{self.name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    @cached_property
    def meta(self) -> dict[str, Any]:
        return json.loads(str(self.stored["meta"]))

    @property
    def config(self) -> dict[str, Any]:
        return self.meta.get("config") or {}

    @cached_property
    def floors(self) -> dict[str, dict[str, float]]:
        """Float32 errors of the reference by output; empty where the folder has none for this case."""
        path = self.folder / "floor.json"
        return json.loads(path.read_text()).get(self.name, {}) if path.is_file() else {}

    @cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """Every input of the case by name, float32."""
        return {name: rule.realise(recipe) for name, recipe in self.meta["inputs"].items()}

    def tensor(self, name: str) -> Tensor:
        """Input `name`. Raises KeyError saying which inputs there are."""
        if name not in self.inputs:
            raise KeyError(f"no input {name!r} among {', '.join(self.inputs)}")
        return torch.from_numpy(self.inputs[name])

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What the metadata says of each output. Some integers are stored without a word: they are outputs as well."""
        silent = {key.removeprefix("out."): {} for key in self.stored if key.startswith("out.")}
        return {
            **self.meta["outputs"],
            **{key: about for key, about in silent.items() if key not in self.meta["outputs"]},
        }

    def shape(self, key: str) -> list[int]:
        """Of the whole output `key`."""
        return self.outputs[key].get("shape", list(self.stored[f"out.{key}"].shape))

    def said(self, pattern: str, default: str | None = None) -> str:
        """The first group of a pattern in the case's description or notes. Raises KeyError without either."""
        prose = " ".join([self.meta.get("description", ""), str(self.config.get("note", ""))])
        found = re.search(pattern, prose)
        if not found and default is None:
            raise KeyError(f"nothing like {pattern!r} in the description: {prose.strip()}")
        return found[1] if found else default

    def stated(self, name: str, default: float | None = None) -> float:
        """The number the case states for `name`: in its configuration, else in prose ("window 3", "lr 1e-4").

        Raises KeyError where there is neither a statement nor a default.
        """
        if isinstance(self.config.get(name), int | float):
            return self.config[name]
        number = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
        return float(self.said(rf"\b{re.escape(name)}[ =:]+{number}", None if default is None else str(default)))
