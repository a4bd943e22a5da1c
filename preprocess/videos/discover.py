"""Which films there are: below a folder, in a list, or one file; each once, under a name that is the same everywhere.

Nothing is opened here but lists: what a film is, `probe` finds out.
"""

from __future__ import annotations

import codecs
import csv
import heapq
import io
import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath

from joyvasa.io.files import FILM_ENDINGS
from joyvasa.io.listing import examples, has_ending, is_hidden, is_taken
from joyvasa.markup import shown
from preprocess.report import Report, Unusable
from preprocess.tables import decodings, delimiter_of, nfc, spellings
from preprocess.videos.metadata import FILE, with_metadata
from preprocess.videos.records import Source

ENDINGS = FILM_ENDINGS
LISTS = (".txt", ".csv")
SHOWN = 8  # endings that are counted by name


def discover(input: Path, metadata: Path | None, report: Report, *, output: Path | None = None) -> list[Source]:
    """The films, sorted by name, with what the metadata says of them.

    input: a folder (links to folders below it are followed, each folder once), a .txt or .csv list, or one film; a
    .csv list with a header is its own metadata where no other is given. What is left out goes to the report. A film
    listed that is not there and a folder that cannot be read are rejections, since films are missing for them. Broken
    links are films too: `probe` names them. output: a folder that is not looked into where it lies below the input,
    and not counted either: what is written there must not change what is found.
    Raises FileNotFoundError where there is no input or no film, ValueError for a list that cannot be read or an output
    that is the input folder, OSError where the input folder itself cannot be read.
    """
    absolute = Path(os.path.abspath(input))  # workers may stand in another folder
    if input.is_dir():
        found = _Walk(absolute, report, _beside(input, output)).films()
    elif not input.exists():
        raise FileNotFoundError(f"input={shown(input)}: no such file or folder")
    elif input.suffix.lower() in LISTS:
        found = _listed(absolute, report)
    else:
        found = [_Found(nfc(absolute.name), absolute, os.path.realpath(input), linked=False)]
    sources = _named(_each_once(found, report), report)
    if not sources and not report.rejected:
        reasons = "".join(f"; {note.name}: {note.reason}" for note in report.remarks)
        raise FileNotFoundError(f"input={shown(input)}: no film there ({examples(ENDINGS)}){reasons}")
    if metadata is None and input.suffix.lower() == ".csv" and input.is_file() and _header(_rows(input)):
        metadata = input
    return sources if metadata is None else with_metadata(sources, metadata, report)


@dataclass(frozen=True)
class _Found:
    """A film. real: its path without links; linked: whether one leads to it."""

    name: str
    path: Path
    real: str
    linked: bool


@dataclass
class _Walk:
    """Looks through a folder: first what is really in it, then, in the order of their names, where its links lead.

    output: a real path that is passed over.
    """

    top: Path
    report: Report
    output: str | None
    seen: set[str] = field(default_factory=set)
    links: list[tuple[str, Path]] = field(default_factory=list)
    hidden: int = 0
    others: Counter = field(default_factory=Counter)

    def films(self) -> list[_Found]:
        os.scandir(self.top).close()  # the error of the input folder itself is the caller's
        found = self._below(self.top, "", os.path.realpath(self.top), linked=False)
        while self.links:
            name, path = heapq.heappop(self.links)
            real, written = os.path.realpath(path), shown(os.readlink(path))
            if real == self.output:
                continue
            if (os.path.realpath(path.parent) + os.sep).startswith(real.rstrip(os.sep) + os.sep):
                self.report.remark(name, "link loop", f"leads to {written}, in which it lies itself; not followed")
            elif real in self.seen:
                self.report.remark(name, "seen twice", f"leads to {written}, which was looked through already")
            else:
                found += self._below(path, name, real, linked=True)
        if self.hidden:
            reason = f"{self.hidden}, folders counted once (.staging, ._x of macOS, Thumbs.db, __MACOSX, @eaDir)"
            self.report.remark(".", "hidden files", f"not looked at: {reason}")
        if self.others:
            common = sorted(self.others.items(), key=lambda item: (-item[1], item[0]))
            counts = ", ".join(f"{files} {ending}" for ending, files in common[:SHOWN])
            if len(common) > SHOWN:
                counts += f", {sum(files for _, files in common[SHOWN:])} of other endings"
            self.report.remark(".", "other files", f"not looked at: {counts} (films are {examples(ENDINGS)})")
        return found

    def _below(self, folder: Path, name: str, real: str, *, linked: bool) -> list[_Found]:
        """Films in a folder and the real folders below it; links to folders are noted for later."""
        found: list[_Found] = []
        waiting = [(folder, name, real)]
        while waiting:
            folder, name, real = waiting.pop()
            if real in self.seen or real == self.output:
                continue
            self.seen.add(real)
            called_film = [] if not _is_film(name) else [_Found(name, folder, real, linked)]
            before = len(found)
            for entry in self._entries(folder, name):
                below = f"{name}/{nfc(entry.name)}" if name else nfc(entry.name)
                path, is_link = folder / entry.name, entry.is_symlink()
                if is_hidden(entry.name):  # .staging too, and the ._x.mp4 that macOS leaves beside x.mp4
                    self.hidden += 1
                elif is_link and os.path.isdir(path):
                    heapq.heappush(self.links, (below, path))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, below, os.path.join(real, entry.name)))
                elif is_taken(path, ENDINGS):
                    true = os.path.realpath(path) if is_link else os.path.join(real, entry.name)
                    found.append(_Found(below, path, true, linked or is_link))
                else:
                    if is_link and not os.path.exists(path):
                        self.report.remark(below, "broken link", "leads nowhere; mend it if films were there")
                    self.others[PurePosixPath(below).suffix.lower() or "without ending"] += 1
            if len(found) == before:
                found += called_film
        return found

    def _entries(self, folder: Path, name: str) -> list[os.DirEntry]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            reason = f"the folder cannot be read ({error.strerror}); films may be missing for it"
            self.report.reject(f"{name}/", Unusable("unreadable", reason))
            return []


def _beside(input: Path, output: Path | None) -> str | None:
    """The real path of the output folder. Raises ValueError where it is the input."""
    real = None if output is None else os.path.realpath(output)
    if real == os.path.realpath(input):
        raise ValueError(f"output={shown(output)}: the folder of the films itself; choose another, or one below it")
    return real


def _is_film(name: str) -> bool:
    return has_ending(name, ENDINGS)


def _listed(file: Path, report: Report) -> list[_Found]:
    """The films of a list: paths relative to its folder, one a line; in a .csv the column `file`, else the first."""
    found = []
    for number, line in _lines(file):
        called = [each for text in (line, line.strip()) for each in spellings(text)]
        written = next((each for each in called if os.path.lexists(file.parent / each)), None)
        if written is None:
            reason = f"no such file (line {number} of {shown(file.name)}); mend the list or bring the file"
            # As written: `..` of no folder leads nowhere.
            report.reject(nfc(line.strip()), Unusable("unreadable", reason))
        else:
            path = file.parent / written
            name = nfc(os.path.normpath(written.strip()))
            found.append(_Found(name, path, os.path.realpath(path), linked=path.is_symlink()))
    return found


def _lines(file: Path) -> list[tuple[int, str]]:
    """(number, path) of every line that is neither empty nor a # comment. Raises ValueError naming the list."""
    if file.suffix.lower() == ".csv":
        rows = _rows(file)
        header = _header(rows)
        column = header.index(FILE) if header else 0
        lines = [(number, row[column]) for number, row in rows[bool(header) :] if len(row) > column]
    else:
        lines = [(number, line.rstrip("\r")) for number, line in enumerate(_text(file).split("\n"), 1)]
    return [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    text = _text(file)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text, (FILE,)))
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"input={shown(file)} line {reader.line_num}: not a CSV list ({error})") from error


def _header(rows: list[tuple[int, list[str]]]) -> list[str]:
    """The names of the columns, empty where the first row is none: no column is called `file`."""
    names = [cell.strip() for cell in rows[0][1]] if rows else []
    return names if FILE in names else []


def _text(file: Path) -> str:
    """Names that are no UTF-8 stay what the system calls them, unless more files are there by another encoding.

    Raises ValueError for zero bytes without a mark of the byte order, as files that are no text have.
    """
    data = file.read_bytes()
    readings = [text for _, text in decodings(data)]
    if b"\0" not in data:
        readings.insert(0, data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"))
    if not readings:
        raise ValueError(f"input={shown(file)}: not a list of paths (it holds zero bytes); save it as UTF-8")
    return max(readings, key=lambda text: _there(text, file.parent))  # the first of equals


def _there(text: str, folder: Path) -> int:
    """In how many lines of a list a file is named that is there."""
    cells = [[cell.strip(' "') for cell in re.split("[,;\t]", line)] for line in text.splitlines()]
    return sum(any(cell and os.path.lexists(folder / cell) for cell in line) for line in cells)


def _each_once(found: list[_Found], report: Report) -> list[_Found]:
    """One of every real file: by its own name rather than a link's, by the first name rather than a later one."""
    kept: dict[str, _Found] = {}
    for each in sorted(found, key=lambda each: (each.linked, each.name, os.fsencode(each.path))):
        first = kept.setdefault(each.real, each)
        if first is not each:
            report.remark(each.name, "seen twice", f"the same file as {first.name}, which is taken")
    return list(kept.values())


def _named(found: list[_Found], report: Report) -> list[Source]:
    """Sources sorted by name. Two files of equal name (accents written in two ways) get one with more to it."""
    sources: dict[str, Source] = {}
    for each in sorted(found, key=lambda each: (each.name, os.fsencode(each.path))):
        source = Source(each.name, each.path, _folder(each.name))
        if each.name in sources:
            number = next(number for number in count(2) if f"{each.name}#{number}" not in sources)
            source = replace(source, name=f"{each.name}#{number}")
            report.remark(source.name, "equal names", f"called {each.name} as another file is, but for its accents")
        sources[source.name] = source
    return [sources[name] for name in sorted(sources)]


def _folder(name: str) -> str:
    folder = str(PurePosixPath(name).parent)
    return "" if folder == "." else folder
