"""results.html: every score, reason and absence is on it, whatever names hold; it fetches nothing, and is bounded."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.page import write_page
from joyvasa.eval.films.page_films import SHOWN, ordered
from joyvasa.eval.films.results import ALL, Absent, Column, Results
from joyvasa.eval.films.words import main_columns, told
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


def test_one_alarm_lists_all_that_was_excluded_too_often(written, results):
    several = replace(results, max_excluded=0.01)
    sentences = several.too_many_excluded()
    page = written(several)
    assert len(sentences) > 4 and page.count('class="alarm"') == 2, "the other is of the random weights"
    (alarm,) = re.findall(r'<details class="alarm">.*?</details>', page)
    assert all(f"<li><bdi>{sentence}</bdi></li>" in alarm for sentence in sentences)
    assert "More than 1% of the films excluded: joyvasa; sadtalker; wav2lip" in Parsed(page).words
    assert written(replace(results, max_excluded=1.0)).count('class="alarm"') == 1


def test_commands_in_notes_stand_out(written, results):
    page = written(replace(results, notes=["type `python -m joyvasa.weights pull x`, <b>"]))
    assert "type <code>python -m joyvasa.weights pull x</code>, &lt;b&gt;" in page
    assert "<code>python -m joyvasa.weights pull syncnet</code>" in page, "of what is not computed"


def test_words_stay_whole_and_the_excluded_are_stacked_where_there_is_no_room(written, results):
    """A word may break within nothing that is as narrow as its column."""
    page = written(results)
    style = page[page.index("<style>") : page.index("</style>")]
    assert (
        ".wide bdi{overflow-wrap:break-word}" in style and ".stacked tr" in style[style.index("@media(max-width:520") :]
    )
    assert "overflow-wrap" not in re.search(r"\.scores th small\{[^}]*\}", style)[0]
    assert '<div class="excluded stacked"><div class="wide"><table>' in page


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
