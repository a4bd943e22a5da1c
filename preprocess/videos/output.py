"""The output folder: whose it is, who works in it, and how a new dataset takes the place of an old one."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joyvasa.data.clips import DatasetError
from joyvasa.data.shard_writer import GROUPS
from joyvasa.data.shards import DESCRIPTION, FEATURES, open_dataset
from joyvasa.markup import shown
from joyvasa.media import replacing
from preprocess.report import NothingImported
from preprocess.videos.stages import NO_ROOM

STAGING, PACKED, PACKING, KIND = ".staging", "packed.json", "packing", "videos"


def packed(folder: Path) -> str | None:
    """Fingerprint of the dataset that is there, whole; None where there is none."""
    try:
        content = json.loads((folder / STAGING / PACKED).read_bytes())["content"]
        open_dataset(folder)
    except (OSError, ValueError, KeyError):
        return None
    return content


def put_in_place(packing: Path, folder: Path) -> list[str]:
    """Let the new dataset take the place of the old one, if any; returns the groups of features that the old one had.

    In between the folder is no dataset; stopped there, the same command packs once more.
    """
    lost: list[str] = []
    if (folder / DESCRIPTION).exists():
        groups = json.loads((folder / DESCRIPTION).read_bytes())["groups"]
        lost = sorted(name for name in groups if name.startswith(FEATURES))
    for name in (f"{STAGING}/{PACKED}", DESCRIPTION):
        (folder / name).unlink(missing_ok=True)
    for group in GROUPS:
        shutil.rmtree(folder / group, ignore_errors=True)
    for path in sorted(packing.iterdir(), key=lambda path: path.name == DESCRIPTION):  # the description last
        path.replace(folder / path.name)
    packing.rmdir()
    return lost


def check_ours(folder: Path) -> None:
    """Raises DatasetError for a folder with a dataset of another source, before hours are spent."""
    try:
        source = json.loads((folder / DESCRIPTION).read_bytes())["source"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        source = ""
    if not source.startswith(KIND):
        raise DatasetError(f"{folder / DESCRIPTION}: a dataset of another source; choose another folder or remove it")


def note_packed(folder: Path, content: str) -> None:
    """The dataset that is there, and its report, are of this fingerprint."""
    with replacing(folder / STAGING / PACKED) as temporary:
        temporary.write_text(json.dumps({"content": content}) + "\n")


@contextmanager
def alone(staging: Path) -> Iterator[None]:
    """Raises ValueError where another process is at work in this folder."""
    staging.mkdir(parents=True, exist_ok=True)
    with open(staging / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            where = shown(staging.parent)
            raise ValueError(f"{where}: another preprocess is at work in this folder; wait for it") from error
        except OSError as error:
            print(f"no locks here ({error.strerror}): see to it that one preprocess at a time works in this folder")
        yield


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
