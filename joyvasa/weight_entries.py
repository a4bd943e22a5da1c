"""The registry of pretrained weights (weights.toml) as records: source, files, hashes, licence, who uses them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class WeightFile:
    """One file. path: within its source. size in bytes and sha256 are None where unknown ("unpinned").

    url: its address, None for a file of the entry's hub repository.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Entry:
    """Files that belong together; the fields are explained in weights.toml.

    archive: a zip that holds all files, where they are published in no other way.
    """

    name: str
    source: str
    files: tuple[WeightFile, ...]
    licence: str
    commercial_use: bool
    used_by: str
    note: str
    revision: str = "main"
    archive: WeightFile | None = None

    def address(self, file: WeightFile, hub: str) -> str:
        """URL of a file; `hub` is the endpoint of the model hub, without a slash at its end."""
        return file.url or f"{hub}/{self.source}/resolve/{self.revision}/{file.path}"

    def file(self, name: str) -> WeightFile:
        """The file of that name or path. Raises ValueError, listing the entry's files."""
        for file in self.files:
            if name in (file.name, file.path):
                return file
        raise ValueError(f"weights {self.name} have no file {name!r} (known: {', '.join(f.name for f in self.files)})")


def get(name: str) -> Entry:
    """Raises ValueError, listing the known names."""
    if name not in ENTRIES:
        raise ValueError(f"unknown weights {name!r} (known: {', '.join(ENTRIES)}); see python -m joyvasa.weights list")
    return ENTRIES[name]


def _entry(name: str, table: dict[str, Any]) -> Entry:
    archive = WeightFile(**table.pop("archive")) if "archive" in table else None
    files = tuple(WeightFile(**file) for file in table.pop("files"))
    return Entry(name=name, files=files, archive=archive, **table)


_TABLES = tomllib.loads(Path(__file__).with_name("weights.toml").read_text(encoding="utf-8"))
ENTRIES: dict[str, Entry] = {name: _entry(name, table) for name, table in _TABLES.items()}
