"""Which function computes which case. A function takes a `Case` and gives its outputs by key; None for one that does
not exist in a variant. What it leaves out is not covered.

Every module `cases_*.py` of this folder is loaded; its functions name their cases by pattern:

    @covers("pad_audio*")
    def padding(case: Case) -> Outputs: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from .case import Case

Outputs = dict[str, Any]
Compute = Callable[[Case], Outputs]

_COVERED: dict[str, Compute] = {}


def covers(*patterns: str) -> Callable[[Compute], Compute]:
    """Register a function for the cases whose name fits a pattern. Raises ValueError for one registered before."""

    def register(compute: Compute) -> Compute:
        for pattern in patterns:
            if pattern in _COVERED:
                raise ValueError(f"cases {pattern!r} are covered twice: by {_COVERED[pattern]} and {compute}")
            _COVERED[pattern] = compute
        return compute

    return register


@cache
def _load() -> list[Exception]:
    """Why modules could not be loaded: their cases break, those of the others do not."""
    broken: list[Exception] = []
    for file in sorted(Path(__file__).parent.glob("cases_*.py")):
        try:
            importlib.import_module(f"{__package__}.{file.stem}")
        except Exception as error:
            broken.append(error)
    return broken


def find(name: str) -> Compute | None:
    """The function that covers case `name`, the one of the longest pattern; None where no code does.

    Raises what kept a module from loading where that module may be the one.
    """
    broken = _load()
    fitting = [pattern for pattern in _COVERED if fnmatchcase(name, pattern)]
    if not fitting and broken:
        raise broken[0]
    return _COVERED[max(fitting, key=len)] if fitting else None
