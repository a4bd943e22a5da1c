"""What every form of the report says in the same words: figures, headings, verdicts, reasons of exclusion."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from joyvasa.eval.bootstrap import LEAST_FOR_INTERVAL, Score
from joyvasa.eval.films.results import ALL, OFFSET, Column, Difference, Results
from joyvasa.eval.protocol_hash import CLASS, UNTRAINED, short
from joyvasa.markup import counted

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→0", "": ""}
MEANINGS = {"higher": "higher is better", "lower": "lower is better", "zero": "best near 0", "": "neither end is good"}
EARLY = "positive: the voice comes too early"  # of offsets
EVERYTHING = "every metric"
MARK = "#"  # between a column's name and its hash, where results of several runs stand beside each other
FEWEST = LEAST_FOR_INTERVAL  # films in common, below which no system is called better than another
NUMBER = re.compile(r"(?<![\w.])(?<!\w-)-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w|\.\w)")  # in a reason; not the digits of a name
WARNING = (
    f"Columns whose name ends in {UNTRAINED} were measured by networks with random weights: they show that the "
    "computation runs, and nothing about the films."
)
READING = (
    "A value is followed by its 95 % interval over films (bootstrap; of distances between sets of films, jackknife) "
    f"and the number of films it was measured on. A mean of fewer than {LEAST_FOR_INTERVAL} films has no interval, nor "
    "has a distance of one film: the notes say which. Numbers are comparable within a column alone: each has a hash of "
    "its protocol, its judge's weights and the way of the pixels and the sound."
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


def meaning(column: Column) -> str:
    """Which end is good, and what the sign says."""
    sign = f" ({EARLY})" if column.quantity.rpartition("/")[2] == OFFSET else ""
    return MEANINGS[column.better] + sign


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


def summary_columns(results: Results) -> list[Column]:
    """What the table at the top shows: of each metric its first protocol, by the numbers of `first_columns`. Where
    several runs are side by side, that protocol's columns of all of them."""
    first: dict[str, str] = {}
    for column in results.columns:
        first.setdefault(column.metric, bare(column.name))
    return [column for column in first_columns(results) if bare(column.name) == first[column.metric]]


def measured(results: Results, rows: Iterable[str], columns: Iterable[Column]) -> list[str]:
    """The rows that have at least one of these numbers."""
    keys = {column.key for column in columns}
    return [row for row in rows if keys & set(results.scores.get(row, {}))]


def untrained(results: Results) -> bool:
    return any(bare(column.name).endswith(UNTRAINED) for column in results.columns)


def verdict_of(results: Results, difference: Difference) -> str:
    """better, worse, higher, lower, or "not told apart" where the interval holds 0 or the films are too few."""
    low, high, films = difference.score.low, difference.score.high, difference.score.n
    if films < FEWEST:
        return f"not told apart ({counted(films, 'film')})"
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
    """Of its protocol, and of what else its name is marked with: the reference films of one run among several."""
    return " ".join(dict.fromkeys([short(column.digest), *column.name.split(MARK)[1:]]))


@dataclass(frozen=True)
class Exclusion:
    """Films that were excluded for one reason. rows: whose; names: of the protocols' columns, or `EVERYTHING`; keys: of
    the films, the same ones of each row. reasons: theirs, which differ in numbers and in the films' own names."""

    rows: list[str]
    names: list[str]
    keys: list[str]
    reasons: list[str]

    @property
    def of(self) -> str:
        return ", ".join(self.names)

    @property
    def reason(self) -> str:
        """Theirs in one sentence, a number that differs as a range: 3 to 40 frames (expected the reference's 50)."""
        first, *others = dict.fromkeys(self.reasons)
        if any(NUMBER.split(each) != NUMBER.split(first) for each in others):
            return f"for example {first}"
        ranges = iter(map(_range, zip(*map(NUMBER.findall, [first, *others]), strict=True)))
        return NUMBER.sub(lambda _: next(ranges), first)


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(numbers, key=lambda number: float(number.replace(",", "")))
    least, most = ordered[0], ordered[-1]
    return least if least == most else f"{least} to {most}"


def exclusions(results: Results) -> list[Exclusion]:
    """The most films first. Rows that lack the same films for the same reason stand together."""
    found: dict[tuple[str, str, str], Exclusion] = {}
    for film in results.films:
        for name, reason in film.excluded.items():
            new = Exclusion([film.row], [EVERYTHING if name == ALL else name], [], [])
            each = found.setdefault((film.row, name, _kind(reason, film.key)), new)
            each.keys.append(film.key)
            each.reasons.append(reason)
    shared: dict[tuple[str, str, tuple[str, ...]], Exclusion] = {}
    for (_, name, kind), each in found.items():
        same = shared.setdefault((name, kind, tuple(sorted(each.keys))), each)
        if same is not each:
            same.rows.extend(each.rows)
            same.reasons.extend(each.reasons)
    joined: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Exclusion] = {}
    for (_, kind, keys), each in shared.items():
        same = joined.setdefault((kind, keys, tuple(each.rows)), each)
        if same is not each:
            same.names.extend(each.names)
            same.reasons.extend(each.reasons)
    return sorted(joined.values(), key=lambda each: (-len(each.keys) * len(each.rows), each.of, each.rows))


def _kind(reason: str, key: str) -> str:
    """The reason without numbers and without the film's name: with an ending, or alone where it is no word like `a`."""
    name = key.rpartition("/")[2]
    if name in reason:
        alone = key if name.isalpha() else name
        ends = rf"{re.escape(name)}\.\w+" if alone.isalpha() else rf"(?:{re.escape(name)}\.\w+|{re.escape(alone)})"
        reason = re.sub(rf"(?<![\w.-])(?:[^\s,;:'\"]*/)?{ends}(?![\w-])", "0", reason)
    return NUMBER.sub("0", reason)


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
