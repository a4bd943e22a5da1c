"""From readings to results: every film's numbers, the rows' means, the controls, what differs between systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.controls import LATE, OTHER, REAL_FLOOR, SAID, control_scores
from joyvasa.eval.films.film_scores import LOWER, QUANTITIES, FilmScore, Rules, score_film, voice_facts
from joyvasa.eval.films.gauge import Reading, Unfit
from joyvasa.eval.films.pairing import REFERENCE, Pairing
from joyvasa.eval.films.passing import FilmRead
from joyvasa.eval.films.plan import PICTURE, Asked, Plan
from joyvasa.eval.films.readings import LazyReadings, reading_of
from joyvasa.eval.films.results import ALL, Column, Difference, Film, Results
from joyvasa.eval.films.row_scores import difference, mean_score
from joyvasa.eval.films.run import Reads
from joyvasa.eval.films.set_scores import Corpus, SetDistances, sampling_of
from joyvasa.eval.films.store import Store
from joyvasa.eval.films.words import listed
from joyvasa.eval.protocol_fields import LipSync
from joyvasa.eval.protocol_hash import environment, environment_warnings, plain
from joyvasa.eval.quality import SAME_RATE
from joyvasa.markup import counted

EQUAL_NAMED = 5  # videos that are named in a note


@dataclass
class _Scored:
    """Of one row. films: column -> key -> score. excluded: key -> column, or ALL -> reason."""

    films: dict[str, dict[str, FilmScore]] = field(default_factory=dict)
    excluded: dict[str, dict[str, str]] = field(default_factory=dict)

    def exclude(self, key: str, column: str, reason: str) -> None:
        self.excluded.setdefault(key, {})[column] = reason

    def take(self, key: str, column: str, score: FilmScore | Unfit) -> None:
        if isinstance(score, Unfit):
            self.exclude(key, column, str(score))
        else:
            self.films[column][key] = score
            if score.excluded:
                self.exclude(key, column, score.excluded)


class Assembler:
    """systems: the rows in the order they were given. The readings have to be in the store."""

    def __init__(self, plan: Plan, pairing: Pairing, reads: Reads, store: Store, rules: Rules, seed: int) -> None:
        self._plan, self._pairing, self._reads = plan, pairing, reads
        self._store, self._rules, self._seed = store, rules, seed
        self._rows: dict[str, _Scored] = {}
        self._scores: dict[str, dict[str, Score]] = {}
        self._set_differences: dict[tuple[str, str], Score] = {}  # system, column -> from the first system
        self._columns: list[Column] = []
        self._libraries: set[tuple[str, ...]] = set()

    def results(self, systems: list[str], title: str, settings: dict[str, Any]) -> Results:
        rows = [*systems, *([REFERENCE] if REFERENCE in self._pairing.faults else [])]
        for row in rows:
            self._rows[row] = self._with_faults(row)
        for asked in self._plan.asked:
            if asked.protocol.metric in QUANTITIES:
                self._score_films(asked, rows)
            else:
                self._score_sets(asked, systems)
        films = [film for row in self._rows for film in self._films_of(row)]
        return Results(
            title=title,
            systems=systems,
            controls={row: said for row, said in SAID.items() if row in self._rows or row in self._scores},
            columns=self._columns,
            stamps={asked.digest: asked.stamp for asked in self._plan.asked},
            scores=self._scores,
            differences=self._differences(systems),
            films=films,
            absent=self._plan.absent,
            shares={row: self._shares(row) for row in rows},
            max_excluded=self._rules.max_excluded,
            environment=plain(environment()),
            settings=settings,
            notes=[*self._plan.notes, *self._equal_films(), *self._changed_libraries()],
        )

    def _equal_films(self) -> list[str]:
        """Files of one content in two rows: read once, and their comparison says nothing."""
        found: dict[tuple[str, str], list[str]] = {}
        for key, films in self._reads.items():
            for one, other in combinations(films, 2):
                if films[one].sha256 is not None and films[one].sha256 == films[other].sha256:
                    found.setdefault((one, other), []).append(key)
        notes = []
        for (one, other), keys in found.items():
            place = (
                f"{counted(len(keys), 'video')} of {one}, the same bytes as in {other} ({listed(keys, EQUAL_NAMED)})"
            )
            notes.append(f"{place}: read once; what compares them compares a video with itself")
        return notes

    def _changed_libraries(self) -> list[str]:
        """Readings may be older than this environment: that it may differ is said, as between two results."""
        now = plain(environment())
        found = {w for then in self._libraries for w in environment_warnings(now, now | {"libraries": list(then)})}
        return [f"some films were read earlier, with other versions: {warning}" for warning in sorted(found)]

    def _with_faults(self, row: str) -> _Scored:
        """What excludes films from every metric: they are not there, or cannot be read."""
        scored = _Scored()
        for key, reason in self._pairing.faults[row].items():
            scored.exclude(key, ALL, reason)
        for key, films in self._reads.items():
            if row in films and films[row].fault is not None:
                scored.exclude(key, ALL, films[row].fault)
        return scored

    def _readings(self, row: str, instrument: str | None) -> Iterator[tuple[str, Reading]]:
        """Of all films of a row that could be read, one after the other."""
        for key, films in self._reads.items():
            if row in films and films[row].fault is None and instrument in films[row].keys:
                reading = reading_of(self._store, films[row], instrument)
                if reading.libraries:
                    self._libraries.add(reading.libraries)
                yield key, reading

    def _score_films(self, asked: Asked, rows: list[str]) -> None:
        quantities = QUANTITIES[asked.protocol.metric]
        columns = [
            Column(asked.protocol.metric, asked.column, name, asked.digest, better, unit)
            for name, (better, unit) in quantities.items()
        ]
        self._columns += columns
        for row in rows:
            instrument = asked.reference if row == REFERENCE else asked.generated
            self._rows[row].films[asked.column] = {}
            for key, reading in self._readings(row, instrument) if instrument else ():
                self._rows[row].take(key, asked.column, _tried(asked, reading, self._rules))
        if isinstance(asked.protocol, LipSync) and REFERENCE in rows:
            self._score_controls(asked, asked.protocol)
        for row, scored in self._rows.items():
            films = scored.films.get(asked.column)
            if films is None or (row == REFERENCE and asked.reference is None):
                continue
            for column in columns:
                score = mean_score(asked.protocol, column.quantity, films, self._seed)
                self._scores.setdefault(row, {})[column.key] = score

    def _score_controls(self, asked: Asked, protocol: LipSync) -> None:
        readings = LazyReadings(self._store, REFERENCE, asked.reference, self._reads)
        for row in (LATE, OTHER):
            self._rows.setdefault(row, _Scored()).films[asked.column] = {}
        for row, key, score in control_scores(protocol, readings, self._rules):
            self._rows[row].take(key, asked.column, score)

    def _score_sets(self, asked: Asked, systems: list[str]) -> None:
        protocol: Corpus = asked.protocol
        column = Column(protocol.metric, asked.column, "distance", asked.digest, LOWER, "")
        self._columns.append(column)
        for row, instrument in ((REFERENCE, asked.reference), *((row, asked.generated) for row in systems)):
            for key, reading in self._readings(row, instrument):
                fault = reading.fault or self._other_rate(asked, row, key)
                if fault is not None:
                    self._rows[row].exclude(key, asked.column, fault)
        made = {row: partial(self._whole, asked, row, asked.generated) for row in systems}
        distances = SetDistances(protocol, partial(self._whole, asked, REFERENCE, asked.reference), made)
        for row in systems:
            found = distances.scores(row)
            self._scores.setdefault(row, {})[column.key] = found["distance"]
            if "real_floor" in found:
                self._scores.setdefault(REAL_FLOOR, {})[column.key] = found["real_floor"]
        for row in systems[1:]:
            self._set_differences[row, column.key] = distances.difference(row, systems[0])

    def _whole(self, asked: Asked, row: str, instrument: str | None) -> Iterator[tuple[str, Reading]]:
        excluded = {key for key, each in self._rows[row].excluded.items() if asked.column in each}
        return ((key, reading) for key, reading in self._readings(row, instrument) if key not in excluded)

    def _other_rate(self, asked: Asked, row: str, key: str) -> str | None:
        """Clips of another frame rate show another speed."""
        films = self._reads[key]
        if sampling_of(asked.protocol).frames == 1 or row == REFERENCE or REFERENCE not in films:
            return None
        readings = [reading_of(self._store, films[each], PICTURE) for each in (row, REFERENCE) if films[each].keys]
        rates = [reading.facts["fps"] for reading in readings if "fps" in reading.facts]
        if len(rates) < 2 or abs(rates[0] / rates[1] - 1) < SAME_RATE:
            return None
        return f"{rates[0]:g} frames a second (expected the reference's {rates[1]:g})"

    def _films_of(self, row: str) -> Iterator[Film]:
        """Not those that nobody asked the row for: films of another system, without a counterpart in the reference."""
        scored, control = self._rows[row], row in (LATE, OTHER)
        with_photo = REFERENCE if REFERENCE in self._pairing.faults else row
        for group in self._pairing.groups:
            read = self._reads[group.key].get(REFERENCE if control else row)
            found = {name: films[group.key] for name, films in scored.films.items() if group.key in films}
            excluded = scored.excluded.get(group.key, {})
            if found or excluded or (read and not control):
                film = self._film(row, group.key, read, found, excluded)
                yield replace(film, photo=group.photo_sha256()) if row == with_photo else film

    def _film(
        self, row: str, key: str, read: FilmRead | None, found: Mapping[str, FilmScore], excluded: Mapping[str, str]
    ) -> Film:
        reading = reading_of(self._store, read, PICTURE) if read and PICTURE in read.keys else Reading({})
        facts: dict[str, float | str] = dict(reading.facts)
        for asked in self._plan.asked if read else ():
            instrument = asked.reference if row in (REFERENCE, LATE, OTHER) else asked.generated
            if isinstance(asked.protocol, LipSync) and asked.column in excluded and instrument in read.keys:
                facts |= voice_facts(reading_of(self._store, read, instrument).facts)
        for score in found.values():
            facts |= score.facts
        return Film(
            row=row,
            key=key,
            path=str(read.path) if read else None,
            sha256=read.sha256 if read else None,
            facts=facts,
            values={f"{name}/{each}": value for name, score in found.items() for each, value in score.values.items()},
            excluded=dict(excluded),
            curves={name: score.curve for name, score in found.items() if score.curve},
            weights={name: score.weight for name, score in found.items() if score.weight != 1},
            offsets={name: list(map(float, score.offsets)) for name, score in found.items() if len(score.offsets)},
            picture=reading.arrays["jpeg"].tobytes() if reading.arrays and row not in (LATE, OTHER) else None,
        )

    def _shares(self, row: str) -> dict[str, float]:
        excluded = self._rows[row].excluded.values()
        asked = [group.key for group in self._pairing.groups if row in group.films]
        total = max(1, len(set(asked) | self._pairing.faults[row].keys()))
        names = [each.column for each in self._plan.asked if row != REFERENCE or each.reference is not None]
        return {name: sum(ALL in each or name in each for each in excluded) / total for name in names}

    def _differences(self, systems: list[str]) -> list[Difference]:
        found, protocols = [], {asked.column: asked.protocol for asked in self._plan.asked}
        for system in systems[1:]:
            for column in self._columns:
                sides = [self._rows[row].films.get(column.name) for row in (system, systems[0])]
                score = self._set_differences.get((system, column.key))
                if None not in sides:
                    score = difference(protocols[column.name], column.quantity, sides[0], sides[1], self._seed)
                if score is not None:
                    found.append(Difference(system, systems[0], column.key, score))
        return found


def _tried(asked: Asked, reading: Reading, rules: Rules) -> FilmScore | Unfit:
    try:
        return score_film(asked.protocol, reading, rules)
    except Unfit as error:
        return error
