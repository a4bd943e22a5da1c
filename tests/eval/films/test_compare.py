"""Merging results: equal hashes share a column, others do not; no number is lost, and none moves to another row."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest

from joyvasa.eval.films.compare import SEED, merge
from joyvasa.eval.films.film_scores import FilmScore
from joyvasa.eval.films.pairing import REFERENCE
from joyvasa.eval.films.results import Results
from joyvasa.eval.films.results_file import read_results, write_results
from joyvasa.eval.films.row_scores import mean_score
from joyvasa.eval.films.words import bare
from joyvasa.eval.protocol_hash import hash_of
from joyvasa.eval.protocols import get
from tests.eval.films.made import CONTROLS, made

LATE = "voice 5 frames late"


@pytest.fixture(scope="module")
def old() -> Results:
    return made(8, systems=("joyvasa", "sadtalker"))


@pytest.fixture(scope="module")
def other() -> Results:
    """The same films measured by other random weights."""
    return made(8, systems=("joyvasa", "wav2lip"), seed=1)


def _relabelled(results: Results, **rows: str) -> Results:
    """The same results, a system called otherwise."""
    return replace(
        results,
        systems=[rows.get(row, row) for row in results.systems],
        scores={rows.get(row, row): scores for row, scores in results.scores.items()},
        films=[replace(film, row=rows.get(film.row, film.row)) for film in results.films],
        shares={rows.get(row, row): shares for row, shares in results.shares.items()},
        differences=[],
    )


def _against(results: Results, films: str, photos: str) -> Results:
    """The same numbers, of a run beside other reference films and photos: their contents begin with these letters."""
    films = [
        replace(film, row=REFERENCE, sha256=f"{films}-{film.key}", photo=f"{photos}-{film.key}")
        if film.row == "truth"
        else film
        for film in results.films
    ]
    named = {name: {REFERENCE if row == "truth" else row: each for row, each in getattr(results, name).items()}
             for name in ("controls", "scores", "shares")}  # fmt: skip
    return replace(results, films=films, **named)


def _shown(results: Results) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(column.name for column in results.columns):
        found.setdefault(bare(name), []).append(name.removeprefix(bare(name)).rstrip("0123456789abcdef"))
    return found


SYNC, CSIM = "lipsync/syncnet@haar-untrained", "csim-untrained"


def test_numbers_against_other_reference_films_are_other_columns_and_it_is_said(old):
    new = _relabelled(old, joyvasa="a", sadtalker="b")
    both = merge([("old", _against(old, "x", "p")), ("new", _against(new, "y", "p"))])
    one, two = [""], ["#films-", "#films-"]
    assert _shown(both) == {SYNC: one, CSIM: one, "psnr": two, "fid": two, "motion": one}
    said = [note for note in both.notes if "may not be compared" in note]
    assert len(said) == 2 and all(note.endswith("may not be compared: other reference films") for note in said)
    marks = {column.name for column in both.columns if column.metric == "psnr"}
    assert all(mark.removeprefix("psnr#") in said[0] for mark in marks) and len(marks) == 2
    for row in ("joyvasa", "a"):
        assert sum(key.startswith("psnr") for key in both.scores[row]) == 1, "numbers stay in their own column"


def test_csim_is_told_apart_by_its_photos(old):
    new = _relabelled(old, joyvasa="a", sadtalker="b")
    both = merge([("old", _against(old, "x", "p")), ("new", _against(new, "x", "q"))])
    assert _shown(both)[CSIM] == ["#photos-", "#photos-"] and _shown(both)["psnr"] == [""]
    assert any(note.endswith("may not be compared: other photos") for note in both.notes)


def test_the_same_reference_films_share_their_columns_and_a_merged_file_knows_them_still(tmp_path, old):
    new, third = (_relabelled(old, joyvasa=f"{name}a", sadtalker=f"{name}b") for name in "st")
    same = merge([("old", _against(old, "x", "p")), ("new", _against(new, "x", "p"))])
    assert same.columns == old.columns and not any("compared" in note for note in same.notes)
    both = merge([("old", _against(old, "x", "p")), ("new", _against(new, "y", "q"))])
    write_results(tmp_path / "results.json", both)
    read = read_results(tmp_path / "results.json")
    again = merge([("both", read), ("third", _against(third, "y", "q"))])
    assert again.columns == both.columns, "against the films of one of them"
    assert merge([("third", _against(third, "z", "q")), ("both", read)]).references.keys() >= both.references.keys()


def _alone(results: Results, heavy: str, offsets: list[float]) -> Results:
    """Of `joyvasa` alone. offsets: of the tracks of its films; that of this key counts nine times and is far better."""
    films = []
    for film in results.films:
        if film.row == "joyvasa" and film.values:
            better = 5 if film.key == heavy else 1
            values = {**film.values, f"{SYNC}/lse_c": film.values[f"{SYNC}/lse_c"] * better}
            told = {"weights": {SYNC: 9.0} if better > 1 else {}, "offsets": {SYNC: offsets * better}}
            film = replace(film, values=values, **told)
        if film.row != "sadtalker":
            films.append(film)
    scores = {row: each for row, each in results.scores.items() if row != "sadtalker"}
    return replace(results, systems=["joyvasa"], films=films, scores=scores, shares={}, differences=[])


def _row_score(results: Results, quantity: str) -> float:
    films = [film for film in results.films if film.row == "joyvasa" and film.values]
    row = {
        film.key: FilmScore(
            {quantity: film.values[f"{SYNC}/{quantity}"]}, film.weights.get(SYNC, 1.0), film.offsets[SYNC]
        )
        for film in films
    }
    return mean_score(get("syncnet"), quantity, row, SEED).value


def test_differences_are_those_of_the_rows_above_them(old):
    """Films of several tracks count by them, and an offset is the lower median of all tracks."""
    keys = [film.key for film in old.films if film.row == "joyvasa" and film.values]
    one, other = _alone(old, keys[0], [0.0, 0.0, 4.0]), _alone(old, keys[-1], [-1.0, 2.0])
    found = {each.column: each.score for each in merge([("one", one), ("other", other)]).differences}
    for quantity in ("lse_c", "offset"):
        values = [_row_score(part, quantity) for part in (other, one)]
        score = found[f"{SYNC}/{quantity}"]
        assert score.value == pytest.approx(values[0] - values[1], abs=1e-12) and abs(score.value) > 0.1
        assert score.n == len(keys)


def test_one_alone_stays_as_it_is(old):
    alone = merge([("old", old)])
    for name in ("systems", "controls", "columns", "stamps", "differences", "shares", "absent"):
        assert getattr(alone, name) == getattr(old, name), name
    assert repr(alone.scores) == repr(old.scores) and repr(alone.films) == repr(old.films)


def test_equal_hashes_share_a_column_and_equal_controls_a_row(old):
    both = merge([("old", old), ("new", _relabelled(old, joyvasa="better", sadtalker="worse"))])
    assert both.columns == old.columns and both.systems == ["joyvasa", "sadtalker", "better", "worse"]
    assert list(both.controls) == list(CONTROLS)
    assert not any("compared" in note for note in both.notes)
    assert len(both.films) == len(old.films) + 16, "control films once"


def test_other_hashes_are_other_columns_and_the_note_says_why(old, other):
    both = merge([("old", old), ("new", other)])
    names = list(dict.fromkeys(column.name for column in both.columns))
    sync = [name for name in names if name.startswith("lipsync/syncnet@haar-untrained#")]
    assert len(sync) == 2 and sync == names[:2], "beside each other"
    assert {"psnr", "motion", "fid"} <= set(names), "hashes that are equal keep their names"
    for column in both.columns:
        assert "#" not in column.name or column.name.endswith(f"#{column.digest[:12]}")
    assert Counter((column.key, column.digest) for column in both.columns).most_common(1)[0][1] == 1
    said = [note for note in both.notes if note.startswith("lipsync/syncnet@haar-untrained: ")]
    assert len(said) == 1 and "'random:0' and 'random:1'" in said[0]


def test_no_number_is_lost_and_none_changes_its_row(old, other):
    both = merge([("old", old), ("new", other)])
    assert both.systems == ["old: joyvasa", "sadtalker", "new: joyvasa", "wav2lip"]
    digests = {column.key: (column.digest, column.quantity) for column in both.columns}
    for label, part in (("old", old), ("new", other)):
        for row in part.systems:
            name = next(each for each in both.systems if each in (row, f"{label}: {row}"))
            mine = {(c.digest, c.quantity): part.scores[row][c.key] for c in part.columns}
            assert repr({digests[key]: score for key, score in both.scores[name].items()}) == repr(mine)
    assert sum(len(f.values) for f in both.films) == sum(len(f.values) for p in (old, other) for f in p.films)
    names = {column.name for column in both.columns} | {"*"}
    assert all(set(film.excluded) | set(film.curves) <= names for film in both.films)


def test_a_merged_file_is_written_read_and_merged_again(tmp_path, old, other):
    both = merge([("old", old), ("new", other)])
    write_results(tmp_path / "results.json", both)
    again = merge([("both", read_results(tmp_path / "results.json"))])
    assert again.columns == both.columns and again.systems == both.systems and repr(again.scores) == repr(both.scores)
    third = merge([("both", both), ("old", _relabelled(old, joyvasa="x", sadtalker="y"))])
    assert {c.name for c in third.columns} == {c.name for c in both.columns}, "a hash is not added twice"


def test_systems_of_two_files_are_paired_where_a_control_has_the_same_films(old):
    new = _relabelled(old, joyvasa="better", sadtalker="worse")
    found = merge([("old", old), ("new", new)]).differences
    assert {(d.system, d.baseline) for d in found} == {(s, "joyvasa") for s in ("sadtalker", "better", "worse")}
    for difference in found:
        if difference.system == "better":
            assert difference.score.value == 0.0 or math.isnan(difference.score.value)
    strange = replace(new, films=[replace(film, sha256="0" * 64) for film in new.films])
    found = merge([("old", old), ("new", strange)])
    assert {(d.system, d.baseline) for d in found.differences} == {("sadtalker", "joyvasa")}
    assert f"new: {LATE}" in found.controls, "other films: another row"


def test_other_environments_and_other_absences_are_said(old):
    new = replace(
        _relabelled(old, joyvasa="a", sadtalker="b"), absent=old.absent[:1], max_excluded=0.05,
        environment={**old.environment, "python": "3.12.0", "libraries": ["torch 2.8.0"]},
    )  # fmt: skip
    both = merge([("old", old), ("new", new)])
    assert any("Environments of old and new differ" in note and "3.12.0" in note for note in both.notes)
    assert both.absent[0] == old.absent[0] and both.absent[1].reason.startswith("old: 40 clips")
    assert both.max_excluded == 0.05 and set(both.settings) == {"old", "new"}


def test_a_shared_control_has_the_numbers_of_both_files(old):
    stamp = {**old.stamps[old.columns[0].digest], "weights": {"syncnet/syncnet_v2.model": "random:7"}}
    digest, before = hash_of(stamp), old.columns[0].digest
    columns = [replace(c, digest=digest) if c.digest == before else c for c in old.columns]
    new = replace(_relabelled(old, joyvasa="a", sadtalker="b"), columns=columns, stamps={**old.stamps, digest: stamp})
    both = merge([("old", old), ("new", new)])
    assert list(both.controls) == list(CONTROLS), "one row each"
    for row in CONTROLS:
        twice = sum(key.startswith("lipsync") for key in old.scores[row])
        assert len(both.scores[row]) == len(old.scores[row]) + twice
    truth = [film for film in both.films if film.row == "truth"]
    assert len(truth) == 8 and all(sum("lse_c" in key for key in film.values) == 2 for film in truth)
    assert all(len(film.curves) == 2 for film in truth)


def test_the_only_system_of_a_file_is_called_by_its_label_and_this_run_needs_none(old):
    alone = made(8, systems=("joyvasa",), seed=1)
    both = merge([("", old), ("last year", alone)])
    assert both.systems == ["joyvasa", "sadtalker", "last year"] and "last year: truth" in both.controls
    assert "truth" in both.controls and list(both.settings) == ["this run", "last year"]
    assert old.notes[0] in both.notes and f"last year: {old.notes[0]}" in both.notes
    assert {film.row for film in both.films} <= {*both.systems, *both.controls}


@pytest.mark.parametrize("labels", [(), ("a", "a")])
def test_nothing_and_equal_labels_are_refused(old, labels):
    with pytest.raises(ValueError, match="a name of its own"):
        merge([(label, old) for label in labels])
