"""`results.html`: what task=evaluate and task=benchmark found, on one page that fetches nothing and runs nothing.

Its size has a bound, whatever the number of films: tables and sheets are cut, and say where the rest stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from joyvasa.eval.films import page_films, page_scores
from joyvasa.eval.films.results import Results
from joyvasa.eval.films.words import (
    READING,
    WARNING,
    environment_lines,
    excluded_films,
    families,
    flat,
    hashes,
    listed,
    untrained,
)
from joyvasa.eval.protocol_hash import CLASS
from joyvasa.io.files import replacing
from joyvasa.markup import SENTENCE, document, duration, table, text, with_commands

PAGE = "results.html"
NOTES = 40  # shown
ALARMED = 6  # systems named in the alarm
_STYLE = """
:root{--good:#2c7a4b;--c2:#8f78b5;--c3:#b5803a;--c4:#2f8f8f;--c5:#b0588f;--g0:#6b737b;--g1:#949ba1}
@media(prefers-color-scheme:dark){:root{--good:#7fc09a;--c2:#ab97d3;--c3:#d9a35a;--c4:#5fbcbc;--c5:#d98fbb;--g0:#a9b2ba;--g1:#79828a}}
.c0{--row:var(--kept)}.c1{--row:var(--more)}.c2{--row:var(--c2)}.c3{--row:var(--c3)}.c4{--row:var(--c4)}
.c5{--row:var(--c5)}.g0,.g2,.g4{--row:var(--g0)}.g1,.g3,.g5{--row:var(--g1)}
.key li{display:flex;align-items:center;gap:6px}svg .bar{stroke:var(--row);stroke-width:2.4;opacity:.6}
svg .dot{fill:var(--row)}svg .mass{fill:var(--row)}svg .curve{fill:none;stroke:var(--row);stroke-width:1.8}
svg line.g0,svg .g0.curve{stroke-dasharray:8 3}svg line.g1,svg .g1.curve{stroke-dasharray:2 3}
svg line.g2,svg .g2.curve{stroke-dasharray:8 3 2 3}svg line.g3,svg .g3.curve{stroke-dasharray:4 4}
svg line.g4,svg .g4.curve{stroke-dasharray:1 4}
svg .g3.dot,svg .g4.dot,svg .g5.dot{fill:var(--card);stroke:var(--row);stroke-width:1.6}
svg .g1.mass,svg .g4.mass{fill-opacity:.35}svg .g2.mass,svg .g3.mass,svg .g5.mass{fill:none}
svg .g1.mass,svg .g2.mass,svg .g3.mass,svg .g4.mass,svg .g5.mass{stroke:var(--row);stroke-width:1.4}
svg .g3.mass,svg .g4.mass{stroke-dasharray:3 2}svg .g5.mass{stroke-dasharray:1 2}
.chip.g0,.chip.g1,.chip.g3,.chip.g4{border-radius:0}.chip.g1,.chip.g4{transform:rotate(45deg) scale(.9)}
.chip.g2,.chip.g5{border-radius:0;clip-path:polygon(50% 0,100% 100%,0 100%)}.chip.g5{opacity:.5}
.chip.g3,.chip.g4{background:none;border:2px solid var(--row)}
.scores th:first-child{color:var(--ink);font-weight:600;min-width:14ch;max-width:24ch;position:sticky;left:0;
background:var(--paper)}
.wide bdi{overflow-wrap:break-word}.pairs td:first-child bdi{overflow-wrap:normal}
.pairs td:last-child bdi{overflow-wrap:anywhere}
.scores em{font-weight:400;color:var(--soft)}.scores td,.scores th{padding:4px 22px 4px 0}
.scores tr+tr th{border-top:1px solid var(--grid)}.scores td:last-child,.scores th:last-child{padding-right:6px}
.scores th small{white-space:normal;max-width:22ch;margin-left:auto}
.pair{display:flex;flex-wrap:wrap;gap:10px 28px;align-items:flex-start}.pair .wide{max-width:100%}
.pair .charts{flex:1 1 380px;min-width:0}.charts{align-items:flex-start;margin:8px 0}
@media(max-width:520px){.scores th:first-child{min-width:30vw;max-width:30vw}
.scores td,.scores th{padding-right:14px}
.excluded tr{grid-template-columns:minmax(0,1fr) auto}.excluded td{grid-column:1/-1}
.excluded bdi{overflow-wrap:anywhere}
.excluded td:nth-child(1){grid-column:1}.excluded td:nth-child(3){grid-column:2;grid-row:1}
.excluded th:nth-child(2),.excluded th:nth-child(4),.excluded th:nth-child(5){display:none}
.excluded td:nth-child(2),.excluded td:nth-child(5){color:var(--soft)}
.excluded td:nth-child(2)::before{content:"from "}.excluded td:nth-child(5)::before{content:"films: "}}
.chip{display:inline-block;width:9px;height:9px;border-radius:50%;background:var(--row);margin-right:7px}
.scores{margin-bottom:12px}.scores tr:first-child th{vertical-align:bottom}
.scores small{display:block;color:var(--soft);font-size:12px;font-weight:400}.scores td b{font-size:15px}
.scores .controls b{font-weight:500}.scores .systems+.controls td,.scores .systems+.controls th{
border-top:2px solid var(--line)}
.up,.down,.other{font-weight:600}.up{color:var(--good)}.down{color:var(--bound)}
.alarm{border-left:4px solid var(--bound);padding:6px 12px;background:var(--card);max-width:none;margin:6px 0}
.alarm ul{margin:4px 0;padding-left:20px}details{margin:8px 0}summary{cursor:pointer}code{font-size:12px}
.films{grid-template-columns:repeat(auto-fill,minmax(128px,1fr))}.films .none{width:100%;height:auto;aspect-ratio:1}
.films img{object-fit:contain;background:var(--grid)}.films b{color:var(--ink)}
"""


def write_page(path: Path, results: Results) -> None:
    """Write results.html whole or not at all. Raises OSError for a full disk."""
    page = document(f"{results.title}: scores", _body(results), _STYLE)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _body(results: Results) -> str:
    parts = [
        _head(results),
        _section("Scores", page_scores.overview(results)),
        _section("Control rows", page_scores.controls(results)),
        _section("Not computed", _absent(results)),
        _section("Notes", _notes(results)),
        _section("Every number", page_scores.sections(results)),
        _section("Excluded", page_films.excluded(results)),
        _section("Best and worst films", page_films.ends_of(results)),
        _section("Protocols", _protocols(results)),
        _section("Environment", _pairs(environment_lines(results))),
        _section("Settings", _pairs(flat(results.settings))),
    ]
    return "".join(parts)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _head(results: Results) -> str:
    said = _too_many(results) + (f'<p class="alarm">{text(WARNING, SENTENCE)}</p>' if untrained(results) else "")
    seconds = sum(float(film.facts["seconds"]) for film in results.films if _has_length(film.facts))
    tiles = {"systems": f"{len(results.systems):,}", "control rows": f"{len(results.controls):,}"}
    tiles["columns of protocols"] = f"{len(families(results)):,}"
    counts = [excluded_films(results, row) for row in results.systems]
    tiles["films of the systems"] = f"{sum(films for _, films in counts):,}"
    tiles["of them excluded from something"] = f"{sum(out for out, _ in counts):,}"
    tiles["film in all rows together"] = duration(seconds)
    drawn = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in tiles.items())
    return f'<h1>{text(results.title)}</h1>{said}<div class="tiles">{drawn}</div><p>{READING}</p>'


def _too_many(results: Results) -> str:
    """One alarm, however many systems and protocols: the scores are not to be pushed off the first screen."""
    sentences = [text(each, SENTENCE) for each in results.too_many_excluded()]
    if len(sentences) < 2:
        return "".join(f'<p class="alarm">{each}</p>' for each in sentences)
    over = [
        row
        for row in results.systems
        if any(each > results.max_excluded for each in results.shares.get(row, {}).values())
    ]
    limit = f"More than {results.max_excluded:.0%} of the films excluded"
    drawn = "".join(f"<li>{each}</li>" for each in sentences)
    return f'<details class="alarm"><summary>{limit}: {text(listed(over, ALARMED))}</summary><ul>{drawn}</ul></details>'


def _has_length(facts: Mapping[str, Any]) -> bool:
    return isinstance(facts.get("seconds"), int | float) and facts["seconds"] == facts["seconds"]


def _absent(results: Results) -> str:
    rows = [[text(each.name), with_commands(each.reason)] for each in results.absent]
    return table(["protocol", "what is missing"], rows, ()) if rows else ""


def _protocols(results: Results) -> str:
    """The whole of what is hashed, a fold for each protocol."""
    parts = []
    for name, columns in families(results).items():
        stamp = results.stamps[columns[0].digest]
        told = [("sha256", columns[0].digest), *flat(stamp)]
        rows = [(key, value) for key, value in told if key.rpartition(".")[2] != CLASS]
        summary = f"<summary>{text(name)} <code>{hashes(columns[0])}</code></summary>"
        parts.append(f"<details>{summary}{_pairs(rows)}</details>")
    return "".join(parts)


def _pairs(rows: Iterable[tuple[str, Any]]) -> str:
    drawn = [[text(name), text(value, SENTENCE)] for name, value in rows]
    return f'<div class="pairs">{table(["", ""], drawn, ())}</div>' if drawn else ""


def _notes(results: Results) -> str:
    more = f"<p>and {len(results.notes) - NOTES:,} more</p>" if len(results.notes) > NOTES else ""
    return "".join(f"<p>{with_commands(note)}</p>" for note in results.notes[:NOTES]) + more
