"""Charts: any values are a picture that stays within its frame, and no value is lost in a histogram."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from joyvasa.chart import HEIGHT, WIDTH, Bound, histogram, line_chart, number, smooth, thin, ticks


def test_thinning_keeps_the_ends_of_the_range_and_smoothing_a_constant():
    points = [(step, math.sin(step / 50)) for step in range(5000)] + [(5000, 9.0)]
    kept = thin(points)
    assert len(kept) <= 402 and kept == sorted(kept) and set(kept) <= set(points)
    assert {max(value for _, value in part) for part in (kept, points)} == {9.0}
    assert smooth([(step, 0.3) for step in range(200)]) == [(step, pytest.approx(0.3)) for step in range(200)]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [-5.0, 1e9], [1e-9, 1e3], [math.nan, 2.0], [math.inf], []])
def test_any_curve_is_a_picture(values):
    points = list(enumerate(values))
    svg = ElementTree.fromstring(line_chart("a<b", points, last_step=3, noisy=True))
    assert svg.get("aria-label") == "a<b"
    finite = [value for value in values if math.isfinite(value)]
    assert len(json.loads(svg.get("data-points"))) == len(finite)
    assert ("not finite" in ElementTree.tostring(svg, encoding="unicode")) == (len(finite) < len(values))
    places = [float(at) for line in svg.iter("polyline") for at in re.split("[ ,]", line.get("points"))]
    assert all(0 <= at <= 340 for at in places)


def test_marks_are_round_and_within():
    assert ticks(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [number(value) for value in (0, 1234.5, 45_600, 3_000_000, 3e-5)] == ["0", "1234", "45.6k", "3M", "3e-05"]


def bars(svg: ElementTree.Element, group: int) -> list[int]:
    """How many values each bar of a group is said to hold."""
    titles = [bar.findtext("title") for bar in svg.iter("rect") if bar.get("class") == f"bar{group}"]
    return [int(re.findall(r"([\d,]+) name", title)[group].replace(",", "")) for title in titles]


@pytest.mark.parametrize(
    "values",
    [[3.0], [0.0, 0.0], [-1e9, 1.0, 2.0], [1e-9, 3e-9], [5.0] * 1000 + [1e6], [k / 7 for k in range(5000)], [-40.5]],
)
@pytest.mark.parametrize("bound", [0.0, 5.0, 1e5])
def test_every_value_is_in_one_bar_and_every_bar_in_the_frame(values, bound):
    groups = [("name", values), ("name", values[:2])]
    svg = ElementTree.fromstring(histogram("a<b", groups, [Bound(bound, "<&")]))
    assert sum(bars(svg, 0)) == len(values) and sum(bars(svg, 1)) == len(values[:2])
    for bar in svg.iter("rect"):
        x, y, width, height = (float(bar.get(side)) for side in ("x", "y", "width", "height"))
        assert 0 <= x and x + width <= WIDTH and 10 < y and y + height <= HEIGHT and width > 0
    line = next(line for line in svg.iter("line") if line.get("class") == "bound")
    assert 0 <= float(line.get("x1")) <= WIDTH


def test_values_on_either_side_of_a_bound_are_on_either_side_of_its_line():
    svg = ElementTree.fromstring(histogram("", [("name", [99.0, 61.0]), ("name", [101.0])], [Bound(100.0, "100")]))
    line = float(next(line.get("x1") for line in svg.iter("line") if line.get("class") == "bound"))
    for bar in svg.iter("rect"):
        left, right = float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))
        assert right <= line if bar.get("class") == "bar0" else left >= line


def test_a_far_bound_is_an_arrow_and_what_is_not_finite_is_counted():
    page = histogram("", [("name", [0.1, 0.2, -math.inf, math.nan])], [Bound(50.0, "at most 50")])
    assert "at most 50 →" in page and "2 · 2 not finite" in page
    assert "0 · 1 not finite" in histogram("", [("name", [math.inf])])


def test_values_that_hardly_differ_keep_their_places():
    values = [0.4445, 0.452, 0.4652, 0.5057, 0.5109]
    svg = ElementTree.fromstring(histogram("", [("name", values)], [Bound(0.2, "0.2")], least_span=0.1))
    assert sum(bars(svg, 0)) == len(values) and len(bars(svg, 0)) > 1
