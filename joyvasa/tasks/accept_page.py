"""The report of task=accept: accept.md to read in a terminal, accept.html with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from joyvasa.eval.verdicts import UNVERIFIED, VERIFIED, WRONG
from joyvasa.markup import LONGEST, document, image, plain, table, text, with_commands
from joyvasa.tasks.accept_causes import Cause, brief
from joyvasa.tasks.accept_causes import lines as shared
from joyvasa.tasks.accept_step import Outcome

HEADING = "What is verified here"
STATES = (VERIFIED, UNVERIFIED, WRONG)
# Headings by how the names of steps begin; the last takes the others.
GROUPS = {"Files": "weights ", "Scores": ("metric ", "syncnet "), "At work": ""}
STYLE = """
.verified{color:var(--kept);font-weight:600}.unverified{color:var(--soft)}.WRONG{color:var(--bound);font-weight:600}
.wide table{width:100%}.wide th:nth-child(1){width:11ch}.wide th:nth-child(2){width:27ch}
.wide th:nth-child(4){width:17ch}
.wide td{overflow-wrap:anywhere}.wide td:nth-child(4){color:var(--soft)}
.sheets figure{max-width:640px;margin:0 0 14px}.sheets figure img{aspect-ratio:auto}a{color:var(--kept)}
@media(max-width:520px){.wide tr{grid-template-columns:11ch minmax(0,1fr)}
.wide td:nth-child(3){grid-column:1/-1}.wide td:nth-child(4),.wide th:nth-child(n+3){display:none}}
"""


def counts(outcomes: Mapping[str, Outcome]) -> str:
    """3 verified, 12 unverified, 0 WRONG."""
    return ", ".join(f"{number} {state}" for state, number in _counted(outcomes).items())


def _counted(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    states = [each.state for each in outcomes.values()]
    return {state: states.count(state) for state in STATES}


def markdown(outcomes: Mapping[str, Outcome], causes: Mapping[str, Cause], environment: Mapping[str, object]) -> str:
    """causes: of the steps that have one; it is said once, at the top, and their rows are short."""
    lines = [f"# {HEADING}", "", counts(outcomes), *[f"\n{_cell(each)}" for each in shared(causes)]]
    for heading, names in _groups(outcomes).items():
        said = {each: _said(each, outcomes[each], causes) for each in names}
        rows = [f"| {outcomes[each].state} | {each} | {_cell(said[each])} |" for each in names]
        lines += ["", f"## {heading}", "", "| state | what | why, and what to type |", "|---|---|---|", *rows]
    return "\n".join([*lines, "", "## Environment", "", *[f"- {line}" for line in _environment(environment)], ""])


def _said(name: str, outcome: Outcome, causes: Mapping[str, Cause]) -> str:
    return brief(outcome.detail) if name in causes else outcome.detail


def _cell(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())


def _groups(outcomes: Mapping[str, Outcome]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {heading: [] for heading in GROUPS}
    for name in outcomes:
        found[next(each for each, begins in GROUPS.items() if name.startswith(begins))].append(name)
    return {heading: names for heading, names in found.items() if names}


def _environment(environment: Mapping[str, object]) -> list[str]:
    said = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in environment.items()
    }
    return [f"{name}: {value}" for name, value in said.items() if name != "class"]


def page(
    outcomes: Mapping[str, Outcome], causes: Mapping[str, Cause], environment: Mapping[str, object], folder: Path
) -> str:
    """One page that fetches nothing; pictures are those of the steps' files that end in .jpg. causes: as `markdown`."""
    tiles = [
        f'<div class="tile"><b class="{state if number else UNVERIFIED}">{number}</b><span>{state}</span></div>'
        for state, number in _counted(outcomes).items()
    ]
    body = f'<h1>{HEADING}</h1><div class="tiles">{"".join(tiles)}</div>'
    body += "".join(f"<p>{with_commands(each)}</p>" for each in shared(causes))
    for heading, names in _groups(outcomes).items():
        rows = [_row(name, outcomes[name], _said(name, outcomes[name], causes)) for name in names]
        drawn = table(("state", "what", "why, and what to type", "when"), rows, ())
        body += f'<h2>{heading}</h2><div class="stacked">{drawn}</div>'
    sheets = [
        _figure(folder / file, name, each)
        for name, each in outcomes.items()
        for file in each.files
        if file.endswith(".jpg") and (folder / file).is_file()
    ]
    body += f'<h2>Films</h2><div class="sheets">{"".join(sheets)}</div>' if sheets else ""
    lines = "<br>".join(text(line, LONGEST) for line in _environment(environment))
    return document(HEADING, f'{body}<h2>Environment</h2><p class="soft">{lines}</p>', STYLE)


def _row(name: str, outcome: Outcome, said: str) -> tuple[str, ...]:
    state = f'<span class="{outcome.state}">{outcome.state}</span>'
    return state, text(name), with_commands(said), text(outcome.when)


def _figure(picture: Path, name: str, outcome: Outcome) -> str:
    films = [f'<a href="{plain(film)}">{plain(film)}</a>' for film in outcome.files if film.endswith(".mp4")]
    caption = f"{text(name)}: {', '.join(films)}"
    return f"<figure>{image(picture.read_bytes())}<figcaption>{caption}</figcaption></figure>"
