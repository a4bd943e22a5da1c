"""What task=accept goes through: steps that do not know each other, and what came of them, kept as they end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import joyvasa
from joyvasa import weights
from joyvasa.eval.verdicts import UNVERIFIED, VERIFIED, WRONG
from joyvasa.tasks.runs import write_json
from joyvasa.weight_store import folder, records


@dataclass(frozen=True)
class Outcome:
    """state: verified, unverified or WRONG. detail: why, and what to type. facts: numbers. files: names in the folder
    of the report. inputs: what it depended on, None for a step that is always gone through again."""

    state: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    inputs: Mapping[str, str] | None = None
    when: str = ""


@dataclass(frozen=True)
class Step:
    """inputs: hashes of what its outcome depends on; None: it is gone through each time. Raises OSError for what is
    lacking, ValueError for what is not as it must be."""

    name: str
    run: Callable[[], Outcome]
    inputs: Callable[[], Mapping[str, str]] | None = None


class Book:
    """accept.json: the outcome of every step, written after each, so that an interrupted call loses one at most."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[str, Outcome] = _read(path)

    def go_through(self, step: Step) -> tuple[Outcome, bool]:
        """The step's outcome, and whether it is an earlier one: verified, with the same inputs, its files still there.

        A step that fails or lacks something is an outcome too.
        """
        known = self.outcomes.get(step.name)
        inputs = None
        try:
            inputs = None if step.inputs is None else dict(step.inputs())
            if known and known.state == VERIFIED and inputs is not None and known.inputs == inputs:
                if all((self.path.parent / name).is_file() for name in known.files):
                    return known, True
            found = step.run()
            inputs = None if step.inputs is None else dict(step.inputs())  # it may have fetched them
        except OSError as error:
            found = Outcome(UNVERIFIED, str(error))
        except Exception as error:  # one step must not end the others; what it raised is its outcome
            found = Outcome(WRONG, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
        found = Outcome(found.state, found.detail, found.facts, found.files, inputs, time.strftime("%Y-%m-%d %H:%M:%S"))
        self.outcomes[step.name] = found
        return found, False

    def write(self, steps: list[str], environment: Mapping[str, Any]) -> None:
        """The outcomes of these steps, in their order; of others nothing is kept."""
        known = {name: asdict(self.outcomes[name]) for name in steps if name in self.outcomes}
        write_json(self.path, {"environment": environment, "steps": known})


def _read(path: Path) -> dict[str, Outcome]:
    """A file that is absent or damaged holds nothing: every step is gone through again."""
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return {name: Outcome(**row | {"files": tuple(row["files"])}) for name, row in steps.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@cache
def sources() -> str:
    """sha256 of this package's code."""
    found = hashlib.sha256()
    for path in sorted(Path(joyvasa.__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def files_of(name: str) -> dict[str, str]:
    """What the store says of the files of an entry, without reading them: recorded hash, size and time of change."""
    entry = weights.get(name)
    found = {}
    for file, record in records(entry).items():
        path = folder(entry) / file
        if path.is_file():
            found[f"{name}/{file}"] = f"{record.sha256} {path.stat().st_size} {path.stat().st_mtime_ns}"
    return found
