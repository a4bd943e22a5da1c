"""Taking weights from files that are already on this machine, for instance carried there from another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from joyvasa.download import sha256_of, unpack
from joyvasa.weight_entries import Entry, WeightFile, get
from joyvasa.weight_store import admit, alone, faults, folder, status_of


def import_files(path: Path | str, name: str, *, unverified: bool) -> tuple[list[str], list[str]]:
    """Take files of an entry from `path`, a file or a folder of any depth; returns (taken, still missing) names.

    Files are found by name; of several, the one whose folders agree best with the source's, so that
    `pretrained_weights` of the official repositories, or another store, can be given whole. Files are hard links where
    that is possible, copies elsewhere. Raises FileNotFoundError, or ValueError and takes nothing: no file fits, two fit
    equally well, or a hash is wrong and not `unverified`.
    """
    entry, path = get(name), Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder (to import as {name}); check the path")
    with alone(entry):
        found = _found(entry, path)
        staged = {each: folder(entry) / f"{each.name}.new" for each in found}
        try:
            _stage(entry, found, staged)
            judged = {}
            for each, source in found.items():
                sha256 = sha256_of(staged[each])
                status = status_of(entry, each, sha256, source=str(source), unverified=unverified)
                judged[each] = {"sha256": sha256, "status": status, "source": str(source.absolute())}
            for each, fields in judged.items():
                admit(entry, each, staged[each], **fields)
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)
        return [each.name for each in found], list(faults(entry))


def _found(entry: Entry, path: Path) -> dict[WeightFile, Path]:
    """File of the entry -> where it is: a file, or the zip archive that holds it."""
    present = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    found = {}
    for each in entry.files:
        same_name = [candidate for candidate in present if candidate.name == each.name]
        if same_name:
            found[each] = _best(entry, each, same_name)
    archives = [candidate for candidate in present if entry.archive and candidate.name == entry.archive.name]
    if archives and not found:
        found = {each: archives[0] for each in entry.files}
    if not found:
        wanted = [each.name for each in entry.files] + ([entry.archive.name] if entry.archive else [])
        raise ValueError(f"{path}: no file of {entry.name} found (expected {', '.join(wanted)}); check the path")
    return found


def _best(entry: Entry, file: WeightFile, candidates: list[Path]) -> Path:
    """The candidate whose folders agree with the source's over most levels."""
    homes = (PurePosixPath(entry.source, file.path).parts, (entry.name, file.name))
    scores = {path: max(_agreement(path, home) for home in homes) for path in candidates}
    best = [path for path in candidates if scores[path] == max(scores.values())]
    if len(best) > 1 and file.sha256:
        best = [path for path in best if sha256_of(path) == file.sha256][:1] or best
    if len(best) > 1:
        raise ValueError(
            f"{best[0]} and {best[1]} could both be {file.name} of {entry.name}; import one folder of them"
        )
    return best[0]


def _agreement(path: Path, home: tuple[str, ...]) -> int:
    """Number of trailing parts that are the same; "OWNER:NAME" counts as two, as JoyVASA names one of its folders."""
    parts = [part.casefold() for whole in path.absolute().parts for part in whole.split(":")]
    pairs = zip(reversed(parts), reversed([part.casefold() for part in home]), strict=False)
    return next((k for k, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(parts), len(home)))


def _stage(entry: Entry, found: dict[WeightFile, Path], staged: dict[WeightFile, Path]) -> None:
    """Bring every file beside its final place, under its temporary name."""
    archives = {source for each, source in found.items() if source.name != each.name}
    for archive in archives:
        unpack_files(entry, archive, {each: staged[each] for each, source in found.items() if source == archive})
    for each, source in found.items():
        if source in archives:
            continue
        staged[each].unlink(missing_ok=True)
        try:
            os.link(source.resolve(), staged[each])
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(source, staged[each])


def unpack_files(entry: Entry, archive: Path, targets: dict[WeightFile, Path]) -> None:
    """Unpack files of an entry from its zip. Raises ValueError naming those that it lacks."""
    wanted = {each.name: target for each, target in targets.items()}
    lacking = set(wanted) - set(unpack(archive, wanted))
    if lacking:
        raise ValueError(f"{archive}: lacks {', '.join(sorted(lacking))} (expected all files of {entry.name})")
