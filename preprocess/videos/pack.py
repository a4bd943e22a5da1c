"""What the files became -> clips with speaker and split, in an order that depends on their content alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from safetensors import SafetensorError

from joyvasa.data.clips import Clip
from joyvasa.data.shard_writer import npy_bytes
from joyvasa.motion import FPS, SAMPLES_PER_FRAME
from preprocess.report import Report, Unusable
from preprocess.videos.journal import Journal, Verdict
from preprocess.videos.motion import Moved
from preprocess.videos.page_facts import RejectRow
from preprocess.videos.records import Piece
from preprocess.videos.settings import fingerprint
from preprocess.videos.sound import read_sound
from preprocess.videos.speakers import ClipFacts
from preprocess.videos.staged import load_moved
from preprocess.videos.task import CHANGED, SOUND, Task, film_name

VALIDATION = "validation"


@dataclass(frozen=True, eq=False)
class Worked:
    """A file and what became of it."""

    task: Task
    journal: Journal

    @property
    def name(self) -> str:
        return self.task.name


class Spoilt(OSError):
    """What was made of a film cannot be read any more: a crash of the machine leaves such files."""

    def __init__(self, task: Task, error: Exception):
        super().__init__(f"what was made of it cannot be read ({type(error).__name__}: {error})")
        self.task = task


@contextmanager
def _read(task: Task) -> Iterator[None]:
    """Raises Spoilt for what cannot be read inside."""
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError, soundfile.LibsndfileError) as error:
        raise Spoilt(task, error) from error


@dataclass(frozen=True, eq=False)
class Accepted:
    """A piece that becomes a clip."""

    worked: Worked
    verdict: Verdict

    @property
    def key(self) -> str:
        """Of the file's content and the place in it, so that neither name nor folder changes it."""
        piece = self.verdict.piece
        return fingerprint("clip", self.worked.journal.probed.sha256, [piece.first, piece.last])

    @property
    def parent(self) -> str:
        return fingerprint("track", self.worked.journal.probed.sha256, [self.verdict.piece.parent])

    @property
    def facts(self) -> ClipFacts:
        """What its speaker is found by."""
        source, probed = self.worked.task.source, self.worked.journal.probed
        return ClipFacts(
            key=self.key,
            source=source.name,
            sha256=probed.sha256,
            folder=source.folder,
            parent=self.verdict.piece.parent,
            speaker=source.speaker,
            picture=self.picture,
        )

    def picture(self) -> bytes:
        """The reference picture, JPEG, read when asked for. Raises Spoilt."""
        return self.moved().reference_jpeg

    def moved(self) -> Moved:
        """Its motion and reference picture. Raises Spoilt."""
        with _read(self.worked.task):
            return load_moved(self.worked.task.folder / self.verdict.file)

    def audio(self) -> np.ndarray:
        """(640 N,). Raises Spoilt."""
        piece = self.verdict.piece
        with _read(self.worked.task):
            samples = piece.first * SAMPLES_PER_FRAME, piece.last * SAMPLES_PER_FRAME
            return read_sound(self.worked.task.folder / SOUND, *samples)


def judged(files: Sequence[Worked], report: Report) -> tuple[list[Accepted], list[RejectRow]]:
    """The pieces that are clips, by key, and what was left out, reported too. Of files with the same bytes the first by
    name counts."""
    first_of: dict[str, str] = {}
    clips: list[Accepted] = []
    rows = [RejectRow(note.name, note.kind, note.reason) for note in report.rejected]  # what was not even begun
    for file in files:
        journal = file.journal
        if journal.rejected is not None:
            why = journal.rejected
            rows.append(_row(file, why["code"], why["reason"], picture=why["picture"]))
        elif journal.probed is None or journal.moved != file.task.moved(journal.probed.sha256):
            rows.append(_row(file, "unreadable", CHANGED))
        elif (first := first_of.setdefault(journal.probed.sha256, file.name)) != file.name:
            rows.append(_row(file, "duplicate", f"the same bytes as {first}"))
        else:
            clips += [Accepted(file, verdict) for verdict in journal.verdicts if verdict.code is None]
            rows += [_left_out(file, verdict) for verdict in journal.verdicts if verdict.code is not None]
    for file in files:
        for sentence in file.journal.all_notes:
            report.change(file.name, sentence)
    for row in rows[len(report.rejected) :]:
        report.reject(place(row), Unusable(row.code, row.sentence))
    return sorted(clips, key=lambda clip: clip.key), rows


def _row(file: Worked, code: str, sentence: str, picture: str | None = None) -> RejectRow:
    """Of a whole file."""
    probed = file.journal.probed
    until = {} if probed is None else {"start_s": 0.0, "stop_s": probed.seconds}
    return RejectRow(file.name, code, sentence, **until, picture=_in(file, picture))


def _left_out(file: Worked, verdict: Verdict) -> RejectRow:
    piece = verdict.piece
    return RejectRow(
        file.name,
        verdict.code or "",
        verdict.reason or "",
        piece.first / FPS,
        piece.last / FPS,
        numbers(piece),
        _in(file, verdict.picture),
    )


def _in(file: Worked, name: str | None) -> Path | None:
    return None if name is None else file.task.folder / name


def numbers(piece: Piece) -> dict[str, float]:
    """Its measures but for those in words."""
    return {name: value for name, value in piece.measures.items() if isinstance(value, int | float)}


def place(row: RejectRow) -> str:
    """What was left out, as it is called in a list."""
    return f"{row.name}, {row.start_s:.2f} to {row.stop_s:.2f} s" if row.piece else row.name


def clips_of(accepted: Sequence[Accepted], speakers: dict[str, str], home: dict[str, str]) -> Iterator[Clip]:
    """One at a time, read from the staging folders. Raises Spoilt where one cannot be."""
    for each in accepted:
        speaker = speakers[each.key]
        yield _clip(each, speaker, home[speaker])


def _clip(each: Accepted, speaker: str, split: str) -> Clip:
    task, moved = each.worked.task, each.moved()
    render = {
        "jpg": moved.reference_jpeg,
        "json": json.dumps(moved.reference_facts, sort_keys=True).encode(),
        "npy": npy_bytes(moved.canonical_K3),
    }
    if moved.ratios_N3 is not None:
        render["ratios.npy"] = npy_bytes(moved.ratios_N3)
    film = task.folder / film_name(each.verdict, task.settings)
    if split == VALIDATION and task.settings.reference.film and film.is_file():
        render["mp4"] = film.read_bytes()
    return Clip(each.key, moved.motion_NC, each.audio(), meta_of(each, speaker, split), render=render)


def meta_of(each: Accepted, speaker: str, split: str) -> dict[str, Any]:
    source, probed, piece = each.worked.task.source, each.worked.journal.probed, each.verdict.piece
    notes = each.worked.journal.all_notes
    return {
        "id": each.key,
        "parent": each.parent,
        "part": piece.part,
        "speaker": speaker,
        "language": source.language,
        "split": split,
        "source": source.name,
        "source_sha256": probed.sha256,
        "source_start_seconds": piece.first / FPS,
        "frames": piece.frames,
        "paired": True,
        "extractor": each.worked.task.extractor,
        "quality": {
            **piece.measures,
            "source_fps": round(probed.fps, 3),
            "variable_rate": probed.variable,
            "decoder": each.worked.journal.decoder,
            **({"changed_while_reading": notes} if notes else {}),
        },
        "labels": {},
        "sync": {"offset": None, "confidence": None},
        "licence": source.licence,
        "consent": source.consent,
    }


def content_of(accepted: Sequence[Accepted], speakers: dict[str, str], home: dict[str, str], more: Any) -> str:
    """Fingerprint of all that the dataset and its report will hold."""
    digest = hashlib.sha256(json.dumps(more, sort_keys=True).encode())
    for each in accepted:
        speaker, task = speakers[each.key], each.worked.task
        film = task.folder / film_name(each.verdict, task.settings)
        row = [each.verdict.file, film.name, film.is_file(), meta_of(each, speaker, home[speaker])]
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()
