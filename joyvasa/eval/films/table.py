"""`results.csv`, a line for every film, and `results.md`, the scores to be pasted into a text."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.results import ALL, Column, Film, Results
from joyvasa.eval.films.words import (
    READING,
    WARNING,
    bare,
    environment_lines,
    excluded_films,
    exclusions,
    families,
    hashes,
    heading,
    listed,
    meaning,
    measured,
    notes_of,
    summary_columns,
    told,
    untrained,
    verdict_of,
)
from joyvasa.io.files import replacing
from joyvasa.markup import shown, spelt

CSV, MARKDOWN = "results.csv", "results.md"
NAMED = 3  # films beside a reason
REASONS = 100  # lines of a table of exclusions
_FACTS = ("seconds", "frames", "fps", "width", "height")  # come first, others by name


def write_csv(path: Path, results: Results) -> None:
    """RFC 4180, UTF-8: every film of every row, also the excluded. Numbers with all digits, "nan", "inf"; an empty cell
    where there is none, whose reason stands under `excluded` or `excluded/PROTOCOL`."""
    known = {name for film in results.films for name in film.facts}
    facts = [name for name in _FACTS if name in known] + sorted(known - set(_FACTS))
    keys = [column.key for column in results.columns]
    names = list(families(results))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\r\n")
        lines.writerow(["row", "key", "path", "sha256", *facts, *keys, "excluded", *(f"excluded/{n}" for n in names)])
        for film in results.films:
            lines.writerow(_line(film, facts, keys, names))


def _line(film: Film, facts: Sequence[str], keys: Sequence[str], names: Sequence[str]) -> list[str]:
    numbers = [film.facts.get(name, "") for name in facts] + [film.values.get(key, "") for key in keys]
    words = [film.row, film.key, film.path or "", film.sha256 or ""]
    reasons = [film.excluded.get(name, "") for name in (ALL, *names)]
    return [shown(word).replace("\0", "\\x00") for word in (*words, *numbers, *reasons)]


def write_markdown(path: Path, results: Results) -> None:
    """results.md."""
    with replacing(path) as temporary:
        temporary.write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """Tables of scores, a protocol after the other, and what has to be known to read them."""
    lines = [f"# {_safe(results.title)}", ""]
    lines += _summary(results)
    lines += [f"**{_safe(sentence)}**\n" for sentence in results.too_many_excluded()]
    lines += [READING, ""] + ([f"**{WARNING}**", ""] if untrained(results) else [])
    for name, columns in families(results).items():
        lines += [f"## {_safe(name)}", "", *_scores(results, columns), ""]
        lines += [f"- {_safe(note)}" for note in notes_of(results, columns)] + [""]
    lines += _differences(results)
    lines += _listed("Control rows", [f"*{_safe(row)}*: {_safe(said)}" for row, said in results.controls.items()])
    lines += _listed("Not computed", [f"{_safe(each.name)}: {_safe(each.reason)}" for each in results.absent])
    lines += _exclusions(results)
    lines += _listed("Notes", [_safe(note) for note in results.notes])
    lines += _environment(results)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _summary(results: Results) -> list[str]:
    """One table for those who read no further: a row a system, the main number of each metric."""
    columns = summary_columns(results)
    head = ["system", *(_safe(_summary_heading(column)) for column in columns), "videos", "excluded"]
    rows = []
    for row in [*results.systems, *results.controls]:
        scores = [results.scores.get(row, {}).get(column.key) for column in columns]
        has_number = any(score is not None and not math.isnan(score.value) for score in scores)
        if row in results.systems or has_number:
            out, films = excluded_films(results, row)
            counts = [f"{films:,}", f"{out:,}"] if films else ["", ""]
            rows.append([_named(results, row), *map(_summed, scores), *counts])
    said = "↑ higher is better, ↓ lower is better, →0 best near 0. Intervals, hashes and notes stand below."
    left = "Excluded: videos of the row without a number of some metric; the reasons stand below."
    return ["## Summary", "", *_table(head, rows, right=range(1, len(head))), "", f"{said} {left}", ""]


def _summary_heading(column: Column) -> str:
    """fid distance ↓, but csim ↑: a metric whose only number is called as itself is named once."""
    name = bare(column.name)
    return heading(column) if column.quantity.startswith(name) else f"{name} {heading(column)}"


def _summed(score: Score | None) -> str:
    return "" if score is None else told(score)[0]


def _scores(results: Results, columns: Sequence[Column]) -> list[str]:
    rows = []
    for row in measured(results, [*results.systems, *results.controls], columns):
        scores = [results.scores[row].get(column.key) for column in columns]
        rows.append([_named(results, row), *map(_cell, scores)])
    head = ["", *(_safe(heading(column)) for column in columns)]
    under = ["hash", *(f"`{hashes(column)}`" for column in columns)]
    ends = "; ".join(f"{column.quantity}: {meaning(column)}" for column in columns)
    return [*_table(head, [*rows, under], right=range(1, len(head))), "", f"{_safe(ends)}."]


def _named(results: Results, row: str) -> str:
    return f"*{_safe(row)}* (control)" if row in results.controls else f"**{_safe(row)}**"


def _cell(score: Score | None) -> str:
    return "" if score is None else " ".join(part for part in (*told(score), f"n {score.n:,}") if part)


def _differences(results: Results) -> list[str]:
    rows = [
        [_safe(f"{each.system} − {each.baseline}"), _safe(each.column), _cell(each.score), verdict_of(results, each)]
        for each in results.differences
    ]
    if not rows:
        return []
    title = "## Differences, over the films that both have a number for"
    return [title, "", *_table(["systems", "number", "difference", ""], rows, right=[2]), ""]


def _exclusions(results: Results) -> list[str]:
    found = exclusions(results)
    if not found:
        return ["## Excluded", "", "No film.", ""]
    rows = [
        [
            _safe(", ".join(each.rows)),
            _safe(each.of),
            _safe(each.reason),
            f"{len(each.keys):,}",
            _safe(listed(each.keys, NAMED)),
        ]
        for each in found[:REASONS]
    ]
    more = [f"and {len(found) - REASONS:,} more reasons: see {CSV}"] if len(found) > REASONS else []
    return ["## Excluded", "", *_table(["rows", "from", "reason", "films", "which"], rows, right=[3]), "", *more, ""]


def _environment(results: Results) -> list[str]:
    return _listed("Environment", [_safe(f"{name}: {value}") for name, value in environment_lines(results)])


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    return [f"## {title}", "", *items, ""] if items else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int]) -> list[str]:
    right = set(right)
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _safe(words: object) -> str:
    """Any string as Markdown: on one line, nothing in it read as markup."""
    line = "".join(spelt(letter) for letter in shown(words))
    # An underscore within a word is no markup.
    return re.sub(r"([\\`*\[\]<>|#&~]|(?<!\w)_|_(?!\w))", r"\\\1", line)
