"""python -m preprocess source=joyvasa: JoyVASA's folder becomes the same clips as the motion files it was made of."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from joyvasa.data.official import read_motion, template_of, write_motions, write_template
from joyvasa.data.shards import open_dataset

IMPORT = ("source=joyvasa", "input=layout", "output=made", "min_frames=20")


@pytest.fixture
def layout(tmp_path) -> Path:
    return tmp_path / "layout"


@pytest.fixture
def write_layout(layout):
    """(motions by audio name, train names, test names) -> the folder's files."""

    def write(motions: dict, train: list, test: list) -> None:
        write_motions(layout / "motions.pkl", motions)
        for file, names in (("train.json", train), ("test.json", test)):
            entries = [{"audio_name": name, "motion_name": name + ".pkl", "video_name": ""} for name in names]
            (layout / file).write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")

    return write


@pytest.fixture
def four(layout, write_layout, make_motion, make_voice) -> dict:
    """Two speakers in train and two in test, named by absolute paths of another machine."""
    names = [f"/data/far away/{speaker}/é {speaker}.wav" for speaker in ("anna", "boris", "clara", "dora")]
    motions = {name: make_motion(seed, 60, output_fps=25 + 5 * seed) for seed, name in enumerate(names)}
    for name, motion in motions.items():
        make_voice(layout / "wavs" / Path(name).parent.name / Path(name).name, 60 / motion["output_fps"])
    write_layout(motions, names[:2], names[2:])
    return motions


def clips_of(folder: Path) -> dict:
    """Clips by the last part of the motion's name, without ending."""
    dataset = open_dataset(folder)
    clips = [entry.load() for split in dataset.splits for entry in dataset.entries(split)]
    return {Path(clip.meta["source"]).stem: clip for clip in clips}


def test_both_sources_give_the_same_tensors_and_sound(four, layout, run, tmp_path):
    for name, motion in four.items():
        write_motions(tmp_path / "motions" / f"{Path(name).stem}.pkl", motion)
    assert run(*IMPORT).code == 0
    words = ("source=liveportrait", "input=motions", "audio=layout/wavs", "output=other", "min_frames=20")
    assert run(*words).code == 0
    one, other = clips_of(tmp_path / "made"), clips_of(tmp_path / "other")
    assert len(one) == 4 and one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name].motion, other[name].motion)
        np.testing.assert_array_equal(one[name].audio, other[name].audio)
        assert one[name].meta["paired"] and (one[name].meta["extractor"], other[name].meta["extractor"]) == (
            "joyvasa", "liveportrait",
        )  # fmt: skip


def test_the_lists_are_the_splits_and_folders_the_speakers(four, run, tmp_path, report):
    done = run(*IMPORT)
    assert done.code == 0, done.err
    dataset = open_dataset(tmp_path / "made")
    speakers = {split: content["speakers"] for split, content in dataset.splits.items()}
    assert speakers == {"train": ["anna", "boris"], "validation": ["clara", "dora"]}
    assert report("made")["names"] == {} and "imported  4 clips" in done.out


def test_a_speaker_in_both_lists_goes_to_train_as_a_whole(
    layout, write_layout, make_motion, make_voice, run, tmp_path, report
):
    names = ["anna/1.wav", "anna/2.wav", "boris/1.wav", "boris/2.wav", "clara/1.wav"]
    for name in names:
        make_voice(layout / name, 2.4)
    write_layout(
        {name: make_motion(5) for name in names}, ["anna/1.wav", "boris/1.wav", "boris/2.wav"], names[1:2] + names[4:]
    )
    assert run(*IMPORT).code == 0
    splits = {split: content["speakers"] for split, content in open_dataset(tmp_path / "made").splits.items()}
    assert splits == {"train": ["anna", "boris"], "validation": ["clara"]}
    assert report("made")["names"] == {"speaker in several splits": ["anna"]}
    assert run(*IMPORT[:2], "output=stems", "min_frames=20", "source.speaker=stem").code == 0
    assert set(clips_of(tmp_path / "stems")) == {"1", "2"} == set(open_dataset(tmp_path / "stems").speakers)


def test_in_one_folder_every_voice_is_a_speaker(layout, write_layout, make_motion, make_voice, run, tmp_path):
    names = [f"/mnt/all/{number}.wav" for number in range(3)]
    for number in range(3):
        make_voice(layout / f"{number}.wav", 2.4)
    write_layout({name: make_motion(1) for name in names}, names[:2], names[2:])
    assert run(*IMPORT).code == 0
    assert open_dataset(tmp_path / "made").speakers == ["0", "1", "2"]
    assert run(*IMPORT[:2], "output=one", "min_frames=20", "source.speaker=folder").code == 0
    assert open_dataset(tmp_path / "one").speakers == ["all"]


def test_what_is_broken_is_named_and_the_rest_comes(
    four, layout, write_layout, make_motion, make_voice, run, tmp_path, report
):
    nan, bare = make_motion(8), [1, 2]
    nan["motion"][4]["t"][0, 0] = np.nan
    lonely = ["nan.wav", "bare.wav", "silent.wav", "noise.wav", "twin.wav", "unlisted.wav", "short.wav"]
    values = [nan, bare, *(make_motion(9) for _ in range(4)), make_motion(9, 19)]
    for name in ("nan.wav", "bare.wav", "a/twin.wav", "b/twin.wav", "unlisted.wav", "short.wav"):
        make_voice(layout / "more" / name, 2.4)
    (layout / "more" / "noise.wav").write_bytes(b"RIFF of nothing")
    train = [*list(four)[:2], *lonely[:5], "short.wav", "ghost.wav", "nan.wav"]
    write_layout(four | dict(zip(lonely, values, strict=True)), train, list(four)[2:])
    entries = json.loads((layout / "test.json").read_text())
    (layout / "test.json").write_text(json.dumps([*entries, {"video_name": "x"}, "text"]))
    done = run(*IMPORT)
    assert done.code == 0, done.err
    assert len(clips_of(tmp_path / "made")) == 4
    assert report("made")["names"] == {
        "unreadable motion": ["nan.wav", "bare.wav"],
        "no voice": ["silent.wav"],
        "several voices": ["twin.wav"],
        "unreadable audio": ["noise.wav"],
        "no motion": ["ghost.wav"],
        "not listed": ["unlisted.wav"],
        "too short": ["short.wav"],
        "listed twice": ["train.json entry 9"],
        "broken entry": ["test.json entry 2", "test.json entry 3"],
    }
    for words in ("frame 4: t is not finite", "more/a/twin.wav, more/b/twin.wav", "holds list (expected a motion dict"):
        assert words in done.out


@pytest.mark.parametrize("spelling", ["motion_template.pkl", "motion_templete.pkl"])
def test_a_template_of_other_clips_is_said(four, layout, spelling, run, report):
    clips = [read_motion(motion, name).motion for name, motion in four.items()]
    write_template(layout / spelling, template_of(clips, None))
    assert run(*IMPORT).code == 0 and report("made")["remarks"] == []
    write_template(layout / spelling, template_of(clips[:2], None))
    done = run(*IMPORT[:2], "output=again", "min_frames=20")
    assert done.code == 0 and report("again")["names"] == {"other template": [spelling]}
    assert "4 clips of motions.pkl, test split included" in done.out
    (layout / spelling).write_bytes(b"broken")
    assert run(*IMPORT[:2], "output=third", "min_frames=20").code == 0
    assert report("third")["names"] == {"unreadable template": [spelling]}


@pytest.mark.parametrize("broken", ["train.json", "test.json", None])
def test_without_a_list_speakers_are_split_by_hash(four, layout, broken, run, tmp_path, report):
    for name in [broken] if broken else ["train.json", "test.json"]:
        (layout / name).unlink()
    if broken:
        (layout / broken).write_text("[{")
    done = run(*IMPORT)
    assert done.code == 0, done.err
    dataset = open_dataset(tmp_path / "made")
    assert set(dataset.splits) == {"train", "validation"} and len(dataset.speakers) == (2 if broken else 4)
    assert report("made")["names"]["unreadable list"] == ([broken] if broken else ["train.json", "test.json"])


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (pickle.dumps({"a": 1})[:-4], "not a whole pickle"),
        (pickle.dumps([1]), "holds list (expected a dictionary by audio name)"),
    ],
)
def test_a_broken_motions_pkl_is_exit_code_1_with_the_reason(four, layout, data, reason, run, tmp_path):
    (layout / "motions.pkl").write_bytes(data)
    done = run(*IMPORT)
    assert done.code == 1 and done.err.splitlines()[-3].startswith("left out  1: 1 unreadable motions")
    assert "    motions.pkl: " in done.err and reason in done.err
    assert not (tmp_path / "made" / "dataset.json").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("output=made",), "input= is missing: the folder that holds motions.pkl"),
        (("input=nowhere", "output=made"), "input=nowhere: no motions.pkl there"),
        (("input=layout", "output=made", "source.speaker=name"), "source.speaker=name (expected one of auto, folder"),
        (("input=layout", "output=made", "audio=x"), "audio= not taken by JoyVASASource"),
    ],
)
def test_what_is_missing_is_one_line(four, words, message, run):
    done = run("source=joyvasa", *words)
    assert done.code == 2 and message in done.err.splitlines()[0] and "Traceback" not in done.err
