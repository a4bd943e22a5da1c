"""Rows and columns of results: systems tell apart, controls come out as they must, exclusions count."""

from dataclasses import replace

import numpy as np
import pytest

from joyvasa.eval.films.assemble import Assembler
from joyvasa.eval.films.controls import LATE, OTHER, REAL_FLOOR
from joyvasa.eval.films.pairing import REFERENCE, pair_films
from joyvasa.eval.films.results import ALL
from joyvasa.eval.films.run import read_films
from joyvasa.eval.films.store import Store
from joyvasa.eval.protocols import FID, KID, STYLEGAN_V_16
from tests.eval.films.speaking import RULES, features_of, plan_of, speaking

LIPS, MASKED = "lipsync/wav2lip-lrs-untrained", "lipsync/wav2lip-lrs-masked-untrained"
COUNT = 5


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """`real`, `good` (a little noise) and `late` (much noise, the voice two frames late): films 0.mkv to 3.mkv."""
    root = tmp_path_factory.mktemp("films")
    for name, late, noise in (("real", 0, 0), ("good", 0, 8), ("late", 2, 30)):
        (root / name).mkdir()
        for seed in range(COUNT):
            speaking(root / name / f"{seed}.mkv", seed=seed, late=late, noise=noise)
    return root


def results(root, plan, systems=("good", "late"), reference="real", cache="cache"):
    pairing = pair_films({name: root / name for name in systems}, root / reference if reference else None, None)
    store, told = Store(root / cache), []
    reads = read_films(pairing, plan, store, ["cpu"], lambda key, films, frames: told.append((films, frames)))
    found = Assembler(plan, pairing, reads, store, RULES, 0).results(list(systems), "title", {"command": "x"})
    return found, told


@pytest.fixture(scope="module")
def found(folders):
    return results(folders, plan_of("wav2lip-lrs", "wav2lip-lrs-masked", "psnr", "ssim"))


def test_each_column_tells_the_systems_apart_and_the_truth_from_both(found):
    scores, told = found[0].scores, found[1]
    assert [scores[row][f"{LIPS}/offset"].value for row in ("good", "late", REFERENCE)] == [0, -2, 0]
    assert scores["good"]["psnr/psnr"].value > scores["late"]["psnr/psnr"].value
    assert scores["good"]["ssim/ssim"].value > scores["late"]["ssim/ssim"].value
    assert [scores[row][f"{LIPS}/within_1"].value for row in ("good", "late")] == [1, 0]
    assert sum(films for films, _ in told) == 3 * COUNT and sum(frames for _, frames in told) == 3 * COUNT * 60
    assert all(score.n == COUNT and score.low <= score.value <= score.high for score in scores["late"].values())


def test_the_reference_is_not_compared_with_itself_pixel_by_pixel(found):
    for row in (REFERENCE, LATE, OTHER):
        assert "psnr/psnr" not in found[0].scores[row] and f"{LIPS}/lse_c" in found[0].scores[row]


def test_a_voice_moved_by_five_frames_is_found_there_and_its_confidence_does_not_see_it(found):
    scores = found[0].scores
    for name in (LIPS, MASKED):
        assert scores[LATE][f"{name}/offset"].value == scores[REFERENCE][f"{name}/offset"].value - 5
        assert scores[LATE][f"{name}/within_1"].value == 0
    own, moved = (scores[row][f"{MASKED}/lse_c"].value for row in (REFERENCE, LATE))
    assert moved == pytest.approx(own, rel=0.15)


def test_another_films_voice_has_no_confidence(found):
    scores = found[0].scores
    own, other = (scores[row][f"{MASKED}/lse_c"].value for row in (REFERENCE, OTHER))
    assert other < 0.35 * own
    assert found[0].controls.keys() == {REFERENCE, LATE, OTHER}


def test_every_film_has_its_line_and_the_mean_is_of_them(found):
    films = [film for film in found[0].films if film.row == "late"]
    assert [film.key for film in films] == [str(seed) for seed in range(COUNT)] and all(
        film.picture[:2] == b"\xff\xd8" for film in films
    )
    psnr = [film.values["psnr/psnr"] for film in films]
    assert found[0].scores["late"]["psnr/psnr"].value == pytest.approx(np.mean(psnr))
    assert films[0].facts["frames"] == 60 and films[0].facts["loudness_db"] > -20
    assert len(films[0].curves[LIPS]) == 31 and int(np.argmin(films[0].curves[LIPS])) == 15 + 2


def test_the_second_system_is_compared_with_the_first_film_by_film(found):
    by_column = {each.column: each for each in found[0].differences}
    psnr = by_column["psnr/psnr"]
    assert (psnr.system, psnr.baseline) == ("late", "good") and psnr.score.n == COUNT and psnr.score.high < 0


def test_columns_carry_the_hash_of_their_protocol(found):
    digests = {column.name: column.digest for column in found[0].columns}
    assert len(set(digests.values())) == 4 and set(digests.values()) == set(found[0].stamps)
    assert found[0].stamps[digests["psnr"]]["protocol"]["name"] == "psnr"


def test_what_is_missing_silent_or_broken_is_excluded_and_too_much_of_it_fails(folders, tmp_path):
    for name in ("real", "good"):
        (tmp_path / name).mkdir()
        for film in (folders / name).iterdir():
            (tmp_path / name / film.name).write_bytes(film.read_bytes())
    speaking(tmp_path / "good" / "1.mkv", seed=1, voice=0)
    (tmp_path / "good" / "2.mkv").write_bytes(b"nothing")
    (tmp_path / "good" / "3.mkv").unlink()
    found, _ = results(tmp_path, plan_of("wav2lip-lrs", "psnr"), ("good",))
    excluded = {film.key: film.excluded for film in found.films if film.row == "good"}
    assert excluded["0"] == {} and "no such film" in excluded["3"][ALL] and excluded["2"][ALL]
    assert (
        excluded["1"].keys() == {LIPS} and "silent: the loudest tenth of the sound is at -120 dB" in excluded["1"][LIPS]
    )
    assert found.shares["good"] == {LIPS: 0.6, "psnr": 0.4} and found.shares[REFERENCE] == {LIPS: 0.0}
    assert found.scores["good"]["psnr/psnr"].n == 3
    assert len(found.too_many_excluded()) == 2 and "60%" in found.too_many_excluded()[0]


def test_one_film_says_that_its_interval_means_nothing(folders, tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "0.mkv").write_bytes((folders / "good" / "0.mkv").read_bytes())
    found, _ = results(tmp_path, plan_of("wav2lip-lrs"), ("good",), None)
    score = found.scores["good"][f"{LIPS}/lse_d"]
    assert score.n == 1 and np.isnan([score.low, score.high]).all() and "1 film " in score.note and not found.controls


def test_another_frame_rate_is_no_clip_to_compare(folders, tmp_path):
    for name, fps in (("real", 25), ("good", 32)):
        (tmp_path / name).mkdir()
        for seed in range(2):
            speaking(tmp_path / name / f"{seed}.mkv", seed=seed, fps=fps)
    found, _ = results(tmp_path, plan_of_sets(small(STYLEGAN_V_16, minimum=1), small(FID, minimum=1)), ("good",))
    excluded = next(film.excluded for film in found.films if film.row == "good")
    assert excluded == {"fvd/stylegan-v-16-untrained": "32 frames a second (expected the reference's 25)"}


def test_films_that_only_one_system_has_are_not_held_against_the_other(folders, tmp_path):
    for name in ("real", "good", "late"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.mkv").write_bytes((folders / name / "0.mkv").read_bytes())
    (tmp_path / "late" / "extra.mkv").write_bytes((folders / "late" / "1.mkv").read_bytes())
    found, _ = results(tmp_path, plan_of("psnr"))
    assert found.shares["good"] == {"psnr": 0.0} and found.shares["late"] == {"psnr": 0.5}


def test_older_readings_say_with_what_they_were_made(folders, monkeypatch, tmp_path):
    monkeypatch.setattr("joyvasa.eval.films.gauge._libraries", lambda: ("torch 1.0",))
    found, _ = results(folders, plan_of("psnr"), ("good",), cache=tmp_path / "old")
    assert any("read earlier, with other versions: libraries: " in note and "torch 1.0" in note for note in found.notes)


def test_films_that_equal_their_reference_have_infinite_psnr(folders):
    found, _ = results(folders, plan_of("psnr"), ("real",))
    score = found.scores["real"]["psnr/psnr"]
    assert score.value == np.inf and f"{COUNT} of {COUNT} films equal their reference" in score.note
    assert found.scores["real"]["psnr/identical"].value == 1


def small(protocol, **changes):
    return replace(protocol, network=replace(protocol.network, features=3), **changes)


def plan_of_sets(*protocols):
    plan = plan_of()
    for protocol in protocols:
        made, real = (
            features_of(protocol, at) for at in (protocol.sampling.generated_start, protocol.sampling.real_start)
        )
        plan.add(protocol, dict(made.weights), made, real)
    return plan


def test_distances_between_sets_grow_with_noise_and_stand_beside_their_floor(folders):
    plan = plan_of_sets(
        small(FID, minimum=50), small(STYLEGAN_V_16, minimum=COUNT), small(KID, subset_size=50, subsets=5)
    )
    found, _ = results(folders, plan)
    for name in ("fid-untrained", "kid-untrained"):
        good, late = (found.scores[row][f"{name}/distance"].value for row in ("good", "late"))
        assert good < late, name
    assert found.scores[REAL_FLOOR]["fid-untrained/distance"].value > 0 and REAL_FLOOR in found.controls
    fvd = found.scores["good"]["fvd/stylegan-v-16-untrained/distance"]
    assert fvd.n == COUNT and fvd.low < fvd.value < fvd.high
    by_column = {each.column: each for each in found.differences}
    for name in ("fid-untrained", "kid-untrained"):
        good, late = (found.scores[row][f"{name}/distance"].value for row in ("good", "late"))
        fell = by_column[f"{name}/distance"]
        assert (fell.system, fell.baseline) == ("late", "good") and fell.score.value == late - good
        assert fell.score.n == COUNT and fell.score.low < fell.score.value < fell.score.high


def test_below_the_minimum_there_is_no_distance_but_the_reason(folders):
    found, _ = results(folders, plan_of_sets(small(FID)), ("good",))
    score = found.scores["good"]["fid-untrained/distance"]
    assert np.isnan(score.value) and f"{60 * COUNT} real samples (expected at least 2048" in score.note


def test_films_too_short_for_a_clip_are_left_out_of_it(folders, tmp_path):
    for name in ("real", "good"):
        (tmp_path / name).mkdir()
        for seed, frames in enumerate((60, 10)):
            speaking(tmp_path / name / f"{seed}.mkv", seed=seed, frames=frames)
    found, _ = results(tmp_path, plan_of_sets(small(STYLEGAN_V_16, minimum=1)), ("good",))
    excluded = {film.key: film.excluded for film in found.films if film.row == "good"}
    assert excluded["1"] == {"fvd/stylegan-v-16-untrained": "10 frames (expected at least 16)"} and not excluded["0"]


def test_films_that_are_the_reference_are_told(folders, tmp_path):
    for name in ("real", "good"):
        (tmp_path / name).mkdir()
        for seed in range(2):
            source = folders / ("real" if seed else name) / f"{seed}.mkv"
            (tmp_path / name / f"{seed}.mkv").write_bytes(source.read_bytes())
    found, told = results(tmp_path, plan_of("psnr"), ("good",))
    assert sum(frames for _, frames in told) == 3 * 60
    (note,) = [note for note in found.notes if "same bytes" in note]
    assert "1 video of good" in note and REFERENCE in note and "(1)" in note
