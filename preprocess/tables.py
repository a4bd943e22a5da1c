"""Names and lists that users write: accents one way, CSV files with a header."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from joyvasa.markup import shown


def nfc(name: Path | str) -> str:
    """A name whose accents are written one way: file systems disagree about é."""
    return unicodedata.normalize("NFC", shown(name))


def read_table(
    file: Path, columns: Sequence[str], required: Sequence[str], *, strangers: bool
) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """(line, cells by column) of every row that is not empty, and the columns that are not among `columns`.

    Cells are stripped, absent ones empty. Raises ValueError, without the file's name: not UTF-8, no header with the
    required columns, a column twice, other columns where `strangers` is false, more cells than the header has.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            header = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    unknown = [name for name in header if name not in columns]
    if not set(required) <= set(header) or len(set(header)) < len(header) or unknown and not strangers:
        raise ValueError(f"header {', '.join(header) or 'missing'} (expected {','.join(columns)})")
    surplus = [number for number, row in rows if None in row]
    if surplus:
        raise ValueError(f"line {surplus[0]} has more cells than the header; quote cells with commas")
    cells = [(number, {name: row.get(name, "").strip() for name in columns}) for number, row in rows]
    return [(number, row) for number, row in cells if any(row.values())], unknown
