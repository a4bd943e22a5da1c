"""Names and lists that users write: accents one way, CSV files with a header, whatever program exported them."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from joyvasa.markup import shown

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = ("cp1252", "latin-1")
OTHERS = ("gb18030", "shift_jis", "big5", "euc_kr", "cp1251")
DELIMITERS = (",", ";", "\t", "|")
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
UTF8 = "utf-8"

Row = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Table:
    """rows: (line, cells by column) of every row that is not empty. strangers: columns that nobody asked for. encoding:
    in which the list was read."""

    rows: list[Row]
    strangers: list[str]
    encoding: str


def nfc(name: Path | str) -> str:
    """A name whose accents are written one way: file systems disagree about é."""
    return unicodedata.normalize("NFC", shown(name))


def spellings(name: str, encoding: str = UTF8) -> list[str]:
    """What a file that a list names may be called here: as written; with the separators of Windows turned; and, for a
    list in another encoding, by the same bytes."""
    found = [name, name.replace("\\", "/")]
    if encoding != UTF8:
        found += [_same_bytes(each, encoding) for each in found]
    return list(dict.fromkeys(found))


def _same_bytes(name: str, encoding: str) -> str:
    try:
        return name.encode(encoding).decode(UTF8, "surrogateescape")
    except UnicodeEncodeError:
        return name


def read_table(
    file: Path,
    columns: Sequence[str],
    required: Sequence[str],
    *,
    strangers: bool,
    known: Callable[[dict[str, str], str], bool] = lambda row, encoding: False,
) -> Table:
    """The rows of a list with a header, cells stripped, absent ones empty.

    Cells may be separated by commas, semicolons, tabs or `|`: what gives a header with the required columns. A list
    that is no UTF-8 is read in the encoding in which most rows are `known`.

    Args:
        file: The list.
        columns: Those that are looked at, whatever the case of their letters.
        required: Those that have to be there.
        strangers: Whether there may be others.
        known: Whether a row (cells by column; encoding) names a file that is there.

    Raises:
        ValueError: without the file's name: no text, no header with the required columns, a column twice, other columns
            where `strangers` is false, more cells than the header has.
    """
    data = file.read_bytes()
    best: Table | None = None
    most = -1
    error: ValueError | None = None
    for encoding, text in decodings(data):
        try:
            table = _parsed(text, encoding, columns, required, strangers)
        except ValueError as problem:
            error = error or problem
            continue
        hits = sum(known(row, encoding) for _, row in table.rows)
        if hits > most:
            best, most = table, hits
    if best is None:
        raise error or ValueError("not text in any encoding that is known here; save it as UTF-8")
    return best


def decodings(data: bytes) -> list[tuple[str, str]]:
    """(encoding, text) of every reading of a list that is possible, the likelier first; of UTF-8 just that one."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _possible(data, (encoding,))
    found = _possible(data, (UTF8,))
    if found:
        return found
    # Letters with accents stand alone between others; Chinese or Cyrillic words are runs of such bytes.
    runs = [len(run) for run in HIGH_BYTES.findall(data)]
    alone = sum(length == 1 for length in runs) * 2 > len(runs)
    return _possible(data, (*WESTERN, *OTHERS) if alone else (*OTHERS, *WESTERN))


def _possible(data: bytes, encodings: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found.append((UTF8 if encoding.startswith("utf") else encoding, text))
    return found


def _parsed(text: str, encoding: str, columns: Sequence[str], required: Sequence[str], strangers: bool) -> Table:
    delimiter = delimiter_of(text, required)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=delimiter)
        header = [_column(name, columns) for name in reader.fieldnames or ()]
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
    return Table([(number, row) for number, row in cells if any(row.values())], unknown, encoding)


def delimiter_of(text: str, required: Sequence[str]) -> str:
    """What separates the cells of a header with these columns; a comma where nothing does."""
    header = text.lstrip("\ufeff").split("\n", 1)[0]
    for delimiter in DELIMITERS:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        names = {_column(cell, required) for cell in cells}
        if set(required) <= names and (len(cells) > 1 or delimiter == DELIMITERS[0]):
            return delimiter
    return DELIMITERS[0]


def _column(name: str, columns: Sequence[str]) -> str:
    """As it is written, but for its case where that alone differs from one that is known."""
    plain = name.strip()
    return plain.lower() if plain.lower() in columns else plain
