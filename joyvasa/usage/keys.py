"""The keys of a part of the composed configuration, with type, default and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from joyvasa.usage.meanings import TARGET, read_meanings
from joyvasa.usage.program import Program
from joyvasa.usage.signatures import ANY, read_types, type_of_value, types_of_root

TABLE = "table"


@dataclass(frozen=True)
class Key:
    """A key of the configuration. default: as composed, interpolations as they are written."""

    name: str
    type: str
    default: Any
    meaning: str

    @property
    def shown(self) -> str:
        """The default as it would be typed."""
        if self.default is None:
            return "null"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, list):
            return "[" + ",".join(str(each) for each in self.default) + "]"
        if isinstance(self.default, dict):
            return f"{len(self.default)} entries"
        return str(self.default)


def list_keys(program: Program, composed: DictConfig, path: str) -> list[Key]:
    """List a key, or all keys of a part.

    Args:
        program: whose configuration it is.
        composed: that configuration.
        path: dotted path of a key or of a part.

    Returns:
        The keys; none where the path does not exist.
    """
    values = OmegaConf.to_container(composed, resolve=False)
    target: str | None = None
    inside = ""
    node: Any = values
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return []
        if TARGET in node:
            target = node[TARGET]
            inside = ""
        inside = f"{inside}.{part}" if inside else part
        node = node[part]
    if node is None and program.options(path):
        return []  # a group of which nothing is chosen
    return list(_keys(_Walk(program, values), node, path, target, inside))


class _Walk:
    """What is looked up at every key."""

    def __init__(self, program: Program, values: dict[Any, Any]) -> None:
        self.meanings = read_meanings(program.conf, program.file)
        self.types = types_of_root(program.root)
        self._parts = {f"${{{name}}}" for name, value in values.items() if isinstance(value, dict)}

    def is_part(self, value: Any) -> bool:
        """Whether a value stands for another part of the configuration, where its keys are listed: `${filters}`."""
        return isinstance(value, str) and value in self._parts

    def stated(self, path: str, target: str | None, inside: str) -> str:
        """The type that the object's signature or the typed root states."""
        types = self.types if target is None else read_types(target)
        return types.get(path if target is None else inside, ANY)


def _keys(walk: _Walk, value: Any, path: str, target: str | None, inside: str) -> Iterator[Key]:
    kind = walk.stated(path, target, inside)
    is_object = isinstance(value, dict) and TARGET in value
    # A table of any names, like the weights of a loss, is one key; another dictionary is a part with keys of its own.
    if is_object or (isinstance(value, dict) and not kind.startswith(TABLE)):
        if is_object:
            target = value[TARGET]
            inside = ""
        for name, inner in value.items():
            if not str(name).startswith("_"):
                there = f"{inside}.{name}" if inside else str(name)
                yield from _keys(walk, inner, f"{path}.{name}", target, there)
        return
    if walk.is_part(value):
        return
    if value == MISSING:
        value = None
    if kind == ANY:
        kind = type_of_value(value)
    yield Key(path, kind, value, walk.meanings.of(path, target, inside))
