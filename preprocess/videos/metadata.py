"""What a CSV list says of the films: who speaks, in which language, for which split, by which right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from joyvasa.data.shards import SPLITS
from joyvasa.markup import shown
from preprocess.report import Report
from preprocess.tables import UTF8, nfc, read_table, spellings
from preprocess.videos.records import Source

FILE = "file"
FIELDS = ("speaker", "language", "split", "licence", "consent")
ROOTED = re.compile(r"/|[A-Za-z]:/")  # paths of another machine begin so
SHOWN = 3  # names given as examples in one remark


def with_metadata(sources: Sequence[Source], metadata: Path, report: Report) -> list[Source]:
    """The sources with what the rows say of them.

    A row's file is a source's name, or its last part or that without ending where just one source is called so. Rows
    of unknown, ambiguous or repeated files, splits that are none, strange columns and sources without a row are
    remarked on, never fatal. Raises FileNotFoundError, or ValueError naming a list that cannot be read.
    """
    if not metadata.is_file():
        raise FileNotFoundError(f"metadata={shown(metadata)}: no such file")
    names = _Names(sources)
    try:
        table = read_table(
            metadata,
            (FILE, *FIELDS),
            (FILE,),
            strangers=True,
            known=lambda row, encoding: len(names.find(row[FILE], encoding)) == 1,
        )
    except ValueError as error:
        reason = f"not a list with a header: {error}{_hint(metadata)}"
        raise ValueError(f"metadata={shown(metadata)}: {reason}") from error
    title = shown(metadata.name)
    if table.encoding != UTF8:
        report.remark(title, "encoding", f"not UTF-8; read as {table.encoding}, by the files that it names")
    if table.strangers:
        known = ", ".join((FILE, *FIELDS))
        report.remark(title, "unknown column", f"not looked at: {', '.join(table.strangers)} (known: {known})")
    said: dict[str, dict[str, str]] = {}
    for number, row in table.rows:
        line = f"{title} line {number}, {row[FILE] or 'no file'}"
        found = names.find(row[FILE], table.encoding)
        if len(found) != 1:
            kind, reason = _lost(found)
            report.remark(line, kind, reason)
        elif found[0] in said:
            report.remark(line, "listed twice", f"{found[0]} has a row already; the first one holds")
        else:
            said[found[0]] = _facts(row, line, report)
    without = [source.name for source in sources if source.name not in said]
    if without:
        reason = f"{len(without)} of {len(sources)} files have no row: {_few(without)}"
        report.remark(title, "no row", reason)
    return [replace(source, **said.get(source.name, {})) for source in sources]


def _hint(metadata: Path) -> str:
    """What to mend in a list whose first line does not name the column that has to be there."""
    with metadata.open(encoding="utf-8-sig", errors="replace") as stream:
        header = stream.readline().strip()
    if FILE in (cell.strip(' "').lower() for cell in re.split("[,;|\t]", header)):
        return ""
    return f"; only the column `{FILE}` has to be there"


def _facts(row: Mapping[str, str], line: str, report: Report) -> dict[str, str]:
    """The cells of a row that say something; a split that is none is remarked on and left out."""
    cells = {name: " ".join(nfc(row[name]).split()) for name in FIELDS}
    if cells["split"] and cells["split"] not in SPLITS:
        reason = f"split {cells['split']!r} (expected one of {', '.join(SPLITS)}): decided as if it were empty"
        report.remark(line, "unknown split", reason)
        cells["split"] = ""
    return {name: cell for name, cell in cells.items() if cell}


def _lost(found: Sequence[str]) -> tuple[str, str]:
    if found:
        return "ambiguous file", f"{len(found)} files are called so: {_few(found)}; write the name with its folder"
    return "unknown file", "no such file below the input or in its list"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


class _Names:
    """Names of sources by all that a list may call them: whole, last part, whole without ending, stem."""

    def __init__(self, sources: Sequence[Source]):
        self._paths = {source.name: f"/{nfc(source.path.absolute().as_posix()).lstrip('/')}" for source in sources}
        self._tables: tuple[dict[str, list[str]], ...] = ({}, {}, {}, {})
        for source in sources:
            path = PurePosixPath(source.name)
            called = source.name, path.name, str(path.with_suffix("")), path.stem
            for table, name in zip(self._tables, called, strict=True):
                table.setdefault(name, []).append(source.name)

    def find(self, name: str, encoding: str = UTF8) -> list[str]:
        """The names of the first table that knows it: one of them is a hit, more are ambiguous.

        Backslashes are those of Windows where no file is called so. A path with more folders in front than the source's
        name is the source where it ends the file's own path, or, with a drive or a root in front, ends in its name.
        """
        plain = [nfc(each).removeprefix("./") for each in spellings(name, encoding)]
        for table in self._tables:
            for each in plain:
                if each in table:
                    return table[each]
        for each in plain:
            found = self._by_path(each)
            if found:
                return found
        return []

    def _by_path(self, path: str) -> list[str]:
        if "/" not in path:
            return []
        if not ROOTED.match(path):
            return [name for name, own in self._paths.items() if own.endswith(f"/{path}")]
        return [name for name in self._paths if path.endswith(f"/{name}")]
