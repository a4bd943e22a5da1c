"""Which voice goes with which motion file: by name, by a list, or in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from joyvasa.data.shards import SPLITS
from joyvasa.io.audio import survey_audio
from joyvasa.io.files import out_of_files
from joyvasa.markup import shown
from preprocess.report import Report, Unusable, reason_of
from preprocess.tables import UTF8, Table, nfc, read_table, spellings

COLUMNS = ("motion", "audio", "speaker", "split")


@dataclass(frozen=True)
class Pair:
    """A motion file and its voice; speaker and split where a list gives them."""

    motion: Path
    name: str
    voice: Path
    voice_name: str
    speaker: str | None = None
    split: str | None = None


def relative(path: Path, folder: Path) -> str:
    """A path as it is called inside the folder; outside of it, its last part."""
    return nfc(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)


def by_stem(motions: Sequence[Path], voices: Sequence[Path], folder: Path, audio: Path, report: Report) -> list[Pair]:
    """Each motion with the voice of the same path without ending, else with the only one of the same stem.

    Motions and voices without a partner are reported.
    """
    by_path: dict[str, list[Path]] = {}
    by_name: dict[str, list[Path]] = {}
    for voice in voices:
        by_path.setdefault(relative(voice.with_suffix(""), audio), []).append(voice)
        by_name.setdefault(nfc(voice.stem), []).append(voice)
    pairs, used = [], set()
    for motion in motions:
        name = relative(motion, folder)
        found = by_path.get(relative(motion.with_suffix(""), folder)) or by_name.get(nfc(motion.stem), [])
        if len(found) != 1:
            names = ", ".join(relative(voice, audio) for voice in found) or f"none called {nfc(motion.stem)}"
            report.reject(name, Unusable("no voice", f"one voice of the same name expected in {audio}, found {names}"))
            continue
        pairs.append(Pair(motion, name, found[0], relative(found[0], audio)))
        used.add(found[0])
    for voice in voices:
        if voice not in used:
            report.reject(relative(voice, audio), Unusable("no motion", "no motion file of the same name took it"))
    return pairs


def in_turn(motions: Sequence[Path], voices: Sequence[Path], folder: Path, audio: Path, report: Report) -> list[Pair]:
    """The first motion with the first voice, the next with the next, round and round; unreadable voices are left out.

    Broken motions keep their turn, so that mending one changes no other pair.
    """
    readable = []
    for voice in voices:
        try:
            survey_audio(voice)
            readable.append(voice)
        except (ValueError, OSError) as error:
            if out_of_files(error) is not None:  # no fault of this file
                raise
            report.reject(relative(voice, audio), Unusable("unreadable audio", reason_of(error, voice)))
    turns = zip(motions, cycle(readable))  # noqa: B905, the voices have no end
    return [Pair(motion, relative(motion, folder), voice, relative(voice, audio)) for motion, voice in turns]


def from_csv(file: Path, folder: Path | None, audio: Path | None, report: Report) -> list[Pair]:
    """The rows of a list with a header; speaker and split may be empty or absent.

    Paths are absolute, relative to the list's folder, or to `folder` (motion) and `audio`. Rows that name no motion or
    voice, an unknown split, or a file that is not there are reported. Raises ValueError for a list that cannot be read.
    """
    beside = file.parent
    pairs = []
    table = _table(file, (beside, folder))
    if table.encoding != UTF8:
        report.remark(shown(file.name), "encoding", f"not UTF-8; read as {table.encoding}, by the files that it names")
    for number, row in table.rows:
        try:
            if row["split"] and row["split"] not in SPLITS:
                raise Unusable("unknown split", f"split {row['split']!r} (expected one of {', '.join(SPLITS)})")
            motion = _locate(row["motion"], "motion", (beside, folder), table.encoding)
            voice = _locate(row["audio"], "audio", (beside, audio), table.encoding)
        except Unusable as problem:
            report.reject(f"{shown(file.name)} line {number}, {row['motion'] or 'no motion'}", problem)
            continue
        pairs.append(Pair(motion, row["motion"], voice, row["audio"], row["speaker"] or None, row["split"] or None))
    return pairs


def _table(file: Path, folders: Sequence[Path | None]) -> Table:
    def known(row: dict[str, str], encoding: str) -> bool:
        return _found(row["motion"], encoding, folders) is not None

    try:
        return read_table(file, COLUMNS, ("motion", "audio"), strangers=False, known=known)
    except ValueError as error:
        raise ValueError(f"pairs={shown(file)}: not a list of pairs: {error}") from error


def _found(name: str, encoding: str, folders: Sequence[Path | None]) -> Path | None:
    """The first file of this name, in any of its spellings, in one of the folders."""
    for each in spellings(name, encoding):
        for folder in folders:
            if folder is not None and (folder / each).is_file():
                return folder / each
    return None


def _locate(name: str, column: str, folders: Sequence[Path | None], encoding: str) -> Path:
    if not name:
        raise Unusable(f"no {column}", f"the column {column} is empty")
    tried = [folder / name for folder in folders if folder is not None]
    found = _found(name, encoding, folders)
    if found is None:
        raise Unusable(f"no {column}", f"no such {column} file: {' nor '.join(dict.fromkeys(map(shown, tried)))}")
    return found
