"""Which films belong together: a reference, and what every system made of it.

Films are known by their *key*, the path below their folder without its ending, so that a system may write .mkv for
.mp4. A key that two files share is nobody's; a film that a system did not make counts against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS
from joyvasa.io.listing import examples, list_files
from joyvasa.markup import shown
from joyvasa.weights import sha256_of

REFERENCE = "ground truth"  # the row of the reference films


@dataclass(frozen=True)
class Group:
    """What is looked at in one pass. films: by row; the reference under REFERENCE. photo: the source picture."""

    key: str
    films: Mapping[str, Path]
    photo: Path | None

    def photo_sha256(self) -> str | None:
        """None where there is no photo, or none that can be read."""
        try:
            return sha256_of(self.photo) if self.photo else None
        except OSError:
            return None


@dataclass(frozen=True)
class Pairing:
    """groups: by key, in order. faults: row -> key -> why a film is not there."""

    groups: list[Group]
    faults: dict[str, dict[str, str]]


def pair_films(systems: Mapping[str, Path], reference: Path | None, photos: Path | None) -> Pairing:
    """Groups of all films below the folders, also those of linked folders.

    Raises FileNotFoundError for a folder that is none, ValueError for one without films, OSError for one that cannot
    be looked into.
    """
    folders = dict(systems) | ({REFERENCE: reference} if reference else {})
    found = {row: _by_key(folder, FILM_ENDINGS, "videos") for row, folder in folders.items()}
    pictures = _by_key(photos, PICTURE_ENDINGS, "pictures") if photos else {}
    keys = sorted({key for films in found.values() for key in films})
    groups, faults = [], {row: {} for row in folders}
    for key in keys:
        films = {}
        for row, each in found.items():
            fault = _fault(row, key, found)
            if fault:
                faults[row][key] = fault
            elif key in each:
                films[row] = each[key][0]
        groups.append(Group(key, films, _photo(key, pictures)))
    return Pairing(groups, faults)


def _by_key(folder: Path, endings: tuple[str, ...], what: str) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder (expected one with {what})")
    found: dict[str, list[Path]] = {}
    listing = list_files(folder, endings, below=True)
    for path in listing.files:
        if path.is_file():
            key = shown(path.relative_to(folder).with_suffix("").as_posix())
            found.setdefault(key, []).append(path)
    if not found:
        passed_over = listing.passed_over()
        there = f"; passed over: {passed_over}" if passed_over else ""
        raise ValueError(f"{folder}: no {what} (expected files ending in {examples(endings)}){there}")
    return found


def _fault(row: str, key: str, found: Mapping[str, Mapping[str, list[Path]]]) -> str | None:
    films = found[row].get(key, [])
    if not films and REFERENCE in found and key not in found[REFERENCE]:
        return None  # a film that only another system has: nobody asked for it
    if len(films) > 1:
        return f"equal names: {', '.join(path.name for path in films)}; keep one of them"
    if not films:
        return "no counterpart: there is no such film in its folder"
    if row != REFERENCE and REFERENCE in found and len(found[REFERENCE].get(key, [])) != 1:
        return "no counterpart among the reference films"
    return None


def _photo(key: str, pictures: Mapping[str, list[Path]]) -> Path | None:
    """Of the same key; else one at the top of the folder with the film's name."""
    files = pictures.get(key) or pictures.get(key.rsplit("/", 1)[-1], [])
    return files[0] if len(files) == 1 else None
