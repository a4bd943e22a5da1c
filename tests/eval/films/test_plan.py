"""What is asked for becomes what is measured; what is missing is named with its command, never replaced in silence."""

import pytest
from omegaconf import OmegaConf

from joyvasa.eval.films.plan import PICTURE, Setup, choose, make_plan
from joyvasa.eval.protocols import PROTOCOLS, get
from joyvasa.tasks.config import conf_dir

FAMILIES = {"lipsync": ["syncnet", "syncnet-masked"], "psnr": ["psnr"], "fid": ["fid"]}


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))


def plan(*names, weights="random:0", detector="auto", reference=True):
    return make_plan(Setup(tuple(map(get, names)), weights, detector, "cpu", reference))


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


def test_protocols_of_one_judge_share_an_instrument_and_other_rules_do_not():
    found = plan("syncnet", "syncnet-masked", "latentsync")
    assert found.asked[0].generated == found.asked[1].generated != found.asked[2].generated
    assert len(found.sides.generated) == 3 and PICTURE in found.sides.generated


def test_without_a_reference_what_compares_is_absent():
    found = plan("syncnet", "psnr", "fid", reference=False)
    assert [asked.protocol.metric for asked in found.asked] == ["lipsync"]
    assert all("reference=DIR" in each.reason for each in found.absent)


def test_motion_is_no_score_of_films():
    with pytest.raises(ValueError, match="films are not scored by it"):
        plan("motion")
