"""A file to work on, and the names of what is made of it: each tells the settings that it depends on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from joyvasa.io.files import named_in_utf8
from joyvasa.io.flac import is_whole_flac
from preprocess.videos.journal import FILE, Journal, Verdict
from preprocess.videos.records import Piece, Source
from preprocess.videos.settings import Settings, fingerprint

VERSION = "3"  # of what look and move compute: another number does it again
SOUND = "sound.flac"
CHANGED = "it changed, or was gone, while it was worked on; type the same command again"


@dataclass(frozen=True)
class Task:
    """One file to work on. folder: its staging. detector: name of the one that was opened in the parent; extractor:
    identity of M, so that other weights make other fingerprints. expert: hash of filters.sync's file, None without one.
    films: for `shoot`, the pieces that get one."""

    source: Source
    folder: Path
    settings: Settings
    detector: str
    extractor: dict[str, Any]
    expert: str | None
    films: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.source.name

    def looked(self, sha256: str) -> str:
        decoding, following = asdict(self.settings.decoding), asdict(self.settings.following)
        del decoding["decord_mb"]  # both decoders give the same pixels
        del following["detector"]  # "auto" opens one of the others, whose name is known
        return fingerprint(VERSION, sha256, self.detector, decoding, following)

    def moved(self, sha256: str) -> str:
        filters = asdict(self.settings.filters)
        if filters.pop("sync") is None:  # the expert's hash stands for its path
            filters = {name: value for name, value in filters.items() if "sync" not in name}
        return fingerprint(self.looked(sha256), filters, self.expert or "", *self._motion)

    def piece(self, sha256: str, piece: Piece) -> str:
        """Of a piece's motion: the filters decide which pieces there are, and nothing about one."""
        return fingerprint(self.looked(sha256), *self._motion, [piece.start, piece.stop, piece.first, piece.last])

    @property
    def _motion(self) -> tuple[Any, ...]:
        """What a piece's motion and reference picture depend on."""
        how, reference = self.settings.extracting, self.settings.reference
        return self.extractor, how.crop, reference.crop, {"still": how.still, "quality": reference.quality}

    def asked(self, journal: Journal) -> str:
        """Of all that is to be done with the file; where its content could not be hashed, of that alone."""
        return self.moved(journal.probed.sha256) if journal.probed else fingerprint(VERSION, "unread")


def settled(task: Task) -> bool:
    """Whether this file was done by the same settings, and has not changed, and what was made of it is there."""
    journal = Journal.open(task.folder, task.source.path)
    return journal.settled(task.asked(journal)) and all(map(held, _made(task.folder, journal)))


def _made(folder: Path, journal: Journal) -> list[Path]:
    """What packing and the report will read."""
    names = [(journal.rejected or {}).get("picture"), *(verdict.picture for verdict in journal.verdicts)]
    clips = [verdict.file for verdict in journal.verdicts if verdict.code is None]
    if journal.rejected is None and clips:
        names += [SOUND, *clips]
    return [folder / name for name in names if name is not None]


def held(path: Path) -> bool:
    """Whether the file is there and holds something: a crash of the machine leaves empty ones."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def look_file(folder: Path, done: str, number: int) -> Path:
    return folder / f"look-{done}" / f"{number:04d}.safetensors"


def film_name(verdict: Verdict, settings: Settings) -> str:
    return f"film-{fingerprint(verdict.file or '', settings.reference)}.mp4"


def start_again(folder: Path, journal: Journal) -> None:
    """Forget what was done, but for files that can be read, which may have cost hours: what made a stage fail may be
    a file that a crash left empty or torn."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != FILE and not _readable(path):
            path.unlink()
    journal.looked = journal.moved = journal.rejected = None
    if not (folder / SOUND).is_file():
        journal.sound = None
    journal.write()


def _readable(path: Path) -> bool:
    try:
        if path.suffix == ".safetensors":
            with named_in_utf8(path) as name, safe_open(name, "numpy") as file:
                for name in file.keys():  # noqa: SIM118, it is no dictionary
                    file.get_tensor(name)
        elif path.suffix == ".flac":
            return is_whole_flac(path) and held(path)
    except (OSError, SafetensorError):
        return False
    return held(path)


def forget_unused(task: Task) -> None:
    """Remove from the staging what other settings left, once these have found all of theirs."""
    if not settled(task):
        return
    journal = Journal.open(task.folder, task.source.path)
    kept = {verdict.file for verdict in journal.verdicts} | {verdict.picture for verdict in journal.verdicts}
    kept |= {film_name(verdict, task.settings) for verdict in journal.verdicts}
    kept |= {f"look-{journal.looked}", (journal.rejected or {}).get("picture")}
    for path in sorted(task.folder.glob("*-*")):
        if path.name not in kept:
            remove: Callable[[Path], None] = shutil.rmtree if path.is_dir() else Path.unlink
            remove(path)
