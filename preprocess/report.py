"""What an import left out, and what it took for granted: every name with its reason, counted, printed and written."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from joyvasa.io.files import replacing
from joyvasa.markup import shown

FILE = "import.json"
LISTED = 20
HOW_READ = "how the audio is read"  # what remarks on tracks, channels and pauses are counted under
CHANGED = "changed"  # what a change made while reading is counted under


class Unusable(ValueError):
    """A file that cannot be used: `kind` is what it is counted under, the message is the reason."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind

    def __reduce__(self):
        """Between processes."""
        return type(self), (self.kind, str(self))


class NothingImported(ValueError):
    """No clip was left to write; the message lists why."""


@dataclass(frozen=True)
class Note:
    """One line of a report: about which file, counted under what, in words."""

    name: str
    kind: str
    reason: str


@dataclass
class Report:
    """`rejected` was left out; `remarks` are about what was imported; `changes` are what was changed while a file was
    read. Names are relative to the input folder."""

    imported: int = 0
    rejected: list[Note] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)
    changes: list[Note] = field(default_factory=list)

    def reject(self, name: str, problem: Unusable) -> None:
        self.rejected.append(Note(one_line(name), problem.kind, one_line(str(problem))))

    def remark(self, name: str, kind: str, reason: str) -> None:
        self.remarks.append(Note(one_line(name), kind, one_line(reason)))

    def change(self, name: str, reason: str) -> None:
        """Note what was changed while a file was read; see `Journal.note`."""
        self.changes.append(Note(one_line(name), CHANGED, one_line(reason)))

    @property
    def changed(self) -> dict[str, list[str]]:
        """The names of the files, by what was changed while they were read; the most frequent first."""
        found: dict[str, list[str]] = {}
        for note in self.changes:
            found.setdefault(note.reason, []).append(note.name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def text(self) -> str:
        """The counts, then the names with their reasons, at most 20 of each sort."""
        lines = [f"imported  {self.imported} clips"]
        for title, notes in (("left out ", self.rejected), ("remarks  ", self.remarks)):
            kinds = Counter(note.kind for note in notes)
            if notes:
                lines.append(f"{title} {len(notes)}: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))
            lines += [f"    {note.name}: {note.reason}" for note in notes[:LISTED]]
            if len(notes) > LISTED:
                lines.append(f"    and {len(notes) - LISTED} more, see {FILE}")
        changed = list(self.changed.items())
        if changed:
            lines.append(f"changed   while {len({note.name for note in self.changes})} files were read:")
        for reason, names in changed[:LISTED]:
            lines.append(f"    {len(names)} x {reason} (first: {names[0]})")
        if len(changed) > LISTED:
            lines.append(f"    and {len(changed) - LISTED} more, see {FILE}")
        return "\n".join(lines)

    def write(self, folder: Path, settings: dict[str, Any]) -> Path:
        """Write import.json into the dataset folder: settings, counts, every name and reason."""
        content = {
            "settings": settings,
            "imported": self.imported,
            "rejected_by_kind": dict(Counter(note.kind for note in self.rejected)),
            "rejected": [asdict(note) for note in self.rejected],
            "remarks": [asdict(note) for note in self.remarks],
            "changed_while_reading": {reason: len(names) for reason, names in self.changed.items()},
            "changes": [asdict(note) for note in self.changes],
        }
        with replacing(folder / FILE) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return folder / FILE


def reason_of(error: Exception, *names: Path | str) -> str:
    """The message of an error without the name of its file in front, which stands beside it in a report."""
    reason = str(error)
    for name in names:
        reason = reason.removeprefix(f"{name}: ").removeprefix(f"{name}, ")
    return shown(reason)


def one_line(text: str) -> str:
    """A list has one line for each name, and names may hold anything."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
