"""Charts of the report: what is drawn where, and which row it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.page import write_page
from joyvasa.eval.films.page_charts import curve_chart, intervals, key_of, kinds, mean_curves, offset_chart
from joyvasa.eval.films.results import Film, Results
from joyvasa.eval.films.words import families
from tests.eval.films.made import CONTROLS, SYSTEMS, made
from tests.parsed_page import Parsed


@pytest.fixture(scope="module")
def results() -> Results:
    return made()


@pytest.fixture
def page(tmp_path, results) -> str:
    write_page(tmp_path / "results.html", results)
    return (tmp_path / "results.html").read_text(encoding="utf-8")


def _marks(svg: str, name: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(svg).iter(name)]


def test_an_interval_lies_around_its_dot_and_the_undefined_is_left_out(results):
    column, kind = results.columns[0], kinds(results)
    scores = {"joyvasa": Score(2.0, 1.0, 4.0, 9), "wav2lip": Score(3.0, math.nan, math.nan, 9)}
    bare = {"truth": Score(math.inf, math.inf, math.inf, 9), "sadtalker": Score(math.nan, math.nan, math.nan, 0)}
    svg = intervals(column, scores | bare, kind)
    dots = [float(dot.get("cx")) for dot in _marks(svg, "circle")]
    (bar,) = (line for line in _marks(svg, "line") if line.get("class", "").startswith("bar"))
    assert len(dots) == 2 and float(bar.get("x1")) < dots[0] < dots[1] < float(bar.get("x2"))
    assert "∞" in svg and "sadtalker" not in svg
    assert intervals(column, bare, kind) == ""


def test_curves_are_means_of_what_is_there(results):
    films = [Film("a", str(n), None, None, {}, {}, {}, {"x": curve}) for n, curve in enumerate(
        ([3.0, 1.0, math.nan], [5.0, 2.0, math.nan], [1.0] * 5)
    )]  # fmt: skip
    ((name, curve),) = mean_curves(films, "x", ["a", "b"]).items()
    assert name == "a" and curve[:2] == [4.0, 1.5] and math.isnan(curve[2])
    svg = curve_chart("x", {"a": curve}, {"a": "c0"})
    points = _marks(svg, "polyline")[0].get("points").split()
    assert len(points) == 2 and float(points[0].split(",")[1]) < float(points[1].split(",")[1]), "larger is higher"


def test_a_curve_dips_where_the_offset_is(results):
    late = "voice 5 frames late"
    (name,) = {name for film in results.films for name in film.curves}
    curves = mean_curves(results.films, name, ["truth", late])
    offset = results.scores[late][f"{name}/offset"].value
    svg = curve_chart(name, curves, kinds(results))
    lines = {line.find("title").text: line.get("points").split() for line in _marks(svg, "polyline")}
    dips = {row: max(points, key=lambda point: float(point.split(",")[1])) for row, points in lines.items()}
    marks = {each.text: float(each.get("x")) for each in _marks(svg, "text") if each.get("class") == "x"}
    assert round(offset) == -5 and float(dips[late].split(",")[0]) == marks["-5"] < marks["0"]
    assert float(dips["truth"].split(",")[0]) == marks["0"]


def test_the_sign_of_offsets_is_said_below_their_charts_and_above_their_numbers(page):
    below = page[page.index("offsets of the films (frames)") :]
    assert "positive: the voice comes too early" in below[: below.index("<details>")]
    assert 'title="best near 0 (positive: the voice comes too early)">' in page


def test_offsets_are_counted_and_the_far_ones_are_in_the_outermost_bars(results):
    column = replace(results.columns[2], quantity="offset")
    offsets = [0.0, 0.0, 1.0, 40.0, -17.0, math.nan]
    films = [Film("a", str(n), None, None, {}, {column.key: value}, {}) for n, value in enumerate(offsets)]
    bars = _marks(offset_chart(column, films, ["a", "b"], {"a": "c0"}), "rect")
    said = Counter(bar.find("title").text for bar in bars)
    assert set(said) == {f"a: {count} of 5 at {at}" for count, at in ((1, -15), (2, 0), (1, 1), (1, 15))}
    assert offset_chart(column, films, ["b"], {"b": "c0"}) == ""


def test_every_row_has_one_colour_and_stands_in_the_legend(results):
    kind = kinds(results)
    assert list(kind) == [*SYSTEMS, *CONTROLS] and len(set(kind.values())) == len(kind)
    assert all(row in Parsed(key_of(list(kind), kind)).words for row in kind)


def test_controls_are_told_apart_without_colours(page, results):
    """By the shape of their dot and the dash of their line, in every chart and in the key."""
    scores = {row: Score(1.0 + n, 0.5 + n, 2.0 + n, 9) for n, row in enumerate([*SYSTEMS, *CONTROLS])}
    kind = kinds(results)
    for svg in (intervals(results.columns[0], scores, kind), f"<ul>{key_of(list(CONTROLS), kind)}</ul>"):
        shapes = {dot.get("class"): dot.get("d") for dot in _marks(svg, "path")}
        assert list(shapes) == [f"dot {kind[row]}" for row in CONTROLS]
    looks = []
    for row in CONTROLS:
        dash = re.search(rf"svg line\.{kind[row]},svg \.{kind[row]}\.curve\{{stroke-dasharray:([\d ]+)", page)[1]
        looks.append((shapes[f"dot {kind[row]}"], f"svg .{kind[row]}.dot" in page, dash))
        assert f".chip.{kind[row]}" in page
    assert len({look[:2] for look in looks}) == len({look[2] for look in looks}) == len(CONTROLS)
    filled = [re.findall(rf"svg \.{kind[row]}\.mass[^{{}}]*\{{([^}}]*)", page) for row in CONTROLS]
    assert len(set(map(tuple, filled))) == len(CONTROLS), "bars of offsets"
    assert list(families(results)) == list(dict.fromkeys(column.name for column in results.columns))
