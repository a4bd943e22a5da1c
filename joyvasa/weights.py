"""Pretrained weights: which there are, where they come from, under which licence, and whether they are whole.

    python -m joyvasa.weights list | pull NAME… | import PATH --as NAME [--unverified] | verify [NAME…] | where NAME

The registry is weights.toml, the store is explained in weight_store.py; the hub's address is $JOYVASA_HUB, else
https://huggingface.co.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from joyvasa.download import DownloadError, WrongFile, download, sha256_of
from joyvasa.io.console import prepare_process
from joyvasa.io.files import out_of_files
from joyvasa.markup import shown
from joyvasa.weight_entries import ENTRIES, Entry, WeightFile, get
from joyvasa.weight_import import import_files, unpack_files
from joyvasa.weight_store import (
    COMMAND,
    admit,
    alone,
    check,
    expected_sha256,
    faults,
    file,
    folder,
    records,
    status_of,
    where,
)

__all__ = ["ENTRIES", "Entry", "file", "get", "import_files", "pull", "sha256_of", "state", "where"]

HUB = "https://huggingface.co"


def pull(name: str) -> list[str]:
    """Fetch what an entry lacks; returns the names fetched, none where all is there.

    Raises ValueError for an unknown name or damaged archive, OSError with one sentence of what is missing and what to
    type.
    """
    entry = get(name)
    with alone(entry):
        lacking = [each for each in entry.files if each.name in faults(entry) and not _adopted(entry, each)]
        try:
            if entry.archive and lacking:
                _pull_archive(entry, entry.archive, lacking)
            else:
                for each in lacking:
                    _pull_file(entry, each)
        except DownloadError as error:
            raise DownloadError(
                f"{error}; weights {name} lack {', '.join(faults(entry))}: type `{COMMAND} pull {name}` to try again, "
                f"or fetch the files with another machine and type `{COMMAND} import PATH --as {name}`"
            ) from error
    return [each.name for each in lacking]


def _hub() -> str:
    return os.environ.get("JOYVASA_HUB", HUB).rstrip("/")


def _adopted(entry: Entry, each: WeightFile) -> bool:
    """Record a file that lies in the store unrecorded, when the registry knows its hash."""
    path = folder(entry) / each.name
    if each.sha256 is None or not path.is_file() or sha256_of(path) != each.sha256:
        return False
    admit(entry, each, path, sha256=each.sha256, source=str(path), status="pinned")
    return True


def _pull_file(entry: Entry, each: WeightFile) -> None:
    url, path = entry.address(each, _hub()), folder(entry) / each.name
    try:
        sha256 = download(url, path, size=each.size, sha256=expected_sha256(entry, each))
    except WrongFile as error:
        if each.sha256:
            raise
        raise WrongFile(
            f"{error} (the hash recorded with the first copy; to start anew delete {path.parent})"
        ) from error
    admit(entry, each, path, sha256=sha256, source=url, status="pinned" if each.sha256 else "recorded")


def _pull_archive(entry: Entry, archive: WeightFile, lacking: list[WeightFile]) -> None:
    url, path = entry.address(archive, _hub()), folder(entry) / archive.name
    download(url, path, size=archive.size, sha256=archive.sha256)
    staged = {each: folder(entry) / f"{each.name}.new" for each in lacking}
    try:
        unpack_files(entry, path, staged)
        for each, temporary in staged.items():
            sha256 = sha256_of(temporary)
            admit(entry, each, temporary, sha256=sha256, source=url, status=status_of(entry, each, sha256, source=url))
    finally:
        for temporary in (*staged.values(), path):
            temporary.unlink(missing_ok=True)


def state(entry: Entry) -> str:
    """absent, incomplete, complete, or unverified (complete, but with files let in by hand)."""
    lacking = len(faults(entry))
    if lacking:
        return "absent" if lacking == len(entry.files) else "incomplete"
    return "unverified" if any(known.status == "unverified" for known in records(entry).values()) else "complete"


def _size(entry: Entry) -> str:
    """Megabytes of all files; "+" where the size of some is not known before they are here."""
    known = records(entry)
    sizes = [each.size or (known[each.name].size if each.name in known else None) for each in entry.files]
    total = sum(size for size in sizes if size) / 1e6
    return f"{total:.0f} MB{'+' if None in sizes else ''}" if total else "?"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _list(_: argparse.Namespace) -> int:
    rows = [
        (entry.name, state(entry), _size(entry), "yes" if entry.commercial_use else "no", entry.licence, entry.used_by)
        for entry in ENTRIES.values()
    ]
    _table(("name", "state", "size", "commercial", "licence", "used by"), rows)
    return 0


def _pull(asked: argparse.Namespace) -> int:
    for entry in [get(name) for name in asked.names]:  # a misspelt name stops before anything is fetched
        fetched = pull(entry.name)
        if entry.note:
            print(f"{entry.name}: {entry.note}")
        if not entry.commercial_use:
            print(f"{entry.name}: no commercial use; licence: {entry.licence}")
        print(f"{entry.name}: {', '.join(fetched) or 'nothing to fetch'}; {state(entry)} in {folder(entry)}")
        if state(entry) == "unverified":
            print(f"{entry.name}: files let in by hand stay; delete that folder to fetch the official ones")
    return 0


def _import(asked: argparse.Namespace) -> int:
    taken, missing = import_files(asked.path, asked.name, unverified=asked.unverified)
    entry = get(asked.name)
    known = records(entry)
    _table(("file", "status"), [(name, known[name].status) for name in taken])
    print(f"{entry.name}: {state(entry)} in {folder(entry)}" + (f"; missing: {', '.join(missing)}" if missing else ""))
    return 0


def _verify(asked: argparse.Namespace) -> int:
    entries = [get(name) for name in asked.names] or [each for each in ENTRIES.values() if state(each) != "absent"]
    rows = [(entry.name, *row) for entry in entries for row in check(entry)]
    _table(("name", "file", "status", "result"), rows)
    return 0 if all(result == "ok" for *_, result in rows) else 1


def _where(asked: argparse.Namespace) -> int:
    print(where(asked.name))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Pretrained weights on this machine.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("list", help="all entries: state, size, licence, commercial use, used by")
    command.set_defaults(run=_list)
    command = commands.add_parser("pull", help="fetch entries; goes on where it was interrupted")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.set_defaults(run=_pull)
    command = commands.add_parser("import", help="take an entry from a file or folder")
    command.add_argument("path", type=Path, metavar="PATH")
    command.add_argument("--as", dest="name", required=True, metavar="NAME")
    command.add_argument("--unverified", action="store_true", help="take files whose hash is wrong or unknown")
    command.set_defaults(run=_import)
    command = commands.add_parser(
        "verify", help="read the files again and compare their hashes; exit 1 if one is wrong"
    )
    command.add_argument("names", nargs="*", metavar="NAME")
    command.set_defaults(run=_verify)
    command = commands.add_parser("where", help="print the folder of an entry; exit 1 if it is not complete")
    command.add_argument("name", metavar="NAME")
    command.set_defaults(run=_where)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 with a sentence on the error stream otherwise, 2 where none is named."""
    prepare_process()
    parser = _parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)
        print(f"\nexamples:\n  {COMMAND} list\n  {COMMAND} pull liveportrait", file=sys.stderr)
        return 2
    asked = parser.parse_args(arguments)
    try:
        return asked.run(asked)
    except (OSError, ValueError) as error:
        print(f"error: {out_of_files(error) or shown(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
