"""The folder of pretrained weights on this machine: a sub-folder per entry, with a lock.json of what was checked.

The store is $JOYVASA_WEIGHTS, else $XDG_CACHE_HOME/joyvasa/weights, else ~/.cache/joyvasa/weights. A record of
lock.json has a status: "pinned" (equal to the hash of the registry), "recorded" (the registry has none: this copy is
the measure of later ones) or "unverified" (let in by hand with another hash, or none to compare with).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from joyvasa.download import sha256_of
from joyvasa.weight_entries import ENTRIES, Entry, WeightFile, get

COMMAND = "python -m joyvasa.weights"


@dataclass(frozen=True)
class Record:
    """What is known of a file in the store. size in bytes; source: URL or path it came from."""

    size: int
    sha256: str
    source: str
    status: str


def root() -> Path:
    """The folder of the store, whether it exists or not."""
    if chosen := os.environ.get("JOYVASA_WEIGHTS"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "joyvasa" / "weights"


def folder(entry: Entry) -> Path:
    return root() / entry.name


def records(entry: Entry) -> dict[str, Record]:
    """File name -> record, from lock.json. Raises ValueError naming a lock.json that cannot be read."""
    path = folder(entry) / "lock.json"
    if not path.is_file():
        return {}
    try:
        return {
            name: Record(**record) for name, record in json.loads(path.read_text(encoding="utf-8"))["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: damaged ({error!r}); delete it, then pull or import {entry.name} again") from error


def admit(entry: Entry, file: WeightFile, staged: Path, *, sha256: str, source: str, status: str) -> None:
    """Move `staged`, a file beside its final place, into the store under its name, and record it."""
    staged.replace(folder(entry) / file.name)
    size = (folder(entry) / file.name).stat().st_size
    known = records(entry) | {file.name: Record(size, sha256, source, status)}
    text = json.dumps({"entry": entry.name, "files": {name: asdict(known[name]) for name in sorted(known)}}, indent=2)
    path = folder(entry) / "lock.json"
    temporary = path.with_name("lock.json.tmp")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def faults(entry: Entry) -> dict[str, str]:
    """File name -> what is wrong with it, by presence, size and record, without reading the files; empty: all there."""
    known = records(entry)
    found = {file.name: _fault(folder(entry) / file.name, file, known.get(file.name)) for file in entry.files}
    return {name: fault for name, fault in found.items() if fault}


def _fault(path: Path, file: WeightFile, known: Record | None) -> str | None:
    if not path.is_file():
        return "absent"
    if known is None:
        return "never checked"
    if known.size != path.stat().st_size:
        return f"{path.stat().st_size} bytes (expected {known.size})"
    if file.sha256 not in (None, known.sha256) and known.status != "unverified":
        return "another version than the registry's"
    return None


def expected_sha256(entry: Entry, file: WeightFile) -> str | None:
    """The hash a new copy has to have: the registry's, else the one recorded at the first copy, else None."""
    known = records(entry).get(file.name)
    return file.sha256 or (known.sha256 if known and known.status == "recorded" else None)


def status_of(entry: Entry, file: WeightFile, sha256: str, *, source: str, unverified: bool = False) -> str:
    """Status of a new copy with this hash. Raises ValueError for a wrong one, unless `unverified` lets it in."""
    expected = expected_sha256(entry, file)
    if expected == sha256:
        return "pinned" if file.sha256 else "recorded"
    if unverified:
        return "unverified"
    let_in = f"to take it nevertheless, {COMMAND} import PATH --as {entry.name} --unverified"
    if expected is not None:
        raise ValueError(
            f"{source}: sha256 {sha256} is not {file.name} of {entry.name} (expected {expected}); {let_in}"
        )
    for other in ENTRIES.values():
        if any(theirs.sha256 == sha256 for theirs in other.files):
            raise ValueError(f"{source}: this is {file.name} of {other.name} (expected that of {entry.name}); {let_in}")
    return "recorded"


def where(name: str) -> Path:
    """Folder with all files of an entry, checked by presence and size.

    Raises ValueError for an unknown name, FileNotFoundError with one sentence: what is missing and what to type.
    """
    entry = get(name)
    wrong = faults(entry)
    if wrong:
        raise FileNotFoundError(_missing(entry, wrong))
    return folder(entry)


def file(name: str, filename: str) -> Path:
    """One file of an entry, where the others need not be there. Raises as `where`."""
    entry = get(name)
    wanted = entry.file(filename)
    wrong = {key: fault for key, fault in faults(entry).items() if key == wanted.name}
    if wrong:
        raise FileNotFoundError(_missing(entry, wrong))
    return folder(entry) / wanted.name


def _missing(entry: Entry, wrong: dict[str, str]) -> str:
    faulty = ", ".join(f"{name} ({fault})" for name, fault in wrong.items())
    return (
        f"weights {entry.name} are not complete in {folder(entry)}: {faulty}; type `{COMMAND} pull {entry.name}`, "
        f"or on a machine without network `{COMMAND} import PATH --as {entry.name}` with PATH a copy from elsewhere"
    )


@contextmanager
def alone(entry: Entry) -> Iterator[Path]:
    """The entry's folder, made, for one process at a time. Raises OSError when another one is at work on it."""
    here = folder(entry)
    here.mkdir(parents=True, exist_ok=True)
    with open(root() / f".{entry.name}.lock", "w", encoding="utf-8") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"{here}: another process is at work on weights {entry.name}; wait for it to end") from error
        yield here


def check(entry: Entry) -> list[tuple[str, str, str]]:
    """(file, status, result) of every file, read and hashed again; result is "ok" or says what is wrong."""
    known, wrong, rows = records(entry), faults(entry), []
    for each in entry.files:
        status = known[each.name].status if each.name in known else "-"
        result = wrong.get(each.name, "ok")
        if result == "ok" and (got := sha256_of(folder(entry) / each.name)) != known[each.name].sha256:
            result = f"WRONG: sha256 {got} (expected {known[each.name].sha256})"
        rows.append((each.name, status, result))
    return rows
