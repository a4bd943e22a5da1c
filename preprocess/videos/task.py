"""A file to work on, and the names of what is made of it: each tells the settings that it depends on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preprocess.videos.journal import FILE, Journal, Verdict
from preprocess.videos.records import Piece, Source
from preprocess.videos.settings import Settings, fingerprint

VERSION = "1"  # of what look and move compute: another number does it again
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
        decoding = asdict(self.settings.decoding)
        del decoding["decord_mb"]  # both decoders give the same pixels
        return fingerprint(VERSION, sha256, self.detector, decoding, self.settings.following)

    def moved(self, sha256: str) -> str:
        return fingerprint(self.looked(sha256), self.settings.filters, self.expert or "", *self._motion)

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
    """Whether this file was done by the same settings, and has not changed."""
    journal = Journal.open(task.folder, task.source.path)
    return journal.settled(task.asked(journal))


def look_file(folder: Path, done: str, number: int) -> Path:
    return folder / f"look-{done}" / f"{number:04d}.safetensors"


def film_name(verdict: Verdict, settings: Settings) -> str:
    return f"film-{fingerprint(verdict.file or '', settings.reference)}.mp4"


def start_again(folder: Path, journal: Journal) -> None:
    """Forget all but the probe: what is there may be what made a stage fail, like a file that a crash left empty."""
    journal.sound = journal.looked = journal.moved = None
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != FILE:
            path.unlink()


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
