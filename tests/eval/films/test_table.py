"""results.csv holds every film with all digits; results.md every score with interval, films and hash."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import pytest

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.results import ALL, Difference
from joyvasa.eval.films.table import markdown, write_csv, write_markdown
from joyvasa.eval.films.words import (
    ARROWS,
    FEWEST,
    exclusions,
    figure,
    hashes,
    meaning,
    summary_columns,
    told,
    verdict_of,
)
from tests.eval.films.made import CONTROLS, SYSTEMS, made
from tests.parsed_page import HOSTILE


@pytest.fixture(scope="module")
def results():
    return made()


def _read(path) -> tuple[list[str], list[dict[str, str]]]:
    text = path.read_bytes().decode()
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert text.endswith("\r\n") and {len(line) for line in lines} == {len(lines[0])}
    return lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_every_film_has_a_line_with_all_digits_or_the_reason(tmp_path, results):
    write_csv(tmp_path / "r.csv", results)
    head, lines = _read(tmp_path / "r.csv")
    assert len(lines) == len(results.films) and len(head) == len(set(head))
    assert head[:9] == ["row", "key", "path", "sha256", "seconds", "frames", "fps", "width", "height"]
    for film, line in zip(results.films, lines, strict=True):
        assert (line["row"], line["key"], line["sha256"]) == (film.row, film.key, film.sha256)
        for column in results.columns:
            value, cell = film.values.get(column.key), line[column.key]
            same = cell == "" if value is None else float(cell) == value or (math.isnan(value) and cell == "nan")
            assert same, column.key
        for name in {column.name for column in results.columns}:
            assert line[f"excluded/{name}"] == film.excluded.get(name, "")
        assert line["excluded"] == film.excluded.get(ALL, "")
    assert any(line["excluded"] == "no sound track" for line in lines)


@pytest.mark.parametrize("name", [*HOSTILE, 'a"b,c\r\nd', "\ud800"])
def test_no_name_breaks_a_line_of_the_csv(tmp_path, results, name):
    films = [replace(results.films[0], key=name, path=None, sha256=None, excluded={ALL: name}), results.films[1]]
    write_csv(tmp_path / "r.csv", replace(results, films=films))
    _, lines = _read(tmp_path / "r.csv")
    assert len(lines) == 2 and lines[1]["key"] == films[1].key
    assert lines[0]["key"] == lines[0]["excluded"] and name.isprintable() <= (lines[0]["key"] == name)


def test_every_score_stands_with_interval_films_and_hash(tmp_path, results):
    write_markdown(tmp_path / "r.md", results)
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    for row, scores in results.scores.items():
        for score in scores.values():
            value, interval = told(score)
            cell = " ".join(part for part in (value, interval, f"n {score.n}") if part)
            assert any(line.startswith("| ") and row in line and f"| {cell} |" in line for line in text.splitlines())
    for column in results.columns:
        assert f"`{column.digest[:12]}`" in text
    for sentence in (*CONTROLS.values(), *results.notes, *results.too_many_excluded()):
        assert sentence in text
    for absent in results.absent:
        assert f"- {absent.name}: {absent.reason}" in text
    assert "random weights" in text and "numpy 2.3.0" in text and "*truth* (control)" in text and "∞" in text


def test_tables_are_whole_whatever_names_hold(results):
    for name in (*HOSTILE, "a|b", "`x`", "**b**", "[l](http://x)", "# h", "a\u2028b"):
        text, plain = (
            markdown(replace(results, systems=[each], title=each, notes=[each], scores={each: results.scores["truth"]}))
            for each in (name, "plain")
        )
        assert len(text.splitlines()) == len(plain.splitlines())
        for line, other in zip(text.splitlines(), plain.splitlines(), strict=True):
            assert line.replace("\\|", "").count("|") == other.count("|")


def test_nothing_that_is_not_there_gets_a_heading(results):
    text = markdown(replace(results, controls={}, absent=[], notes=[], differences=[], films=[]))
    for heading in ("Control rows", "Not computed", "Notes", "Differences"):
        assert heading not in text
    assert "## Excluded\n\nNo film." in text


def test_ten_thousand_films_of_ten_thousand_reasons_are_a_short_text(results):
    films = [replace(results.films[0], key=f"f{n}", excluded={ALL: f"reason {chr(0x4E00 + n)}"}) for n in range(10_000)]
    text = markdown(replace(results, films=films))
    assert len(text) < 40_000 and "and 9,900 more reasons: see results.csv" in text


def test_exclusions_are_counted_once_for_rows_that_lack_the_same_films(results):
    found = exclusions(results)
    by_reason = {each.reason: each for each in found}
    assert by_reason["no sound track"].rows == list(SYSTEMS) and len(by_reason["no sound track"].keys) == 1
    faces = by_reason["no face in 46 to 76 % of the frames"]
    assert faces.rows == ["sadtalker"] and len(faces.keys) == 5, "the numbers in a reason differ from film to film"
    total = sum(len(film.excluded) for film in results.films)
    assert sum(len(each.keys) * len(each.rows) for each in found) == total


def _excluded(results, *films: tuple[str, str]):
    """Of (key, reason)."""
    return exclusions(
        replace(results, films=[replace(results.films[0], key=key, excluded={ALL: why}) for key, why in films])
    )


@pytest.mark.parametrize("name", ["a", "face", "deep/in", "50"])
def test_no_letter_of_a_reason_is_taken_for_the_films_name(results, name):
    said = "a face in {} frames (expected more than 100)"
    (each,) = _excluded(results, (name, said.format(50)), ("speaker-1/b", said.format(7)), ("c", said.format(50)))
    assert each.keys == [name, "speaker-1/b", "c"] and each.reason == said.format("7 to 50")


def test_films_are_told_from_the_reason_by_their_files(results):
    (equal,) = _excluded(results, ("a", "equal names: a.mp4, a.mkv"), ("x/12", "equal names: 12.mp4, 12.mkv"))
    assert equal.reason == "for example equal names: a.mp4, a.mkv" and equal.keys == ["a", "x/12"]
    (path,) = _excluded(results, ("a", "no /x/a.mp4 in it"), ("b/film-3", "no /y/b/film-3.mp4 in it"))
    assert path.reason == "for example no /x/a.mp4 in it"
    (whole,) = _excluded(results, ("s-1/film-3", "s-1/film-3: bad"), ("s-1/film-4", "s-1/film-4: bad"))
    assert whole.reason == "for example s-1/film-3: bad"


def test_a_number_that_differs_is_a_range_and_one_that_does_not_stays(results):
    said = "{} frames (expected the reference's 50)"
    (each,) = _excluded(results, ("x", said.format(40)), ("three", said.format(3)), ("y", said.format("1,200")))
    assert each.reason == "3 to 1,200 frames (expected the reference's 50)"
    (each,) = _excluded(results, ("x", "sound at -120 dB"), ("y", "sound at -45.5 dB"))
    assert each.reason == "sound at -120 to -45.5 dB"
    rows = [replace(results.films[0], row=row, excluded={ALL: said.format(n)}) for row, n in (("r", 3), ("s", 50))]
    (both,) = exclusions(replace(results, films=rows))
    assert both.rows == ["r", "s"] and both.reason == said.format("3 to 50"), "of the rows too"


def test_figures_have_the_digits_that_matter():
    values = (0, 0.01234, 0.8125, 7.214, 36.44, 999.4, 1234.5, -0.0004, math.inf, -math.inf, math.nan)
    assert [figure(value) for value in values] == [
        "0", "0.0123", "0.812", "7.21", "36.4", "999", "1,234", "−0.000400", "∞", "−∞", "—",
    ]  # fmt: skip
    assert told(Score(0.0, -0.289, 0.263, 9)) == ("0.000", "[−0.289, 0.263]")
    assert told(Score(math.nan, math.nan, math.nan, 0)) == ("—", "")
    assert told(Score(-1e-9, -1.0, 1.0, 9)) == ("0.00", "[−1.00, 1.00]"), "no minus before nothing"


@pytest.mark.parametrize(
    ("better", "low", "high", "said"),
    [
        ("higher", 0.1, 0.2, "better"), ("higher", -0.2, -0.1, "worse"), ("lower", 0.1, 0.2, "worse"),
        ("lower", -0.2, -0.1, "better"), ("zero", 0.1, 0.2, "higher"), ("", -0.2, -0.1, "lower"),
        ("higher", -0.1, 0.2, "not told apart"), ("higher", 0.0, 0.2, "not told apart"),
        ("higher", math.nan, math.nan, "not told apart"),
    ],
)  # fmt: skip
def test_a_verdict_needs_an_interval_without_zero_and_a_good_end(results, better, low, high, said):
    column = replace(results.columns[0], better=better)
    difference = Difference("a", "b", column.key, Score((low + high) / 2, low, high, 5))
    assert verdict_of(replace(results, columns=[column]), difference) == said


@pytest.mark.parametrize(("films", "said"), [(1, "not told apart (1 film)"), (4, "not told apart (4 films)")])
def test_few_films_tell_nobody_apart(results, films, said):
    assert films < FEWEST
    difference = Difference("wav2lip", "joyvasa", results.columns[0].key, Score(1.0, 1.0, 1.0, films))
    assert verdict_of(results, difference) == said
    assert said in markdown(replace(results, differences=[difference]))


def test_the_sign_of_an_offset_is_explained_and_of_nothing_else(results):
    signs = [column.quantity for column in results.columns if "the voice comes too early" in meaning(column)]
    assert signs == ["offset"]
    assert "offset: best near 0 (positive: the voice comes too early)" in markdown(
        replace(results, columns=[replace(c, better="zero") for c in results.columns])
    )


def test_columns_against_other_reference_films_are_told_apart_beside_their_hash(results):
    column = replace(results.columns[0], name=f"psnr#films-{'5' * 12}")
    assert hashes(column) == f"{column.digest[:12]} films-{'5' * 12}"
    assert hashes(replace(column, name=f"psnr#{column.digest[:12]}")) == column.digest[:12]


def test_the_first_table_has_a_row_a_system_and_the_main_number_of_each_metric(results):
    top = markdown(results).partition("## Summary")[2].partition("\n## ")[0]
    head, _, *rows = [line.split(" | ") for line in top.splitlines() if line.startswith("|")]
    assert head[-2:] == ["videos", "excluded |"] and len(head) == 3 + len(summary_columns(results))
    assert {column.metric for column in summary_columns(results)} == {column.metric for column in results.columns}
    for row, system in zip(rows, results.systems, strict=False):
        films = [film for film in results.films if film.row == system]
        assert system in row[0].replace("\\", "")
        assert row[-2:] == [f"{len(films):,}", f"{sum(bool(film.excluded) for film in films):,} |"]
        for column, cell in zip(summary_columns(results), row[1:], strict=False):
            score = results.scores[system].get(column.key)
            assert cell == ("" if score is None else told(score)[0])
    for column in summary_columns(results):
        if column.better:
            assert ARROWS[column.better] in head[1 + summary_columns(results).index(column)]
