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

EMPTY = (
    '<div class="empty"><p>Your video appears here.</p><ol>'
    "<li>Give a photo or a video of a face, and a voice, or press an example.</li>"
    "<li>Preview: the first seconds, with a drawn face.</li><li>Make film: all of it.</li></ol></div>"
)
CANCELLED = '<p class="quiet">Cancelled. Nothing was kept.</p>'
BROKEN = '<p class="problem">The program failed here, which is its fault. The terminal it runs in shows where.</p>'
UNTRAINED = (
    "The picture comes from random weights: it shows that everything runs, not what the program can do. "
    "For real ones: python -m joyvasa.weights pull liveportrait"
)
PHASES = {LOOKING: "Looking at the picture", LISTENING: "Listening to the voice", DRAWING: "Drawing"}
# What a correlation means to somebody who does not know the number: at least this much, in words.
QUALITY = ((0.85, "closely"), (0.6, "well"), (0.3, "roughly"), (float("-inf"), "hardly"))
SERVED = "gradio_api/file="  # from where gradio serves files of its folder, beside the page
UNITS = {LOOKING: "frame", LISTENING: "part", DRAWING: "frame"}
_PLACE = re.compile(r" in /[^\s;,)]+")  # a folder of this machine, which is nobody else's business
SOON_SECONDS = 2.0  # of a phase, before its remaining time is told
_COMMAND = re.compile(r"python (?:-m [\w.]+(?: (?:pull|import) \w+)?|\w+\.py(?: [\w.]+=[\w.:/-]+)*)")


def head(lines: Mapping[str, str], limits: str) -> str:
    """Title, what the page takes, and what works now (see `works`), if it is to stand here."""
    return (
        "<header><h1>JoyVASA</h1><p>One photo or video of a person or an animal, and one voice, become a talking "
        f'face. <span class="quiet">{escape(limits)}</span></p>{works(lines) if lines else ""}</header>'
    )


def works(lines: Mapping[str, str]) -> str:
    """A list of what works now and which command adds the rest: what -> sentence."""
    rows = "".join(f"<li><b>{escape(what)}</b> {commands(_PLACE.sub('', text))}</li>" for what, text in lines.items())
    return f'<ul class="now">{rows}</ul>'


def motion_model(facts: Mapping[str, str]) -> str:
    """Which model generates the motion and how good it is, in a sentence.

    Args:
        facts: of the studio; `checkpoint`, `run`, `step`, `score` ("lip_pc1 0.93") and `trained`, as far as known.

    Returns:
        A sentence or two of plain text.
    """
    which = facts.get("checkpoint", "unknown")
    if "run" in facts:
        which = f"{which} of the run {facts['run']}"
    step = _known(facts, "step")
    trained = f", trained for {step} steps" if step else ", trained for an unknown number of steps"
    date = _known(facts, "trained")
    if date:
        trained += f" until {date}"
    name, _, value = (_known(facts, "score") or "").partition(" ")
    if not value:
        return f"{which}{trained}. How well its lips follow a voice was not measured."
    quality = next(word for least, word in QUALITY if float(value) >= least)
    return (
        f"{which}{trained}. On unheard voices of its own data set its lips follow {quality}: {value} of 1 "
        f"({name}, the correlation with the true lips)."
    )


def _known(facts: Mapping[str, str], name: str) -> str | None:
    value = facts.get(name)
    return None if value in (None, "unknown") else value


def commands(text: str) -> str:
    """Escaped, with what has to be typed set as code."""
    return _COMMAND.sub(r"<code>\g<0></code>", escape(text))


def plain(error: Exception, folder: Path) -> str:
    """The sentence of an error, without the places of this machine's files."""
    text = getattr(error, "strerror", None) or str(error)
    text = re.sub(rf"{re.escape(str(folder))}/(?:[^/\s]+/)*", "", text)
    return re.sub(r"\[Errno \d+\] ", "", text)


def problem(error: Exception, folder: Path) -> str:
    """`plain`, as it stands on the page."""
    return f'<p class="problem" role="alert">{commands(plain(error, folder))}</p>'


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
