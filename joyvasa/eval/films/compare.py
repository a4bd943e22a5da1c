"""Results of several runs beside each other: what may stand in one column does, what may not gets a column of its own.

Columns of one name that may not be one are marked (`column_names`), and a note says what differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.column_names import Identity, Names, column_names, column_notes, identity, references_of
from joyvasa.eval.films.film_scores import FilmScore
from joyvasa.eval.films.results import ALL, Absent, Column, Difference, Film, Results
from joyvasa.eval.films.row_scores import difference
from joyvasa.eval.films.words import bare, listed
from joyvasa.eval.protocol_hash import Protocol, environment_warnings
from joyvasa.eval.protocols import PROTOCOLS

REASONS = 6  # why environments differ, shown
THIS = "this run"  # the one without a label
SEED = 0  # of the resampling of paired differences


def merge(named: Sequence[tuple[str, Results]]) -> Results:
    """One Results of several, each under a label of its own; the first system of the first is the baseline.

    A file's only system is called by its label. Other rows of one name have their labels before them, but a control
    that is the same everywhere stays one row. An empty label names nothing: its rows keep their names. Systems of
    different files are compared film by film, as those of one run are (`row_scores.difference`), where a control row
    shows that they were measured against the same films.
    Raises ValueError for no results, a label given twice, and a metric that is not known.
    """
    labels = [label for label, _ in named]
    if not named or len(set(labels)) < len(labels):
        raise ValueError(f"results to merge called {labels} (expected one or more, each under a name of its own)")
    named = [(label, replace(results, references=references_of(results))) for label, results in named]
    names, rows = column_names(named), _row_names(named)
    parts = [_renamed(label, results, names, rows[label]) for label, results in named]
    first = parts[0]
    merged = replace(
        first,
        title=" and ".join(dict.fromkeys(part.title for part in parts)),
        systems=[row for part in parts for row in part.systems],
        controls=_first_of(part.controls for part in parts),
        columns=_columns(parts),
        stamps={digest: stamp for part in parts for digest, stamp in part.stamps.items()},
        scores=_scores(parts),
        films=_films(parts),
        shares=_first_of(part.shares for part in parts),
        absent=_absent(labels, parts),
        max_excluded=min(part.max_excluded for part in parts),
        settings={label or THIS: part.settings for label, part in zip(labels, parts, strict=True)},
        notes=_notes(named, parts),
        references=_first_of(part.references for part in parts),
    )
    return replace(merged, differences=_differences(parts, merged))


def _row_names(named: Sequence[tuple[str, Results]]) -> dict[str, dict[str, str]]:
    """label -> row -> its name beside the others."""
    counts = Counter(row for _, results in named for row in (*results.systems, *results.controls))
    same = {row for row, count in counts.items() if count > 1 and _one_control(row, [results for _, results in named])}
    taken = {row for row in counts if counts[row] == 1 or row in same}
    names: dict[str, dict[str, str]] = {}
    for label, results in named:
        before = f"{label}: " if label else ""
        rows = (*results.systems, *results.controls)
        names[label] = {row: row if row in taken else f"{before}{row}" for row in rows}
        if len(results.systems) == 1 and label and label not in counts:
            names[label][results.systems[0]] = label
    return names


def _one_control(row: str, parts: Sequence[Results]) -> bool:
    """Whether a row is a control wherever it is, of the same films, with equal scores where hashes are equal."""
    if any(row in part.systems for part in parts):
        return False
    found = [_control(row, part) for part in parts if row in part.controls]
    first, *others = found
    return all(
        other.films == first.films
        and all(other.scores[key] == first.scores[key] for key in other.scores.keys() & first.scores.keys())
        for other in others
    )


@dataclass(frozen=True)
class _Control:
    films: dict[str, str | None]
    scores: dict[tuple[Identity, str], str]


def _control(row: str, results: Results) -> _Control:
    films = {film.key: film.sha256 for film in results.films if film.row == row}
    measured = results.scores.get(row, {})
    # As text: NaN is not equal to itself.
    scores = {(identity(results, c), c.quantity): repr(measured[c.key]) for c in results.columns if c.key in measured}
    return _Control(films, scores)


def _renamed(label: str, results: Results, names: Names, rows: Mapping[str, str]) -> Results:
    """The results with the rows' and the columns' names of the merged ones."""
    columns = [replace(c, name=names[bare(c.name), identity(results, c)]) for c in results.columns]
    name = {old.name: new.name for old, new in zip(results.columns, columns, strict=True)} | {ALL: ALL}
    key = {old.key: new.key for old, new in zip(results.columns, columns, strict=True)}

    def film(old: Film) -> Film:
        return replace(
            old,
            row=rows[old.row],
            values={key[each]: value for each, value in old.values.items()},
            excluded={name.get(each, each): reason for each, reason in old.excluded.items()},
            curves={name.get(each, each): curve for each, curve in old.curves.items()},
            weights={name.get(each, each): weight for each, weight in old.weights.items()},
            offsets={name.get(each, each): offsets for each, offsets in old.offsets.items()},
        )

    return replace(
        results,
        systems=[rows[row] for row in results.systems],
        controls={rows[row]: said for row, said in results.controls.items()},
        columns=columns,
        scores={rows[row]: {key[k]: score for k, score in found.items()} for row, found in results.scores.items()},
        differences=[Difference(rows[d.system], rows[d.baseline], key[d.column], d.score) for d in results.differences],
        films=[film(old) for old in results.films],
        shares={
            rows[row]: {name.get(k, k): share for k, share in found.items()} for row, found in results.shares.items()
        },
        notes=[f"{label}: {note}" if label else note for note in results.notes],
        references={name[each]: reference for each, reference in results.references.items()},
    )


def _columns(parts: Sequence[Results]) -> list[Column]:
    """Each once; those of one name beside each other, whatever their hash."""
    found = {column.key: column for part in reversed(parts) for column in part.columns}
    order = {name: place for place, name in enumerate(dict.fromkeys(bare(c.name) for p in parts for c in p.columns))}
    given = list(dict.fromkeys(column.key for part in parts for column in part.columns))
    digests = list(dict.fromkeys(column.digest for part in parts for column in part.columns))
    return sorted((found[key] for key in given), key=lambda c: (order[bare(c.name)], digests.index(c.digest)))


def _first_of(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All names in their order, each with the first that is given."""
    found: dict[str, Any] = {}
    for table in tables:
        found |= {name: value for name, value in table.items() if name not in found}
    return found


def _scores(parts: Sequence[Results]) -> dict[str, dict[str, Score]]:
    found: dict[str, dict[str, Score]] = {}
    for part in parts:
        for row, scores in part.scores.items():
            found[row] = {**scores, **found.get(row, {})}
    return found


def _films(parts: Sequence[Results]) -> list[Film]:
    """A film of a row that several results share is one, with the numbers of all."""
    found: dict[tuple[str, str], Film] = {}
    for film in (film for part in parts for film in part.films):
        same = found.get((film.row, film.key))
        found[film.row, film.key] = film if same is None else replace(
            same,
            facts={**film.facts, **same.facts},
            values={**film.values, **same.values},
            excluded={**film.excluded, **same.excluded},
            curves={**film.curves, **same.curves},
            weights={**film.weights, **same.weights},
            offsets={**film.offsets, **same.offsets},
            photo=same.photo or film.photo,
            picture=same.picture or film.picture,
        )  # fmt: skip
    return list(found.values())


def _absent(labels: Sequence[str], parts: Sequence[Results]) -> list[Absent]:
    """What one of them computed may be absent from another: it is said of which."""
    where: dict[Absent, list[str]] = {}
    for label, part in zip(labels, parts, strict=True):
        for each in part.absent:
            where.setdefault(each, []).append(label or THIS)
    return [
        each if len(found) == len(labels) else Absent(each.name, f"{', '.join(found)}: {each.reason}")
        for each, found in where.items()
    ]


def _notes(named: Sequence[tuple[str, Results]], parts: Sequence[Results]) -> list[str]:
    notes = column_notes(named)
    (label, reference), *rest = named
    for other, results in rest:
        found = environment_warnings(reference.environment, results.environment)
        if found:
            notes.append(f"Environments of {label or THIS} and {other or THIS} differ: {listed(found, REASONS)}")
    return notes + [note for part in parts for note in part.notes]


def _differences(parts: Sequence[Results], merged: Results) -> list[Difference]:
    """Those of the files, and those of systems of other files from the first system of the first."""
    found = [difference for part in parts for difference in part.differences]
    baseline = merged.systems[0] if merged.systems else ""
    for part in parts[1:]:
        if _same_reference(parts[0], part):
            for system in part.systems:
                for column in merged.columns:
                    found += _paired(merged, system, baseline, column)
    return found


def _same_reference(one: Results, other: Results) -> bool:
    """Whether they share a control row: it has one name only where its films are the same, to the byte."""
    shared = one.controls.keys() & other.controls.keys()
    return any(film.row in shared and film.sha256 for film in one.films)


def _paired(merged: Results, system: str, baseline: str, column: Column) -> list[Difference]:
    sides = [_film_scores(merged, row, column) for row in (system, baseline)]
    score = difference(_protocol_like(column), column.quantity, *sides, SEED)
    return [Difference(system, baseline, column.key, score)] if score.n else []


def _film_scores(results: Results, row: str, column: Column) -> dict[str, FilmScore]:
    """One number of a row's films, as they were scored."""
    return {
        film.key: FilmScore(
            {column.quantity: film.values[column.key]},
            weight=film.weights.get(column.name, 1.0),
            offsets=film.offsets.get(column.name) or [film.values[column.key]],
        )
        for film in results.films
        if film.row == row and column.key in film.values
    }


def _protocol_like(column: Column) -> Protocol:
    """Any of the metric: what rows differ by is found alike for all of them."""
    for protocol in PROTOCOLS.values():
        if protocol.metric == column.metric:
            return protocol
    raise ValueError(f"{column.name}: a protocol of {column.metric!r}, which is not known here; update joyvasa")
