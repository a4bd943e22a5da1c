"""Each film is decoded once for all metrics, what was read is not read again, and what is wrong is said."""

import shutil

import cv2
import numpy as np
import pytest

from joyvasa.eval.films import passing
from joyvasa.eval.films.gauge import Reading, packed, unpacked
from joyvasa.eval.films.identity_gauge import IdentityInstrument
from joyvasa.eval.films.pairing import REFERENCE, pair_films
from joyvasa.eval.films.passing import measure
from joyvasa.eval.films.store import Store
from joyvasa.eval.protocols import CSIM, IN_MEMORY
from joyvasa.io.video_reader import VideoReader
from tests.eval.films.speaking import Colours, Ear, Finder, plan_of, speaking
from tests.preprocess.videos.made_films import Made, numbered, write

NAMES = ("wav2lip-lrs", "wav2lip-lrs-masked", "psnr", "ssim")


@pytest.fixture
def films(tmp_path):
    """Folders `ours`, `theirs` and `real`, of one film each."""
    for name, noise in (("ours", 10), ("theirs", 40), ("real", 0)):
        (tmp_path / name).mkdir()
        speaking(tmp_path / name / "a.mkv", seed=1, noise=noise)
    return tmp_path


@pytest.fixture
def opened(monkeypatch):
    """Paths of the films that were decoded, each time."""
    seen = []

    class Counted(VideoReader):
        def __iter__(self):
            seen.append(str(self.path.parent.name))
            return super().__iter__()

    monkeypatch.setattr(passing, "VideoReader", Counted)
    return seen


def run(root, plan, systems=("ours",), reference=True, frames=None):
    pairing = pair_films({name: root / name for name in systems}, root / "real" if reference else None, None)
    store = Store(root / "cache")
    (group,) = pairing.groups
    return measure(group, plan.sides, store, frames or (lambda count: None)), store


def reading(reads, store, plan, row, number=0):
    asked = plan.asked[number]
    return store.get(reads[row].keys[asked.reference if row == REFERENCE else asked.generated])


def test_every_film_is_decoded_once_for_all_metrics_and_systems(films, opened):
    plan = plan_of(*NAMES)
    counted = []
    reads, store = run(films, plan, ("ours", "theirs"), frames=counted.append)
    assert sorted(opened) == ["ours", "real", "theirs"] and sum(counted) == 180
    psnr = [reading(reads, store, plan, row, 2).facts["psnr"] for row in ("ours", "theirs")]
    assert psnr[0] > psnr[1] > 10
    assert reading(reads, store, plan, REFERENCE).arrays["lip_0"].shape == (55, 5)


def test_two_protocols_of_one_judge_share_its_work(films):
    ear = Ear()
    run(films, plan_of("wav2lip-lrs", "wav2lip-lrs-masked", ear=ear), reference=False)
    pieces = 3  # of 24 frames, each four frames longer
    assert ear.lips == 60 + 4 * (pieces - 1)


def test_what_was_read_is_not_read_again_whatever_the_film_is_called(films, opened):
    plan = plan_of(*NAMES)
    first, _ = run(films, plan)
    opened.clear()
    again, _ = run(films, plan)
    assert not opened and again["ours"].keys == first["ours"].keys and again["ours"].decoded == 0
    (films / "ours" / "a.mkv").rename(films / "ours" / "b.mkv")
    (films / "real" / "a.mkv").rename(films / "real" / "b.mkv")
    run(films, plan)
    assert not opened


def test_another_system_costs_itself_and_the_reference_only_where_it_is_compared(films, opened):
    run(films, plan_of(*NAMES))
    opened.clear()
    run(films, plan_of("wav2lip-lrs"), ("ours", "theirs"))
    assert opened == ["theirs"]
    opened.clear()
    run(films, plan_of(*NAMES), ("ours", "theirs"))
    assert sorted(opened) == ["real", "theirs"]


def test_another_content_is_read_anew(films, opened):
    plan = plan_of(*NAMES)
    run(films, plan)
    opened.clear()
    shutil.copy(films / "theirs" / "a.mkv", films / "real" / "a.mkv")
    reads, store = run(films, plan)
    assert "ours" in opened, "it is compared with another film now"
    assert reading(reads, store, plan, "ours", 2).facts["psnr"] < 30


def test_a_reading_that_a_crash_cut_off_is_made_again(films, opened):
    plan = plan_of("psnr")
    reads, store = run(films, plan)
    path = store.path(reads["ours"].keys[plan.asked[0].generated])
    whole = path.read_bytes()
    for left in (0, 10, len(whole) - 5):
        path.write_bytes(whole[:left])
        opened.clear()
        run(films, plan)
        assert "ours" in opened and path.read_bytes() == whole


def test_a_film_that_is_none_harms_no_other(films):
    (films / "ours" / "a.mkv").write_bytes(b"no film at all")
    plan = plan_of(*NAMES)
    reads, store = run(films, plan, ("ours", "theirs"))
    assert "a.mkv" not in reads["ours"].fault and reads["theirs"].fault is None
    assert reading(reads, store, plan, "theirs", 2) is not None


def test_an_error_that_nobody_expected_costs_one_film_one_metric_and_is_not_kept(films, monkeypatch):
    def broken(self, pieces):
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(Ear, "lip_windows", broken)
    plan = plan_of(*NAMES)
    reads, store = run(films, plan)
    assert reads["ours"].faults == {plan.asked[0].generated: "failed: RuntimeError: the driver is gone"}
    assert reading(reads, store, plan, "ours", 2).facts["psnr"] > 10
    monkeypatch.undo()
    assert not run(films, plan)[0]["ours"].faults


def test_a_voice_behind_the_last_picture_is_no_voice(films):
    times = np.arange(25) / 25
    late = np.concatenate([np.zeros(16_000), 0.5 * np.sin(np.arange(16_000))]).astype(np.float32)
    made = Made(times, late, rate=16_000, sound_codec="pcm_s16le", size=(96, 64))
    write(films / "ours" / "a.mkv", made, numbered(25, (96, 64)))
    plan = plan_of("wav2lip-lrs")
    reads, store = run(films, plan)
    assert reading(reads, store, plan, "ours").facts["loudness_db"] < -100


def test_a_photo_is_looked_at_where_it_is_asked_for(films):
    (films / "photos").mkdir()
    cv2.imwrite(str(films / "photos" / "a.png"), np.full((64, 64, 3), 200, np.uint8))
    plan, store = plan_of(), Store(films / "cache")
    plan.sides.generated["csim"] = IdentityInstrument(CSIM, {}, IN_MEMORY, Colours(), Finder())
    (group,) = pair_films({"ours": films / "ours"}, None, films / "photos").groups
    read = measure(group, plan.sides, store, lambda count: None)["ours"]
    assert not read.faults and np.nanmean(store.get(read.keys["csim"]).arrays["cosines"]) > 0.99


def test_a_photo_that_cannot_be_read_harms_nothing(films):
    (films / "photos").mkdir()
    (films / "photos" / "a.png").write_bytes(b"no picture")
    plan, store = plan_of("psnr"), Store(films / "cache")
    (group,) = pair_films({"ours": films / "ours"}, films / "real", films / "photos").groups
    assert not measure(group, plan.sides, store, lambda count: None)["ours"].faults


@pytest.mark.parametrize("broken", ["ours", "real"])
def test_a_film_that_breaks_in_its_middle_is_excluded_and_its_counterpart_is_not(films, broken, monkeypatch):
    class Breaking(VideoReader):
        def __iter__(self):
            for number, frame in enumerate(super().__iter__()):
                if number == 30 and self.path.parent.name == broken:
                    raise ValueError(f"{self.path}: damaged behind frame 29")
                yield frame

    monkeypatch.setattr(passing, "VideoReader", Breaking)
    plan = plan_of(*NAMES)
    reads, store = run(films, plan)
    row, other = ("ours", REFERENCE) if broken == "ours" else (REFERENCE, "ours")
    assert reads[row].fault == "damaged behind frame 29" and reads[other].fault is None
    assert reading(reads, store, plan, other) is not None
    if broken == "real":
        psnr = plan.asked[2].generated
        assert reads["ours"].faults == {
            psnr: "its reference is damaged",
            plan.asked[3].generated: reads["ours"].faults[psnr],
        }
        monkeypatch.undo()
        again, _ = run(films, plan)
        assert not again["ours"].faults, "what was wrong with another film is not kept"


def test_pairs_of_another_length_or_rate_are_not_compared_but_heard(films):
    speaking(films / "ours" / "a.mkv", seed=1, frames=50)
    speaking(films / "theirs" / "a.mkv", seed=1, fps=32)
    plan = plan_of(*NAMES)
    reads, store = run(films, plan, ("ours", "theirs"))
    psnr, ssim = (plan.asked[number].generated for number in (2, 3))
    assert reads["ours"].faults[psnr] == "50 frames (expected the reference's 60)"
    assert "32 frames a second (expected the reference's 25)" in reads["theirs"].faults[ssim]
    assert reading(reads, store, plan, "ours").arrays


def test_three_frames_have_no_lips(films):
    speaking(films / "ours" / "a.mkv", seed=1, frames=3)
    plan = plan_of("wav2lip-lrs")
    reads, _ = run(films, plan)
    assert reads["ours"].faults == {plan.asked[0].generated: "3 frames (expected more than 5)"}


def test_a_silent_film_is_said_to_be_and_a_mute_one_too(films):
    speaking(films / "ours" / "a.mkv", seed=1, voice=0)
    plan = plan_of("wav2lip-lrs")
    reads, store = run(films, plan)
    assert reading(reads, store, plan, "ours").facts["loudness_db"] == -120


def test_readings_survive_the_disk():
    made = Reading({"a": [1, None], "b": float("inf")}, {"x": np.arange(3.0), "head": np.zeros((2, 2))})
    again = unpacked(packed(made))
    assert again.facts == made.facts and any(each.startswith("torch ") for each in again.libraries)
    with pytest.raises(ValueError, match="not the arrays"):
        unpacked(packed(made) | {"array_x": np.arange(1.0, 4.0)})
    assert {name: each.tolist() for name, each in again.arrays.items()} == {"x": [0, 1, 2], "head": [[0, 0], [0, 0]]}


def test_films_of_one_content_are_decoded_once_and_have_equal_readings(films, opened):
    shutil.copy(films / "real" / "a.mkv", films / "ours" / "a.mkv")
    plan, counted = plan_of(*NAMES), []
    reads, store = run(films, plan, ("ours", "theirs"), frames=counted.append)
    assert sorted(opened) == ["ours", "theirs"] and sum(counted) == 120
    assert reads["ours"].decoded == 60 and reads[REFERENCE].decoded == 0
    for number in range(len(plan.asked)):
        assert reading(reads, store, plan, "ours", number) is not None
    lips = [reading(reads, store, plan, row).arrays["lip_0"] for row in ("ours", REFERENCE)]
    np.testing.assert_array_equal(*lips)
    assert reading(reads, store, plan, "ours", 2).facts["psnr_pooled"] == np.inf
    assert reading(reads, store, plan, "ours", 2).facts["identical"] == 1


def test_what_is_wrong_with_a_content_is_told_of_all_its_films(films):
    for name in ("ours", "real"):
        (films / name / "a.mkv").write_bytes(b"no film")
    reads, _ = run(films, plan_of(*NAMES))
    assert reads["ours"].fault and reads[REFERENCE].fault == reads["ours"].fault
    for name in ("ours", "real"):
        speaking(films / name / "a.mkv", seed=1, frames=4)
    plan = plan_of(*NAMES)
    reads, _ = run(films, plan)
    assert reads["ours"].faults[plan.asked[0].generated] == reads[REFERENCE].faults[plan.asked[0].reference]
