"""What the page says, as HTML. Whatever comes from a file, a visitor or an error is escaped."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from joyvasa.web.limits import spoken
from joyvasa.web.line import WAITING, Job
from joyvasa.web.workshop import DRAWING, LISTENING, LOOKING, Result

EMPTY = '<p class="quiet">Your film appears here.</p>'
CANCELLED = '<p class="quiet">Cancelled. Nothing was kept.</p>'
BROKEN = '<p class="problem">The program failed here, which is its fault. The terminal it runs in shows where.</p>'
UNTRAINED = (
    "The picture comes from random weights: it shows that everything runs, not what the program can do. "
    "For real ones: python -m joyvasa.weights pull liveportrait"
)
PHASES = {LOOKING: "Looking at the picture", LISTENING: "Listening to the voice", DRAWING: "Drawing"}
SERVED = "gradio_api/file="  # from where gradio serves files of its folder, beside the page
UNITS = {LOOKING: "frame", LISTENING: "part", DRAWING: "frame"}
_PLACE = re.compile(r" in /[^\s;,)]+")  # a folder of this machine, which is nobody else's business
SOON_SECONDS = 2.0  # of a phase, before its remaining time is told
_COMMAND = re.compile(r"python (?:-m [\w.]+(?: (?:pull|import) \w+)?|\w+\.py(?: [\w.]+=[\w.:/-]+)*)")


def head(lines: Mapping[str, str], limits: str) -> str:
    """Title, what works now (`lines`: what -> sentence), and what the page takes."""
    rows = "".join(f"<li><b>{escape(what)}</b> {commands(_PLACE.sub('', text))}</li>" for what, text in lines.items())
    return (
        "<header><h1>JoyVASA</h1><p>One photo or video of a person or an animal, and one voice, become a talking "
        f'face.</p><ul class="now">{rows}</ul><p class="quiet">{escape(limits)}</p></header>'
    )


def commands(text: str) -> str:
    """Escaped, with what has to be typed set as code."""
    return _COMMAND.sub(r"<code>\g<0></code>", escape(text))


def problem(error: Exception, folder: Path) -> str:
    """The sentence of an error, without the places of this machine's files."""
    text = getattr(error, "strerror", None) or str(error)
    text = re.sub(rf"{re.escape(str(folder))}/(?:[^/\s]+/)*", "", text)
    text = re.sub(r"\[Errno \d+\] ", "", text)
    return f'<p class="problem" role="alert">{commands(text)}</p>'


def note(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>'


def progress(job: Job, ahead: int) -> str:
    """A bar and where the job is."""
    if job.phase == WAITING:
        films = "one film is" if ahead == 1 else f"{ahead} films are"
        text = f"In line: {films} made before yours" if ahead else "Starting"
        return _bar(0.0, text)
    share = job.done / job.total if job.total else 0.0
    text = PHASES[job.phase]
    if job.total:
        text += f": {UNITS[job.phase]} {job.done} of {job.total}"
    elif job.done > 1:
        text += f": {job.done} {UNITS[job.phase]}s so far"
    spent = time.monotonic() - job.since
    left = round(spent / share * (1 - share)) if share else 0
    if left and spent > SOON_SECONDS:
        text += f", about {spoken(left)} left"
    return _bar(share, text)


def _bar(share: float, text: str) -> str:
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{share * 100:.0f}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="progress"><i style="width:{share * 100:.1f}%"></i></div><p aria-live="polite">{escape(text)}</p>'
    )


def finished(result: Result, preview: bool) -> str:
    made = result.made
    what = "Preview" if preview else "Film"
    text = f"{what} of {made.frames / float(made.fps):.1f} s, made in {spoken(max(1, round(result.wall_seconds)))}."
    notes: Sequence[str] = made.notes
    if preview:
        notes = ("A preview shows the beginning with a drawn face; the film is made with the other button.", *notes)
    if made.facts.get("untrained"):
        notes = (UNTRAINED, *notes)
    link = f'<a class="fetch" id="download" href="{SERVED}{quote(str(made.path))}" download>Download</a>'
    return f"<p><b>{text}</b> {link}</p>" + "".join(f'<p class="quiet">{commands(each)}</p>' for each in notes)


def used(facts: Mapping[str, str]) -> str:
    """What the film's metadata says, as a table."""
    rows = "".join(
        f"<tr><th>{escape(key.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for key, value in facts.items()
    )
    return f'<table class="used">{rows}</table>'
