"""What every form of the report says in the same words: figures, headings, verdicts, reasons of exclusion."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.results import ALL, OFFSET, Column, Difference, Results
from joyvasa.eval.protocol_hash import CLASS, UNTRAINED, short

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→0", "": ""}
MEANINGS = {"higher": "higher is better", "lower": "lower is better", "zero": "best near 0", "": "neither end is good"}
EVERYTHING = "every metric"
MARK = "#"  # between a column's name and its hash, where results of several runs stand beside each other
WARNING = (
    f"Columns whose name ends in {UNTRAINED} were measured by networks with random weights: they show that the "
    "computation runs, and nothing about the films."
)
READING = (
    "A value is followed by its 95 % interval (bootstrap over films) and the number of films it was measured on. "
    "Numbers are comparable within a column alone: each has a hash of its protocol, its judge's weights and the way of "
    "the pixels and the sound."
)


def figure(value: float, beside: float = 0.0) -> str:
    """Three digits that matter: 0.0123, 0.812, 7.21, 36.4, 1,234; no more decimals than the larger number beside it."""
    if not math.isfinite(value):
        return "—" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = max(abs(value), abs(beside) if math.isfinite(beside) else 0.0)
    decimals = min(6, max(0, 2 - math.floor(math.log10(size)))) if size else 0
    told = f"{value:,.{decimals}f}"
    return told.replace("-", "−") if float(told.replace(",", "")) else told.replace("-", "")


def told(score: Score) -> tuple[str, str]:
    """Value and interval, with as many decimals each: ("7.21", "[6.98, 7.44]"); no interval where there is none."""
    widest = max((abs(each) for each in (score.value, score.low, score.high) if math.isfinite(each)), default=0.0)
    value, low, high = (figure(each, widest) for each in (score.value, score.low, score.high))
    return value, "" if math.isnan(score.low) or math.isnan(score.high) else f"[{low}, {high}]"


def heading(column: Column) -> str:
    """lse_c ↑, mean (dB) ↑."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.quantity}{unit} {ARROWS[column.better]}".rstrip()


def bare(name: str) -> str:
    """A column's name without its hash."""
    return name.partition(MARK)[0]


def families(results: Results) -> dict[str, list[Column]]:
    """The columns of each protocol by its name, in their order."""
    found: dict[str, list[Column]] = {}
    for column in results.columns:
        found.setdefault(column.name, []).append(column)
    return found


def main_columns(results: Results) -> list[Column]:
    """Of each protocol, its first number that has a good end."""
    judged = {name: [c for c in columns if c.better] or columns for name, columns in families(results).items()}
    return [columns[0] for columns in judged.values()]


def first_columns(results: Results) -> list[Column]:
    """What is shown first: the main columns, and the offset of lip sync, without which its confidence says little."""
    main = main_columns(results)
    return [column for column in results.columns if column in main or column.quantity == OFFSET]


def measured(results: Results, rows: Iterable[str], columns: Iterable[Column]) -> list[str]:
    """The rows that have at least one of these numbers."""
    keys = {column.key for column in columns}
    return [row for row in rows if keys & set(results.scores.get(row, {}))]


def untrained(results: Results) -> bool:
    return any(bare(column.name).endswith(UNTRAINED) for column in results.columns)


def verdict_of(results: Results, difference: Difference) -> str:
    """better, worse, higher, lower, or "not told apart" where the interval holds 0."""
    low, high = difference.score.low, difference.score.high
    if math.isnan(low) or math.isnan(high) or low <= 0 <= high:
        return "not told apart"
    rises, better = low > 0, next(column.better for column in results.columns if column.key == difference.column)
    if better in ("higher", "lower"):
        return "better" if rises == (better == "higher") else "worse"
    return "higher" if rises else "lower"


def notes_of(results: Results, columns: Sequence[Column]) -> list[str]:
    """Each note of these columns' scores once, with where it holds."""
    found: dict[str, list[str]] = {}
    for column in columns:
        for row, scores in results.scores.items():
            if column.key in scores and scores[column.key].note:
                where = f"{row} ({column.quantity})" if len(columns) > 1 else row
                found.setdefault(scores[column.key].note, []).append(where)
    return [f"{note}: {listed(places, 4)}" for note, places in found.items()]


def listed(words: Sequence[str], most: int) -> str:
    """a; b; and 3 more."""
    more = f"; and {len(words) - most:,} more" if len(words) > most else ""
    return "; ".join(words[:most]) + more


def hashes(column: Column) -> str:
    return short(column.digest)


@dataclass(frozen=True)
class Exclusion:
    """Films that were excluded for one reason. rows: whose; of: the protocols' columns, or `EVERYTHING`. reason: the
    first film's; numbers in it may differ from film to film. keys: of the films, the same ones of each row."""

    rows: list[str]
    of: str
    reason: str
    keys: list[str]


def exclusions(results: Results) -> list[Exclusion]:
    """The most films first. Rows that lack the same films for the same reason stand together."""
    found: dict[tuple[str, str, str], Exclusion] = {}
    for film in results.films:
        for name, reason in film.excluded.items():
            kind = re.sub(r"\d[\d.,]*", "0", reason.replace(film.key, ""))
            new = Exclusion([film.row], EVERYTHING if name == ALL else name, reason, [])
            found.setdefault((film.row, name, kind), new).keys.append(film.key)
    shared: dict[tuple[str, str, tuple[str, ...]], Exclusion] = {}
    for (_, name, kind), each in found.items():
        same = shared.setdefault((name, kind, tuple(sorted(each.keys))), each)
        if same is not each:
            same.rows.extend(each.rows)
    joined: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Exclusion] = {}
    for (_, kind, keys), each in shared.items():
        same = joined.setdefault((kind, keys, tuple(each.rows)), each)
        if same is not each:
            joined[kind, keys, tuple(each.rows)] = replace(same, of=f"{same.of}, {each.of}")
    return sorted(joined.values(), key=lambda each: (-len(each.keys) * len(each.rows), each.of, each.rows))


def excluded_films(results: Results, row: str) -> tuple[int, int]:
    """(films of the row that are excluded from anything, all of its films)."""
    films = [film for film in results.films if film.row == row]
    return sum(bool(film.excluded) for film in films), len(films)


def flat(value: object, above: str = "") -> Iterable[tuple[str, object]]:
    """(a.b.c, value) of nested settings, in their order."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from flat(each, f"{above}.{name}" if above else str(name))
    else:
        yield above, ", ".join(map(str, value)) if isinstance(value, list) else value


def environment_lines(results: Results) -> list[tuple[str, str]]:
    """(name, value) of what the numbers were computed with."""
    found = {name: value for name, value in results.environment.items() if name != CLASS}
    lists = {name: ", ".join(map(str, value)) for name, value in found.items() if isinstance(value, list | tuple)}
    return [(name, lists.get(name, str(value))) for name, value in found.items()]
