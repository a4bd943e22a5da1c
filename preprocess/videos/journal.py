"""What is known of one input file, beside its unfinished work: written whole after every stage, read by any process.

    .staging/<key>/journal.json      facts of the file, what became of it and of its pieces
    .staging/<key>/sound.flac        16 kHz mono, from the first picture on
    .staging/<key>/look-<fp>/0000.safetensors … faces followed, a file a span
    .staging/<key>/piece-<fp>.safetensors     motion and reference picture of a piece
    .staging/<key>/film-<fp>.mp4              of a validation piece
    .staging/<key>/small-<fp>.jpg             a picture of what was left out

fp is the fingerprint of all that the content depends on, so a changed setting finds nothing of its own there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from joyvasa.io.files import replacing
from preprocess.videos.records import PASSING, Piece, Probed, Unusable

FILE = "journal.json"


@dataclass(frozen=True)
class Verdict:
    """A piece and what became of it. code, reason: why it was left out, None where it was not. file: its motion, if it
    was ever extracted; picture: of a piece that was left out; both in the staging folder."""

    piece: Piece
    file: str | None = None
    code: str | None = None
    reason: str | None = None
    picture: str | None = None


@dataclass
class Journal:
    """folder: of the staging. seen: size and time of the file when it was read. rejected: stage fingerprint, code,
    reason, picture. looked, moved: fingerprints of what was done. notes: what was changed while the file was read, by
    what was read ("picture", "audio", "both"); see `note`."""

    folder: Path
    seen: list[int] | None = None
    probed: Probed | None = None
    rejected: dict[str, Any] | None = None
    sound: dict[str, Any] | None = None
    decoder: str | None = None
    why: str = ""
    looked: str | None = None
    moved: str | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, path: Path) -> Journal:
        """What is known of `path`; nothing where the file has changed since, or the journal cannot be read.

        Of a file that is gone, or cannot be asked just now, what was known stays known.
        """
        seen = identity(path)
        try:
            content = json.loads((folder / FILE).read_bytes())
            known = content.pop("seen")
            if seen is not None and known != seen:
                return cls(folder, seen)
            seen = known
            probed = content.pop("probed")
            verdicts = [Verdict(**(each | {"piece": Piece(**each["piece"])})) for each in content.pop("verdicts")]
            return cls(folder, seen, probed and Probed(**probed), verdicts=verdicts, **content)
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder, seen)

    def write(self) -> None:
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        with replacing(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps(content, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")

    def note(self, what: str, sentences: Iterable[str]) -> None:
        """Note what was changed while `what` was read, in place of what an earlier reading noted. Not written yet.

        Args:
            what: what was read: "picture", "audio" or "both".
            sentences: such as "interlaced: deinterlaced". The report counts files by sentence, so a sentence holds no
                number that is another one in every file.
        """
        found = list(dict.fromkeys(sentences))
        if found:
            self.notes[what] = found
        else:
            self.notes.pop(what, None)

    @property
    def all_notes(self) -> list[str]:
        """What was changed while the file was read, in a fixed order."""
        return [sentence for what in sorted(self.notes) for sentence in self.notes[what]]

    def reject(self, problem: Unusable, fingerprint: str, picture: str | None = None) -> None:
        """Note that the whole file is left out, by the settings of this fingerprint, and write the journal."""
        self.rejected = {"at": fingerprint, "code": problem.kind, "reason": str(problem), "picture": picture}
        self.write()

    def settled(self, fingerprint: str) -> bool:
        """Whether nothing is left to do by the settings of this fingerprint."""
        if self.rejected is not None:
            return self.rejected["at"] == fingerprint and self.rejected["code"] not in PASSING
        return self.moved == fingerprint


def identity(path: Path) -> list[int] | None:
    """Size and time of change, by which a file is known again; None where it cannot be asked."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
