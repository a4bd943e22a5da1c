"""task=accept, with stand-ins whose hashes are put into the registry: steps, verdicts, resuming, the report."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from urllib.error import HTTPError, URLError

import cv2
import numpy as np
import pytest
import torch

from joyvasa import download, weights
from joyvasa.animate import liveportrait_stage
from joyvasa.data.official_template import template_from_stats, write_template
from joyvasa.download import DownloadError, WrongFile
from joyvasa.eval.known_answers import blocks, published, signal
from joyvasa.eval.verdicts import CLIP, METRICS, Examiner
from joyvasa.faces.haar import HaarDetector
from joyvasa.io.video_writer import write_video
from joyvasa.models.checkpoint import write_official
from joyvasa.models.judges import load
from joyvasa.models.liveportrait.sizes import SMALL
from joyvasa.tasks import accept_films, accept_judges
from joyvasa.tasks.accept_judges import Fetcher, score_clip
from joyvasa.tasks.accept_step import Book
from joyvasa.weight_entries import ENTRIES
from tests.models.liveportrait.conftest import write_layout
from tests.models.test_checkpoint import WINDOW, made, stats

FRAMES = 10


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """An empty store, a registry of five entries, no network."""

    def unreachable(*_, **__):
        raise URLError("no network here")

    monkeypatch.setattr(download.urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(accept_films, "open_detector", lambda name: HaarDetector())
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))
    for name in list(ENTRIES):
        if name not in ("joyvasa", "wav2vec2", "liveportrait", "liveportrait_animals", "syncnet"):
            monkeypatch.delitem(ENTRIES, name)
    for name in list(METRICS):
        if name not in ("lipsync", "psnr"):
            monkeypatch.delitem(METRICS, name)


@pytest.fixture
def publish(monkeypatch, capsys):
    """publish(entry, folder): the files below the folder are those of the registry, and in the store."""

    def take(name, folder):
        entry = weights.get(name)
        there = {
            path.name: path for path in folder.rglob("*") if path.is_file() and name in (path.parts[-3], folder.name)
        }
        kept = [each for each in entry.files if each.name in there]
        files = [
            replace(each, sha256=weights.sha256_of(there[each.name]), size=there[each.name].stat().st_size)
            for each in kept
        ]
        monkeypatch.setitem(ENTRIES, name, replace(entry, files=tuple(files)))
        assert weights.main(["import", str(folder), "--as", name]) == 0
        capsys.readouterr()

    return take


@pytest.fixture
def stand_ins(empty, publish, monkeypatch, tmp_path, encoder_folder):
    """A small generator, small LivePortraits and a SyncNet of random weights, in official layouts, as if official."""
    for name in ("joyvasa", "syncnet"):
        (tmp_path / name).mkdir()
    write_official(
        tmp_path / "joyvasa" / "motion_generator_hubert_chinese.pt",
        made(encoder_folder("hubert")), window=WINDOW, iteration=7,
    )  # fmt: skip
    write_template(tmp_path / "joyvasa" / "motion_template.pkl", template_from_stats(stats()))
    torch.save(load("syncnet", "random:3").state_dict(), tmp_path / "syncnet" / "syncnet_v2.model")
    layout = write_layout(tmp_path / "layout")
    for name in ("joyvasa", "syncnet"):
        publish(name, tmp_path / name)
    publish("wav2vec2", encoder_folder("wav2vec2"))
    for name in ("liveportrait", "liveportrait_animals"):
        publish(name, layout)
    monkeypatch.setattr(liveportrait_stage, "load", partial(liveportrait_stage.load, sizes=SMALL))


@pytest.fixture
def clip(tmp_path):
    """A crop with sound, as the authors' clip is one."""
    path = tmp_path / "example.mp4"
    sound = signal(30 * 640).astype(np.float32) / 32768
    write_video(path, blocks(30, 224, 224, 3, side=56), sound)
    return path


@pytest.fixture
def accept(run, tmp_path):
    """accept(words …): the call, what it printed, and accept.json's steps."""

    def call(*words):
        done = run("task=accept", f"max_frames={FRAMES}", f"out={tmp_path / 'out'}", *words)
        book = json.loads((tmp_path / "out" / "accept.json").read_text())
        return done, book["steps"]

    return call


def states(steps):
    return {name: row["state"] for name, row in steps.items()}


def test_without_weights_every_step_says_what_to_type_and_none_ends_the_others(empty, accept, tmp_path):
    done, steps = accept()
    assert done.code == 0, done.err
    assert list(steps) == [
        "weights wav2vec2", "weights joyvasa", "weights liveportrait", "weights liveportrait_animals",
        "weights syncnet", "encoder wav2vec2", "syncnet clip", "metric lipsync", "metric psnr", "sample",
        "render person", "render animal",
    ]  # fmt: skip
    assert {name for name, state in states(steps).items() if state == "verified"} == {"metric psnr"}
    for name, row in steps.items():
        if row["state"] == "unverified":
            assert "python -m joyvasa.weights pull" in row["detail"] or "reference=PATH" in row["detail"], name
    assert "no network here" in done.out and "not fetched: huggingface.co gave no answer for wav2vec2" in done.out
    assert "1 verified, 11 unverified, 0 WRONG" in done.out
    said = (tmp_path / "out" / "accept.md").read_text()
    assert "| unverified | weights syncnet | https://www.robots.ox.ac.uk/" in said
    page = (tmp_path / "out" / "accept.html").read_text()
    assert "<script" not in page
    why = "10 steps: the weights could not be fetched: no answer after 4 tries (no network here); import them by hand: "
    entries = "NAME: wav2vec2, joyvasa, liveportrait, liveportrait_animals, syncnet"
    for whole in (done.out, said, page):
        assert whole.count(why) == whole.count(entries) == 1
        assert whole.count("joyvasa.weights import") == whole.count("joyvasa.weights pull") == 1
    assert said.index(why) < said.index("## Files") and page.index(why) < page.index("<h2>Files")
    assert "| unverified | encoder wav2vec2 | weights absent |" in said


def test_the_day_weights_arrive(stand_ins, clip, accept, run, monkeypatch, tmp_path):
    done, steps = accept(f"reference={clip}")
    assert done.code == 1, "the stand-in's numbers are not the authors'"
    wrong = steps["syncnet clip"]["detail"]
    assert wrong.startswith("offset: expected 3, got") and "confidence: expected 10.021" in wrong
    assert steps["metric lipsync"]["state"] == "WRONG" and wrong in steps["metric lipsync"]["detail"]
    facts = steps["syncnet clip"]["facts"]
    for name in ("offset", "distance", "confidence"):
        monkeypatch.setitem(published(CLIP), name, facts[name])

    done, steps = accept(f"reference={clip}")
    assert done.code == 0 and set(states(steps).values()) == {"verified"}, steps
    assert "everything is verified" in done.out and done.out.count("nothing has changed") == 8
    assert steps["sample"]["facts"]["frames"] == FRAMES
    for name in ("sample.npy", "voice.flac", "sample.mp4", "person.mp4", "animal.mp4", "person.jpg", "animal.jpg"):
        assert (tmp_path / "out" / name).stat().st_size, name
    assert np.load(tmp_path / "out" / "sample.npy").shape == (FRAMES, 70)
    page = (tmp_path / "out" / "accept.html").read_text()
    assert page.count("<figure>") == 3 and '<b class="verified">12</b>' in page and "<code>" not in page
    judged = Examiner().verdict("lipsync")
    assert judged.state == "verified"
    assert judged.detail.startswith("network and score verified; faces by haar, not the published S3FD; ")

    path = weights.file("liveportrait_animals", "warping_module.pth")
    content = path.read_bytes()
    path.unlink()  # the store holds a link
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    done, steps = accept(f"reference={clip}")
    bad = {name for name, state in states(steps).items() if state == "WRONG"}
    assert done.code == 1 and bad == {"weights liveportrait_animals", "render animal"}
    for name in bad:
        assert "warping_module.pth: WRONG: sha256" in steps[name]["detail"]
    assert done.out.count("nothing has changed") == 7


@pytest.mark.slow
def test_a_photo_and_a_voice_that_are_given_are_used(stand_ins, accept, tmp_path):
    photo = tmp_path / "cat.png"
    cv2.imwrite(str(photo), blocks(200, 160, 3))
    write_video(tmp_path / "voice.mp4", blocks(10, 32, 32, 3), signal(25 * 640).astype(np.float32) / 32768)
    done, steps = accept(f"image=[null,{photo}]", f"audio={tmp_path / 'voice.mp4'}")
    assert done.code == 0, done.out
    assert str(photo) in steps["render animal"]["detail"] and "voice.mp4" in steps["sample"]["detail"]
    assert steps["sample"]["facts"]["frames"] == FRAMES


def test_a_wrong_path_is_said_before_anything_is_done(run, tmp_path):
    done = run("task=accept", "image=[a.jpg,b.jpg,c.jpg]", f"out={tmp_path / 'out'}")
    assert done.code == 2 and "3 photos (expected a person" in done.err
    done = run("task=accept", "image=nobody.jpg", f"out={tmp_path / 'out'}")
    assert done.code == 2 and "image=nobody.jpg: no such file" in done.err and not (tmp_path / "out").exists()


def test_a_host_that_gave_no_answer_is_asked_once_and_one_that_refuses_again(empty, monkeypatch, tmp_path):
    asked = []

    def pull_with(cause):
        def pull(name):
            asked.append(name)
            raise DownloadError(f"{name} cannot be had") from cause

        asked.clear()
        monkeypatch.setattr(weights, "pull", pull)
        fetcher = Fetcher(Examiner())
        return [Book(tmp_path / "accept.json").go_through(fetcher.step(name))[0] for name in ENTRIES]

    found = pull_with(DownloadError("no answer"))
    assert asked == ["wav2vec2", "syncnet"] and all(each.state == "unverified" for each in found)
    assert found[1].detail.startswith("not fetched: ") and "no answer for wav2vec2" in found[1].detail
    refused = DownloadError("HTTP 404")
    refused.__cause__ = HTTPError("there", 404, "gone", None, None)
    assert pull_with(refused)[1].detail == "joyvasa cannot be had" and asked == list(ENTRIES)
    assert {each.state for each in pull_with(WrongFile("sha256"))} == {"WRONG"}


def test_a_clip_that_is_no_crop_is_cropped_and_that_is_said(clip, monkeypatch, tmp_path):
    judge, seen = load("syncnet", "random:3"), []
    _, way = score_clip(clip, judge, "haar")
    assert way == "frames as they are, a crop already"
    larger = tmp_path / "larger.mp4"
    write_video(larger, [blocks(240, 320, 3)] * 12, signal(12 * 640).astype(np.float32) / 32768)

    def look(detector, least):
        seen.append(detector.name)
        return lambda frame: [(60.0, 40.0, 220.0, 200.0)]

    monkeypatch.setattr(accept_judges, "detector_boxes", look)
    monkeypatch.setattr(accept_judges, "SYNCNET_RULE", replace(accept_judges.SYNCNET_RULE, min_track=8))
    sync, way = score_clip(larger, judge, "haar")
    assert sync.windows == 7 and seen == ["haar"] and "found by haar, which is not the authors'" in way
    monkeypatch.setattr(accept_judges, "detector_boxes", lambda *_: lambda frame: [])
    with pytest.raises(ValueError, match="larger.mp4: no face seen"):
        score_clip(larger, judge, "haar")
