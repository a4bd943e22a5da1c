"""results.json: what is written reads back equal, and what was changed, cut or is newer is refused by name."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, replace

import pytest

from joyvasa.eval.films.results_file import read_results, write_results
from tests.eval.films.made import made


@pytest.fixture(scope="module")
def results():
    return made(6)


def _said(results) -> str:
    """NaN is not equal to itself; its name is."""
    return repr({name: [replace(f, picture=None) for f in results.films] if name == "films" else value
                 for name, value in vars(results).items()})  # fmt: skip


def test_what_is_written_reads_back_equal(tmp_path, results):
    strange = {"a": math.inf, "b": -math.inf, "c": math.nan, "d": "inf", "e": "null", "f": 1e-300, "g": "\udcff,\n\"'"}
    sync = results.columns[0].name
    film = replace(results.films[0], key="\udcff\u6f14 \n", path=None, sha256=None, facts=strange, photo="ab" * 32)
    film = replace(film, weights={sync: 3.0}, offsets={sync: [-2.0, 0.0, 5.0]})
    references = {sync: "films-" + "cd" * 32}
    told = replace(results, films=[*results.films, film], title="a\u202e<b>", references=references)
    path = tmp_path / "deep" / "results.json"
    write_results(path, told)
    assert _said(read_results(path)) == _said(told)
    first = path.read_bytes()
    write_results(path, read_results(path))
    assert path.read_bytes() == first and first.isascii() and not list(path.parent.glob("*.tmp"))
    json.loads(first, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_pictures_are_left_out(tmp_path, results):
    assert results.films[0].picture
    write_results(tmp_path / "r.json", results)
    assert all(film.picture is None for film in read_results(tmp_path / "r.json").films)


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, results):
    path = tmp_path / "results.json"
    write_results(path, results)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_results(path, replace(results, settings={"a": object()}))
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["results.json"]


def test_a_file_that_is_cut_anywhere_is_refused_by_name(tmp_path, results):
    whole, cut = tmp_path / "whole.json", tmp_path / "cut.json"
    write_results(whole, results)
    data = whole.read_bytes()
    for stop in [0, 1, 15, *random.Random(0).sample(range(len(data) - 2), 25)]:
        cut.write_bytes(data[:stop])
        with pytest.raises(ValueError, match="cut.json: not the whole results"):
            read_results(cut)


def _fill(told, *path, value):
    *above, last = path
    for name in above:
        told = told[name]
    told[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("systems",), "joyvasa"), (("films", 0, "row"), "nobody"), (("films", 0, "values"), {"x": "high"}),
        (("films", 0, "values"), {"x": 1.0}),
        (("differences", 0, "column"), "x"), (("references",), {"x": "films-0"}), (("films", 0, "offsets"), {"x": 1.0}),
        (("columns", 0, "digest"), "0" * 64), (("columns", 0, "size"), "1"), (("max_excluded",), True),
        (("scores", "joyvasa"), []), (("notes",), [1]), (("stamps",), {}), (("films",), None), (("title",), None),
    ],
)  # fmt: skip
def test_a_file_with_something_else_in_it_is_refused(tmp_path, results, path, value):
    file = tmp_path / "results.json"
    write_results(file, results)
    told = json.loads(file.read_text())
    _fill(told, *path, value=value)
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="results.json: not the whole results"):
        read_results(file)


def test_a_parameter_changed_in_the_file_no_longer_gives_its_hash(tmp_path, results):
    file = tmp_path / "results.json"
    write_results(file, results)
    file.write_text(file.read_text().replace('"max_shift": 15', '"max_shift": 10'))
    with pytest.raises(ValueError, match="it was changed"):
        read_results(file)


def test_a_newer_file_and_none_at_all_are_named(tmp_path, results):
    file = tmp_path / "results.json"
    write_results(file, results)
    file.write_text(file.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(ValueError, match="results.json: results of format 3 .*update"):
        read_results(file)
    with pytest.raises(FileNotFoundError, match="none.json: no such file"):
        read_results(tmp_path / "none.json")


def test_an_older_file_says_what_to_run_again(tmp_path, results):
    """It has neither the weights of films nor the offsets of tracks, without which no difference is right."""
    file = tmp_path / "results.json"
    write_results(file, results)
    told = json.loads(file.read_text())
    for film in told["films"]:
        del film["weights"], film["offsets"], film["photo"]
    del told["references"]
    file.write_text(json.dumps(told | {"format": 1}))
    with pytest.raises(ValueError, match="results of format 1 .*run task=evaluate again, which reads no film twice"):
        read_results(file)


def test_the_fixture_holds_what_reports_have_to_bear(results):
    values = [value for film in results.films for value in film.values.values()]
    assert math.inf in values and any(map(math.isnan, values)) is (len(results.films) > 60)
    assert any(column.name.endswith("-untrained") for column in results.columns)
    assert all(name in asdict(results) for name in ("systems", "controls")) and results.too_many_excluded()
