"""Which files of a folder are taken, the same for every program.

The rule: what systems leave beside files (`.name`, `._name`, `Thumbs.db`, `__MACOSX`, `@eaDir`, …) is passed over. Of
the rest the ending decides, whatever its case; only a file without an ending, or with one that programs have too
(`.ts`), is looked into. So a folder of 100,000 files is listed without opening them. A file that the user names is not
judged here: its content decides, see `joyvasa.io.kinds`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS, SOUND_ENDINGS
from joyvasa.io.kinds import kind_of
from joyvasa.markup import shown

KINDS = {"image": PICTURE_ENDINGS, "video": FILM_ENDINGS, "audio": SOUND_ENDINGS}
# Of Windows, network storage and archives; those of macOS and Linux begin with a dot. In small letters.
LEFT_BY_SYSTEMS = (
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "#recycle", "lost+found",
    "system volume information", "icon\r",
)  # fmt: skip
AMBIGUOUS = (".ts", ".mts")  # videos of cameras, and programs in TypeScript
TEXT_BYTES = 512  # that are looked at
EXAMPLES = 8  # endings that a message names
COMMON = 5  # endings that are counted by name


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is one that systems leave beside the user's."""
    return name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS


def examples(endings: Sequence[str]) -> str:
    """Some of the endings, for a message."""
    return ", ".join(endings[:EXAMPLES]) + (", …" if len(endings) > EXAMPLES else "")


def has_ending(path: Path | str, endings: Sequence[str]) -> bool:
    """Whether the name ends in one of these (small letters, with the dot), whatever its case."""
    return os.path.splitext(os.path.basename(path))[1].lower() in endings


def is_taken(path: Path, endings: Sequence[str]) -> bool:
    """Whether a file of a folder is one of the kinds with these endings, by the rule of this module."""
    ending = path.suffix.lower()
    if ending == "":
        wanted = [kind for kind, theirs in KINDS.items() if set(theirs) <= set(endings)]
        return bool(wanted) and path.is_file() and _kind(path) in wanted
    return ending in endings and not (ending in AMBIGUOUS and _is_text(path))


def is_video(path: Path) -> bool:
    """Whether a file that the user names is a video: by its content, and where that says nothing, by its ending."""
    try:
        kind = kind_of(path)
    except (OSError, ValueError):  # told by who opens it
        kind = None
    return has_ending(path, FILM_ENDINGS) if kind is None else kind == "video"


def _kind(path: Path) -> str | None:
    try:
        return kind_of(path)
    except (OSError, ValueError):
        return None


def _is_text(path: Path) -> bool:
    """Whether a file begins as text. What is empty or cannot be read is left to who opens it, and told there."""
    try:
        with path.open("rb") as file:
            head = file.read(TEXT_BYTES)
        return bool(head) and "\0" not in head.decode("ascii")
    except (OSError, UnicodeDecodeError):
        return False


@dataclass
class Listing:
    """What a folder holds. files: those taken, by name; hidden: how many files and folders of systems were passed over;
    others: how many files of each other ending."""

    files: list[Path] = field(default_factory=list)
    hidden: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def passed_over(self) -> str:
        """In words, "" where nothing was."""
        counts = [f"{number} {shown(ending)}" for ending, number in self.others.most_common(COMMON)]
        rest = sum(self.others.values()) - sum(number for _, number in self.others.most_common(COMMON))
        if rest:
            counts.append(f"{rest} of other endings")
        if self.hidden:
            counts.append(f"{self.hidden} hidden (names like ._x, .DS_Store, Thumbs.db)")
        return ", ".join(counts)


def list_files(folder: Path, endings: Sequence[str], *, below: bool = False) -> Listing:
    """The files of a folder that are taken, sorted by name.

    Args:
        folder: Links in it are followed; a link to a folder that it lies in itself is not.
        endings: In small letters, with their dots.
        below: Whether the folders in it are looked through, too.

    Raises:
        OSError: where the folder, or one below it, cannot be read.
    """
    listing = Listing()
    for path in _walk(folder, listing, below, ()):
        if is_taken(path, endings):
            listing.files.append(path)
        else:
            listing.others[path.suffix.lower() or "without ending"] += 1
    listing.files.sort()
    return listing


def _walk(folder: Path, listing: Listing, below: bool, above: tuple[str, ...]) -> Iterator[Path]:
    above = (*above, os.path.realpath(folder))
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in found:
        path = folder / entry.name
        if is_hidden(entry.name):
            listing.hidden += 1
        elif not os.path.isdir(path):
            yield path
        elif below and os.path.realpath(path) not in above:
            yield from _walk(path, listing, below, above)
