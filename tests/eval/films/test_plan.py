"""What is asked for becomes what is measured; what is missing is named with its command, never replaced in silence."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from omegaconf import OmegaConf

from joyvasa import weights
from joyvasa.eval.films.plan import PICTURE, Setup, choose, make_plan
from joyvasa.eval.protocols import PROTOCOLS, get
from joyvasa.eval.verdicts import accept_judge, held
from joyvasa.models.judges import lpips
from joyvasa.models.judges.lpips import load_lpips
from joyvasa.tasks.config import conf_dir
from joyvasa.weight_entries import ENTRIES
from tests.eval.films.speaking import RULES

FAMILIES = {"lipsync": ["syncnet", "syncnet-masked"], "psnr": ["psnr"], "fid": ["fid"]}


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))


def plan(*names, weights="random:0", detector="auto", reference=True, photos=True, rules=RULES):
    return make_plan(Setup(tuple(map(get, names)), weights, detector, "cpu", reference, photos, rules))


def test_a_metric_means_its_protocols_and_a_protocol_takes_their_place():
    assert choose(["lipsync", "psnr"], [], FAMILIES) == ["syncnet", "syncnet-masked", "psnr"]
    assert choose(["lipsync", "psnr"], ["latentsync"], FAMILIES) == ["latentsync", "psnr"]
    assert choose(["psnr"], ["stylegan-v-16"], FAMILIES) == ["psnr", "stylegan-v-16"]
    with pytest.raises(ValueError, match=r"metrics=sync \(expected some of lipsync, psnr, fid"):
        choose(["sync"], [], FAMILIES)
    with pytest.raises(ValueError, match="choose from syncnet"):
        choose([], ["sync"], FAMILIES)
    with pytest.raises(ValueError, match="no metric"):
        choose([], [], FAMILIES)


def test_the_configured_protocols_are_known_and_of_their_metric():
    for metric, names in OmegaConf.load(conf_dir() / "evaluate" / "default.yaml").protocols.items():
        assert {PROTOCOLS[name].metric for name in names} == {metric}


def test_without_weights_judges_are_absent_with_their_command_and_the_rest_is_measured():
    found = plan("syncnet", "psnr", "ssim", "fid", "csim", "lpips", weights="auto")
    assert [asked.column for asked in found.asked] == ["psnr", "ssim"]
    absent = {each.name: each.reason for each in found.absent}
    assert absent.keys() == {"lipsync/syncnet@haar", "fid", "csim", "lpips"} or absent.keys() == {
        "lipsync/syncnet", "fid", "csim", "lpips"
    }  # fmt: skip
    for name, entry in (("fid", "inception"), ("csim", "insightface"), ("lpips", "lpips")):
        assert f"python -m joyvasa.weights pull {entry}" in absent[name]


def test_random_weights_are_in_every_name_and_hash():
    zero, one = (plan("syncnet", "psnr", weights=f"random:{seed}").asked for seed in (0, 1))
    assert zero[0].column == "lipsync/syncnet@haar-untrained" and zero[0].digest != one[0].digest
    assert zero[1].column == "psnr" and zero[1].digest == one[1].digest


def test_another_detector_than_the_published_one_is_said_and_in_the_name():
    found = plan("syncnet")
    assert "faces by OpenCV's cascades (haar)" in found.notes[0] and "pull insightface" in found.notes[0]
    assert plan("syncnet", detector="haar").notes == []
    (absent,) = plan("syncnet", detector="insightface").absent
    assert "pull insightface" in absent.reason
    with pytest.raises(ValueError, match="detector=dlib .expected auto"):
        plan("syncnet", detector="dlib")


@pytest.fixture
def lpips_by_hand(tmp_path):
    """LPIPS of random weights, let into the store by hand."""
    judge, folder = load_lpips("random:5"), tmp_path / "files"
    folder.mkdir()
    torch.save(judge.trunk.state_dict(), folder / lpips.TRUNK_FILE)
    torch.save(judge.heads.state_dict(), folder / lpips.HEADS_FILE)
    assert weights.main(["import", str(folder), "--as", "lpips", "--unverified"]) == 0
    return folder


def test_a_judge_that_is_not_verified_is_noted_under_its_column(lpips_by_hand, monkeypatch):
    by_hand = f"weights lpips let in by hand: {lpips.HEADS_FILE}, {lpips.TRUNK_FILE}"
    assert plan("lpips", "psnr", weights="auto").notes == [f"lpips: unverified: {by_hand}"]
    assert plan("lpips").notes == [], "its column ends in -untrained"
    entry = weights.get("lpips")
    files = [replace(each, sha256=weights.sha256_of(lpips_by_hand / each.name), size=None) for each in entry.files]
    monkeypatch.setitem(ENTRIES, "lpips", replace(entry, files=tuple(files)))
    assert weights.main(["import", str(lpips_by_hand), "--as", "lpips"]) == 0
    (note,) = plan("lpips", weights="auto").notes
    assert note.startswith("lpips: unverified: weights lpips were not accepted") and note.endswith("run.py task=accept")
    accept_judge("lpips", held("lpips").sha256)
    assert plan("lpips", weights="auto").notes == []


def test_protocols_of_one_judge_share_an_instrument_and_other_rules_do_not():
    found = plan("syncnet", "syncnet-masked", "latentsync")
    assert found.asked[0].generated == found.asked[1].generated != found.asked[2].generated
    assert len(found.sides.generated) == 3 and PICTURE in found.sides.generated


def test_a_plan_without_its_networks_still_says_what_is_asked_for():
    found = plan("syncnet", "psnr", "lpips")
    asked, judge = list(found.asked), weakref.ref(found.sides.generated[found.asked[0].generated].judge)
    found.forget_networks()
    gc.collect()
    assert found.asked == asked and judge() is None


def test_without_a_reference_what_compares_is_absent():
    found = plan("syncnet", "psnr", "fid", reference=False)
    assert [asked.protocol.metric for asked in found.asked] == ["lipsync"]
    assert all("reference=DIR" in each.reason for each in found.absent)


def test_the_rules_by_which_films_are_left_out_are_hashed_where_they_decide():
    usual, strict = (
        plan("syncnet", "psnr", rules=each).asked for each in (RULES, replace(RULES, min_loudness_db=-14.0))
    )
    assert usual[0].digest != strict[0].digest and usual[1].digest == strict[1].digest
    assert usual[0].generated == strict[0].generated, "what is read of a film does not depend on it"
    lax = plan("syncnet", rules=replace(RULES, max_excluded=0.5)).asked
    assert lax[0].digest == usual[0].digest, "it fails a run, and decides no number"
    with pytest.raises(ValueError, match="expected shares"):
        replace(RULES, max_excluded=10)


def test_likeness_needs_pictures_of_whom_the_films_show():
    for name, how in (("csim", {"photos": False}), ("csim-first-frame", {"reference": False})):
        (absent,) = plan(name, **how).absent
        assert "needs pictures of whom the films show; give photos=DIR" in absent.reason


def test_weights_are_a_word_that_is_known():
    with pytest.raises(ValueError, match="weights=random .expected auto, or random:SEED"):
        plan("psnr", weights="random")


def test_motion_is_no_score_of_films():
    with pytest.raises(ValueError, match="films are not scored by it"):
        plan("motion")
