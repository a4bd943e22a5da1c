"""results.html: every score, reason and absence is on it, whatever names hold; it fetches nothing, and is bounded."""

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
from joyvasa.eval.films.page_films import SHOWN, ordered
from joyvasa.eval.films.results import ALL, Absent, Column, Film, Results
from joyvasa.eval.films.words import families, main_columns, told
from tests.eval.films.made import CONTROLS, SYSTEMS, made
from tests.parsed_page import HOSTILE, Parsed


@pytest.fixture(scope="module")
def results() -> Results:
    return made()


@pytest.fixture
def written(tmp_path):
    def write(told: Results) -> str:
        write_page(tmp_path / "results.html", told)
        assert [each.name for each in tmp_path.iterdir()] == ["results.html"]
        return (tmp_path / "results.html").read_text(encoding="utf-8")

    return write


def test_every_score_absence_reason_and_hash_is_on_the_page(written, results):
    words = Parsed(written(results)).words
    for row, scores in results.scores.items():
        assert row in words
        for score in scores.values():
            value, interval = told(score)
            assert f"{value}{interval} n {score.n}" in words
    for each in results.absent:
        assert each.name in words and each.reason in words
    for column in results.columns:
        assert column.digest in words and column.digest[:12] in words
    for sentence in (*CONTROLS.values(), *results.notes, *results.too_many_excluded(), "no sound track", "max_shift"):
        assert sentence in words
    for name, value in (("runner.batch", "32"), ("weights", "random:0"), ("python", "3.11.9")):
        assert f"{name}{value}" in words
    assert "network" in words and "torch 2.9.0" in words and "equal frames: truth" in words


def test_random_weights_are_said_first_and_only_where_there_are_any(written, results):
    words = Parsed(written(results)).words
    assert words.index("random weights") < words.index("Scores")
    trained = [column for column in results.columns if not column.name.endswith("-untrained")]
    names = {column.key for column in trained}
    kept = {row: {k: s for k, s in scores.items() if k in names} for row, scores in results.scores.items()}
    assert "random weights" not in written(replace(results, columns=trained, scores=kept, differences=[]))


def test_controls_stand_below_the_systems_and_are_marked(written, results):
    page = written(results)
    first = page[page.index('<div class="wide scores"') :].split("</table>")[0]
    rows = re.findall(r'<tr class="(\w+)"><th><i class="chip (\w)\d"></i>(<em>)?', first)
    assert [kind for kind, _, _ in rows] == ["systems"] * len(SYSTEMS) + ["controls"] * len(CONTROLS)
    marked = {"systems": ("c", ""), "controls": ("g", "<em>")}
    assert all((colour, slanted) == marked[kind] for kind, colour, slanted in rows)


def test_better_and_worse_need_an_interval_without_zero(written, results):
    page = written(results)
    assert re.search(r"sadtalker</bdi></th><td[^>]*><span class=\"down\">worse</span> <b>3\.", page)
    assert re.search(r"wav2lip</bdi></th><td[^>]*><span class=\"up\">better</span> <b>7\.", page)
    unsure = [replace(d, score=Score(d.score.value, -9.0, 9.0, 9)) for d in results.differences]
    assert 'class="up">better</span> <b>' not in written(replace(results, differences=unsure))
    others = [replace(d, baseline="sadtalker") for d in results.differences]
    assert 'class="up">better</span> <b>' not in written(replace(results, differences=others)), "of another baseline"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_gets_out_of_its_place(written, results, name):
    plain, page = written(_everywhere(results, "plain")), written(_everywhere(results, name))
    assert Parsed(page).tags == Parsed(plain).tags
    assert {key for key, _ in Parsed(page).attributes} == {key for key, _ in Parsed(plain).attributes}
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", page)
    assert len(page) < len(plain) + 60_000


def _everywhere(results: Results, name: str) -> Results:
    lipsync = results.columns[0]
    column = Column(name, name, name, lipsync.digest, "higher", name)
    film = replace(
        results.films[0], row=name, key=name, path=name, sha256=name, facts={name: name}, excluded={name: name}
    )
    film = replace(film, values={column.key: 1.0}, curves={name: [2.0, 1.0, 2.0]})
    return replace(
        results, title=name, systems=[name, "other"], controls={"c": name}, columns=[column], films=[film],
        scores={row: {column.key: Score(1.0, 0.5, 2.0, 1, name)} for row in (name, "other", "c")},
        differences=[replace(results.differences[0], system="other", baseline=name, column=column.key)],
        absent=[Absent(name, name)], shares={name: {name: 1.0}}, environment={name: [name]},
        settings={name: {name: name}}, notes=[name], stamps={lipsync.digest: {name: name}},
    )  # fmt: skip


def test_the_page_fetches_nothing_and_runs_nothing(written, results):
    page = written(results)
    assert not re.search(r"https?://|<link|<script|@import|url\(|\son\w+=", page)
    sources = [value for key, value in Parsed(page).attributes if key == "src"]
    assert sources and all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "default-src 'none'" in page


def test_the_same_results_are_the_same_bytes(written, results):
    assert written(results) == written(results)


def test_ten_thousand_films_are_a_page_of_bounded_size(written, results):
    picture = results.films[0].picture
    films = [replace(film, key=f"{film.key}-{n}", picture=picture) for n in range(250) for film in results.films]
    faults = {n: {ALL: f"fault {chr(0x4E00 + n)}"} for n in range(0, 9000, 9)}
    films = [replace(film, excluded=faults.get(n, {})) for n, film in enumerate(films)]
    assert len(films) >= 60_000
    page = written(replace(results, films=films, notes=[f"note {n}" for n in range(500)]))
    assert len(page) < 1_500_000 and page.count("<img") <= 8 * 6 * 2 * SHOWN
    assert "more reasons, see results.csv" in page and page.count("fault ") <= 50
    assert "and 460 more" in page and "note 39<" in page and "note 40<" not in page


def test_the_worst_and_the_best_of_each_system_are_shown(written, results):
    page = written(results)
    for column in (column for column in main_columns(results) if column.better):
        for row in SYSTEMS:
            films = ordered(results, row, column)
            values = [film.values[column.key] for film in films]
            assert values == sorted(values, reverse=column.better == "lower") and not any(map(math.isnan, values))
            for film in films[:SHOWN] + films[-SHOWN:]:
                assert film.key in page
    distance = next(column for column in results.columns if column.quantity == "lse_d")
    values = [film.values[distance.key] for film in ordered(results, "joyvasa", distance)]
    assert values == sorted(values, reverse=True), "far is bad"
    offset = replace(results.columns[2], better="zero")
    sizes = [abs(film.values[offset.key]) for film in ordered(results, "joyvasa", offset)]
    assert sizes == sorted(sizes, reverse=True), "farthest from none first"


def test_a_broken_picture_and_none_at_all_cost_no_page(written, results):
    films = [replace(film, picture=b"broken" if n % 2 else None) for n, film in enumerate(results.films)]
    page = written(replace(results, films=films))
    assert "<img" not in page and "no picture" in page


def test_a_run_of_nothing_is_a_page(written, results):
    empty = replace(
        results, systems=[], controls={}, columns=[], stamps={}, scores={}, differences=[], films=[], absent=[],
        shares={}, notes=[], settings={},
    )  # fmt: skip
    words = Parsed(written(empty)).words
    assert "ExcludedNo film." in words and "Every number" not in words and "Best" not in words


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
    assert list(families(results)) == list(dict.fromkeys(column.name for column in results.columns))
