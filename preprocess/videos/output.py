"""The output folder: whose it is, and how a new dataset takes the place of an old one."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from joyvasa.data.clips import DatasetError
from joyvasa.data.shard_writer import GROUPS, SHARD
from joyvasa.data.shards import DESCRIPTION, FEATURES, STATS, open_dataset
from joyvasa.io.files import is_temporary, replacing
from joyvasa.markup import shown
from preprocess.report import FILE as IMPORT
from preprocess.report import NothingImported, Report
from preprocess.videos.page import PAGE, SHEET
from preprocess.videos.stages import NO_ROOM

STAGING, PACKED, PACKING, KIND = ".staging", "packed.json", "packing", "videos"
REPORT = (IMPORT, PAGE, SHEET)
SHOWN = 5  # films that are named in a remark


@dataclass(frozen=True)
class Packed:
    """What stands in the output folder. content: fingerprint of the clips; report: of the report beside them, None
    where that is not whole. films: the names that the clips are from."""

    content: str
    report: str | None
    films: tuple[str, ...]


def packed(folder: Path) -> Packed | None:
    """Of the dataset that is there, whole; None where there is none."""
    try:
        known = json.loads((folder / STAGING / PACKED).read_bytes())
        found = Packed(known["content"], known["report"], tuple(known["films"]))
        open_dataset(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (folder / STATS).is_file():
        return None
    return found if all((folder / name).is_file() for name in REPORT) else replace(found, report=None)


def tell_changes(before: Packed, folder: Path, films: Collection[str], home: Mapping[str, str], report: Report) -> None:
    """Remark on what the new dataset does to the old one. films: names in the input; home: split by clip."""
    gone = sorted(set(before.films) - set(films))
    if gone:
        named = ", ".join(gone[:SHOWN]) + (" …" if len(gone) > SHOWN else "")
        report.remark(named, "gone", f"{len(gone)} of the films of the dataset before are no longer in the input")
    dataset = open_dataset(folder)
    was = {entry.key: split for split in dataset.splits for entry in dataset.entries(split)}
    moved = sum(home.get(key, split) != split for key, split in was.items())
    if moved:
        reason = f"{moved} clips of the dataset before are in another split now: scores of models trained on it do not"
        report.remark("splits", "moved", f"{reason} compare; speakers whom the metadata names stay where they are")


def put_in_place(packing: Path, folder: Path) -> list[str]:
    """Let the new dataset take the place of the old one, if any; returns the groups of features that the old one had.

    In between the folder is no dataset; stopped there, the same command packs once more.
    """
    check_free(folder)
    lost: list[str] = []
    if (folder / DESCRIPTION).exists():
        groups = json.loads((folder / DESCRIPTION).read_bytes())["groups"]
        lost = sorted(name for name in groups if name.startswith(FEATURES))
    for name in (f"{STAGING}/{PACKED}", DESCRIPTION):
        (folder / name).unlink(missing_ok=True)
    for group in GROUPS:
        shutil.rmtree(folder / group, ignore_errors=True)  # holds shards alone, see check_free
    for path in sorted(packing.iterdir(), key=lambda path: path.name == DESCRIPTION):  # the description last
        path.replace(folder / path.name)
    packing.rmdir()
    return lost


def check_free(folder: Path) -> None:
    """Raises DatasetError where something that is no shard lies in a place that shards will take."""
    for group in GROUPS:
        for path in sorted((folder / group).rglob("*")):
            ours = SHARD.fullmatch(path.name) or is_temporary(path.name)
            if not (path.parent == folder / group and ours):
                raise DatasetError(
                    f"{shown(path)}: not part of a dataset, in a folder that the dataset would take the place of; "
                    "choose another output=, or move it away"
                )


def check_ours(folder: Path) -> None:
    """Raises DatasetError for a folder with a dataset of another source, or with files that would be overwritten,
    before hours are spent."""
    check_free(folder)
    try:
        source = json.loads((folder / DESCRIPTION).read_bytes())["source"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        source = ""
    if not source.startswith(KIND):
        raise DatasetError(f"{folder / DESCRIPTION}: a dataset of another source; choose another folder or remove it")


def note_packed(folder: Path, now: Packed) -> None:
    """The dataset that is there, and its report, are these."""
    with replacing(folder / STAGING / PACKED) as temporary:
        temporary.write_text(json.dumps(asdict(now)) + "\n", encoding="utf-8")


def forget_packed(folder: Path) -> None:
    """The report that is there will not be of the dataset beside it."""
    (folder / STAGING / PACKED).unlink(missing_ok=True)


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """A full disk ends the run with one sentence; what is done is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise NothingImported(
            f"{shown(folder)}: {error.strerror} ({errno.errorcode[error.errno]}) at {error.filename}; what is done is "
            "kept: free some room and type the same command again"
        ) from error
