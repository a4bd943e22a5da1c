"""`results.json`: a run's results as a file that reads back equal, pictures apart.

A film a line. What is not finite is written as null (NaN), "inf" and "-inf". Every stamp is checked against its hash
when it is read, so numbers cannot come to stand under another protocol than they were measured by.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from numbers import Real
from pathlib import Path
from typing import Any

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.results import Absent, Column, Difference, Film, Results
from joyvasa.eval.protocol_hash import hash_of
from joyvasa.io.files import replacing

FILE = "results.json"
FORMAT = 2
_FORMAT, _FILMS = "format", "films"
_INFINITE = {"inf": math.inf, "-inf": -math.inf}


def write_results(path: Path, results: Results) -> None:
    """Write results.json whole or not at all. Raises OSError for a full disk."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_lines(results))


def _lines(results: Results) -> Iterator[str]:
    yield f'{{\n"{_FORMAT}": {FORMAT},\n'
    for field in fields(Results):
        if field.name != _FILMS:
            yield f'"{field.name}": {_text(_plain(getattr(results, field.name)), indent=1)},\n'
    yield f'"{_FILMS}": ['
    for place, film in enumerate(results.films):
        told = {field.name: _plain(getattr(film, field.name)) for field in fields(Film) if field.name != "picture"}
        told["facts"] = {name: _fact(value) for name, value in film.facts.items()}
        yield f"{',' if place else ''}\n{_text(told)}"
    yield "\n]\n}\n"


def _text(value: Any, indent: int | None = None) -> str:
    # ASCII: a file's name may be no UTF-8.
    return json.dumps(value, allow_nan=False, ensure_ascii=True, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, Real) and not isinstance(value, bool | int):  # numpy's numbers too
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain(asdict(value)) if isinstance(value, Column | Score | Absent | Difference) else value


def _fact(value: float | str) -> Any:
    """A fact may be a word: what is not finite is set apart from words like it."""
    return value if isinstance(value, str) or math.isfinite(value) else [_plain(float(value))]


def read_results(path: Path) -> Results:
    """The results of a file of `write_results`; films have no pictures.

    Raises FileNotFoundError, or ValueError naming the file: no such file, damaged, changed, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the {FILE} that task=evaluate or task=benchmark wrote")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        version = told[_FORMAT]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if version != FORMAT:
        older = isinstance(version, int) and version < FORMAT
        step = "run task=evaluate again, which reads no film twice" if older else "update joyvasa"
        raise ValueError(f"{path}: results of format {version!r} (this version reads {FORMAT}); {step}")
    try:
        results = _results(told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    _check(path, results)
    return results


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"{path}: not the whole results of a run ({what}); run task=evaluate again")


def _check(path: Path, results: Results) -> None:
    for digest, stamp in results.stamps.items():
        if hash_of(stamp) != digest:
            raise _damaged(path, f"the stamp of {digest[:12]} has the hash {hash_of(stamp)[:12]}: it was changed")
    missing = [column.key for column in results.columns if column.digest not in results.stamps]
    if missing:
        raise _damaged(path, f"no stamp for {', '.join(missing)}")
    rows, keys = {*results.systems, *results.controls}, {column.key for column in results.columns}
    strange = sorted({film.row for film in results.films} - rows) + sorted(set(results.scores) - rows)
    strange += sorted({key for scores in results.scores.values() for key in scores} - keys)
    strange += sorted({key for film in results.films for key in film.values} - keys)
    strange += sorted({each.column for each in results.differences} - keys)
    strange += sorted(results.references.keys() - {column.name for column in results.columns})
    if strange:
        raise _damaged(path, f"scores of {strange[0]!r}, which is no row and no column of it")


def _results(told: Mapping[str, Any]) -> Results:
    return Results(
        title=_word(told["title"]),
        systems=[_word(row) for row in _list(told["systems"])],
        controls=_map(told["controls"], _word),
        columns=[Column(**_map(column, _word)) for column in _list(told["columns"])],
        stamps=_map(told["stamps"], dict),
        scores=_map(told["scores"], lambda scores: _map(scores, _score)),
        differences=[_difference(each) for each in _list(told["differences"])],
        films=[_film(each) for each in _list(told[_FILMS])],
        absent=[Absent(**_map(each, _word)) for each in _list(told["absent"])],
        shares=_map(told["shares"], lambda shares: _map(shares, _number)),
        max_excluded=_number(told["max_excluded"]),
        environment=_map(told["environment"]),
        settings=_map(told["settings"]),
        notes=[_word(note) for note in _list(told["notes"])],
        references=_map(told["references"], _word),
    )


def _difference(told: Mapping[str, Any]) -> Difference:
    return Difference(told["system"], told["baseline"], told["column"], _score(told["score"]))


def _score(told: Mapping[str, Any]) -> Score:
    low, value, high = (_number(told[name]) for name in ("low", "value", "high"))
    return Score(value, low, high, int(told["n"]), _word(told["note"]))


def _film(told: Mapping[str, Any]) -> Film:
    facts = _map(told["facts"], lambda fact: _number(fact[0]) if isinstance(fact, list) else fact)
    return Film(
        row=_word(told["row"]),
        key=_word(told["key"]),
        path=told["path"],
        sha256=told["sha256"],
        facts=facts,
        values=_map(told["values"], _number),
        excluded=_map(told["excluded"], _word),
        curves=_map(told["curves"], _numbers),
        weights=_map(told["weights"], _number),
        offsets=_map(told["offsets"], _numbers),
        photo=told["photo"],
    )


def _map(value: Any, each: Callable[[Any], Any] = lambda same: same) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{str(value)[:60]!r} (expected names with values)")
    return {name: each(item) for name, item in value.items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{str(value)[:60]!r} (expected a list)")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:60]!r} (expected words)")
    return value


def _numbers(value: Any) -> list[float]:
    return [_number(each) for each in _list(value)]


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value in _INFINITE:
        return _INFINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:60]!r} (expected a number)")
    return float(value)
