"""What the report page is told: a row a clip, a row for everything left out, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joyvasa.thumbnails import Picture
from preprocess.report import Note
from preprocess.videos.settings import Filters


@dataclass(frozen=True)
class ClipRow:
    """A clip that was written. source: name of its file; start_s: where in that film it begins; measures: what the
    filters looked at, by the names of filters.py; picture: of the face."""

    key: str
    source: str
    speaker: str
    split: str
    seconds: float
    start_s: float
    measures: Mapping[str, float]
    picture: Picture | None


@dataclass(frozen=True)
class RejectRow:
    """What was left out: a piece of a file, or the whole. name: of the file; code: of REASONS; start_s, stop_s: what
    was lost of the film, None for a file of unknown length; picture: as a clip's."""

    name: str
    code: str
    sentence: str
    start_s: float | None = None
    stop_s: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    picture: Picture | None = None

    @property
    def piece(self) -> bool:
        """Whether it is a part of a film: a whole file is never measured, and a part is unless it is too short."""
        return bool(self.measures) or self.code == "short"

    @property
    def seconds(self) -> float:
        return 0.0 if self.start_s is None or self.stop_s is None else self.stop_s - self.start_s


@dataclass(frozen=True)
class PageFacts:
    """title: what was read. files: all that were found; seen_seconds: of those whose length is known. settings: plain,
    nested or not. decoders: (name, why not decord) -> files. remarks: what was taken for granted. changed: what
    was changed while reading -> the names of the files."""

    title: str
    files: int
    seen_seconds: float
    clips: Sequence[ClipRow]
    rejected: Sequence[RejectRow]
    filters: Filters
    settings: Mapping[str, Any]
    decoders: Mapping[tuple[str, str], int]
    remarks: Sequence[Note]
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def written_seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)
