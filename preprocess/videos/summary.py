"""A run's outcome as the report page takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from joyvasa.motion import FPS
from preprocess.report import Report
from preprocess.videos.pack import Accepted, Worked, numbers
from preprocess.videos.page import write_page
from preprocess.videos.page_facts import ClipRow, PageFacts, RejectRow
from preprocess.videos.settings import Settings

FILE = "report.html"


def write_report(
    folder: Path,
    files: Sequence[Worked],
    clips: Sequence[Accepted],
    rejected: Sequence[RejectRow],
    speakers: Mapping[str, str],
    home: Mapping[str, str],
    report: Report,
    settings: Settings,
    said: Mapping[str, Any],
) -> Path:
    """Write report.html and its contact sheet into the dataset folder."""
    probed = [file.journal.probed for file in files if file.journal.probed is not None]
    read = [file.journal for file in files if file.journal.decoder]
    facts = PageFacts(
        title=folder.name,
        files=len(files),
        seen_seconds=sum(each.seconds for each in probed),
        clips=[_clip(clip, speakers[clip.key], home[speakers[clip.key]]) for clip in clips],
        rejected=rejected,
        filters=settings.filters,
        settings=said,
        decoders=Counter((journal.decoder, journal.why) for journal in read),
        remarks=report.remarks,
        changed=report.changed,
    )
    write_page(folder / FILE, facts)
    return folder / FILE


def _clip(clip: Accepted, speaker: str, split: str) -> ClipRow:
    piece = clip.verdict.piece
    return ClipRow(
        key=clip.key,
        source=clip.worked.name,
        speaker=speaker,
        split=split,
        seconds=piece.seconds,
        start_s=piece.first / FPS,
        measures=numbers(piece),
        picture=clip.picture,
    )
