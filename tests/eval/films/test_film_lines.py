"""Lines of films: which there are, what they hold, and that results of runs apart are those of one run."""

from __future__ import annotations

import csv
import io
import shutil

import pytest

from joyvasa.eval.films.assemble import Assembler
from joyvasa.eval.films.compare import merge
from joyvasa.eval.films.pairing import REFERENCE, pair_films
from joyvasa.eval.films.results import Results
from joyvasa.eval.films.results_file import read_results, write_results
from joyvasa.eval.films.run import read_films
from joyvasa.eval.films.store import Store
from joyvasa.eval.films.table import write_csv
from joyvasa.eval.films.words import excluded_films
from joyvasa.weights import sha256_of
from tests.eval.films.speaking import RULES, plan_of, speaking

LIPS, MASKED = "lipsync/wav2lip-lrs-untrained", "lipsync/wav2lip-lrs-masked-untrained"
COUNT = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`real`, `good` (a little noise) and `late` (much noise, the voice two frames late): films 0.mkv to 2.mkv."""
    root = tmp_path_factory.mktemp("films")
    for name, late, noise in (("real", 0, 0), ("good", 0, 8), ("late", 2, 30)):
        (root / name).mkdir()
        for seed in range(COUNT):
            speaking(root / name / f"{seed}.mkv", seed=seed, late=late, noise=noise, frames=40)
    return root


@pytest.fixture
def films(made, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(made, tmp_path / "films")


def run(root, *systems, reference="real", photos=None, protocols=("psnr",)) -> Results:
    plan, store = plan_of(*protocols), Store(root / "cache")
    pairing = pair_films({name: root / name for name in systems}, reference and root / reference, photos)
    reads = read_films(pairing, plan, store, ["cpu"], lambda key, films, frames: None)
    return Assembler(plan, pairing, reads, store, RULES, 0).results(list(systems), "title", {})


def lines(results: Results, row: str) -> dict:
    return {film.key: film for film in results.films if film.row == row}


def test_a_film_that_only_one_system_has_is_no_line_of_the_others(films):
    (films / "good" / "extra.mkv").write_bytes((films / "good" / "0.mkv").read_bytes())
    found = run(films, "good", "late", protocols=("psnr", "wav2lip-lrs"))
    assert "no counterpart" in lines(found, "good")["extra"].excluded["*"]
    for row in {film.row for film in found.films} - {"good"}:
        assert "extra" not in lines(found, row) and len(lines(found, row)) == COUNT, row
    assert excluded_films(found, "good") == (1, COUNT + 1) and excluded_films(found, "late") == (0, COUNT)
    assert all(film.values or film.excluded or film.sha256 for film in found.films), "no line says nothing"


def test_what_was_measured_of_a_film_that_lip_sync_excludes_is_told(films):
    for name in ("good", "real"):
        speaking(films / name / "1.mkv", seed=1, voice=0, frames=40)
    found = run(films, "good", protocols=("wav2lip-lrs", "wav2lip-lrs-masked"))
    for row in ("good", REFERENCE):
        film = lines(found, row)["1"]
        assert "silent" in film.excluded[LIPS] and film.facts["loudness_db"] < -100 and film.facts["face_rate"] == 1
    write_csv(films / "results.csv", found)
    told = list(csv.DictReader(io.StringIO((films / "results.csv").read_text())))
    assert all(line["face_rate"] and line["loudness_db"] for line in told)


def test_a_reference_that_is_no_film_is_called_damaged(films):
    (films / "real" / "1.mkv").write_text("not a film")
    found = run(films, "good")
    assert lines(found, "good")["1"].excluded == {"psnr": "its reference is damaged"}
    assert lines(found, REFERENCE)["1"].excluded["*"]


def test_photos_are_known_by_their_content_once(films):
    photos = films / "photos"
    photos.mkdir()
    (photos / "1.png").write_bytes(b"a picture")
    beside, alone = run(films, "good", photos=photos), run(films, "good", reference=None, photos=photos)
    for found, row in ((beside, REFERENCE), (alone, "good")):
        known = {(film.row, film.key): film.photo for film in found.films if film.photo}
        assert known == {(row, "1"): sha256_of(photos / "1.png")}


def test_systems_of_two_runs_differ_as_those_of_one_run_do(made, tmp_path):
    protocols = ("wav2lip-lrs", "wav2lip-lrs-masked", "psnr", "ssim")
    whole = run(made, "good", "late", protocols=protocols)
    parts = []
    for name in ("good", "late"):
        write_results(tmp_path / f"{name}.json", run(made, name, protocols=protocols))
        parts.append((name, read_results(tmp_path / f"{name}.json")))
    assert repr(merge(parts).differences) == repr(whole.differences) and whole.differences
    assert lines(whole, "late")["0"].offsets[LIPS] == [-2.0]


def test_runs_beside_other_films_share_lip_sync_alone(films):
    one = run(films, "good", protocols=("psnr", "wav2lip-lrs"))
    (films / "real" / "2.mkv").unlink()
    (films / "late" / "2.mkv").unlink()
    other = run(films, "late", protocols=("psnr", "wav2lip-lrs"))
    both = merge([("one", one), ("other", other)])
    names = list(dict.fromkeys(column.name for column in both.columns))
    assert names.count(LIPS) == 1 and len(names) == 3 and all(name.startswith("psnr#films-") for name in names[:2])
    assert any("other reference films" in note for note in both.notes)
    again = merge([("one", one), ("other", run(films, "late", protocols=("psnr",)))])
    assert sum("other reference films" in note for note in again.notes) == 1
