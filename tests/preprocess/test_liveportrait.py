"""python -m preprocess source=liveportrait: what is usable becomes shards, what is not is named with its reason."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hydra.errors import ConfigCompositionException

from joyvasa.data.official import read_motion, write_motions
from joyvasa.data.shards import open_dataset
from joyvasa.motion import SAMPLES_PER_FRAME, resample

PAIRS = ("source=liveportrait", "input=motions", "audio=voices", "output=made", "min_frames=20")


@pytest.fixture
def motions(tmp_path) -> Path:
    return tmp_path / "motions"


@pytest.fixture
def voices(tmp_path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def good(motions, voices, make_motion, make_voice):
    """Three motions of 25, 50 and 20 frames a second and their voices, one at 44.1 kHz stereo."""
    for seed, (name, fps) in enumerate({"anna": 25, "öl und é": 50, "carl": 20}.items()):
        write_motions(motions / f"{name}.pkl", make_motion(seed, 60, output_fps=fps))
        make_voice(voices / f"{name}.wav", 60 / fps, *((44100, 2) if name == "carl" else (16000, 1)))


def clips_of(folder: Path) -> dict:
    """Clips by the name of their motion file."""
    dataset = open_dataset(folder)
    dataset.verify()
    clips = [entry.load() for split in dataset.splits for entry in dataset.entries(split)]
    return {clip.meta["source"]: clip for clip in clips}


def test_every_motion_comes_at_25_a_second_with_its_voice(good, run, tmp_path, motions, report):
    done = run(*PAIRS)
    assert done.code == 0, done.err
    clips = clips_of(tmp_path / "made")
    assert {name: len(clip.motion) for name, clip in clips.items()} == {
        "anna.pkl": 60,
        "öl und é.pkl": 30,
        "carl.pkl": 75,
    }
    for name, clip in clips.items():
        official = read_motion(motions / name, name)
        np.testing.assert_array_equal(clip.motion, resample(official.motion, official.fps))
        assert clip.audio.shape == (SAMPLES_PER_FRAME * len(clip.motion),) and clip.audio.std() > 0.1
        assert clip.meta["paired"] is True and clip.meta["voice"] == name.replace(".pkl", ".wav")
        assert clip.meta["speaker"] == Path(name).stem and "." not in clip.key
        assert clip.meta["quality"]["source_fps"] == official.fps and len(clip.meta["source_sha256"]) == 64
    assert "imported  3 clips" in done.out and "made/import.json" in done.out
    content = report("made")
    assert (content["imported"], content["rejected"], content["remarks"]) == (3, [], [])


def test_the_voice_is_the_recording_sample_by_sample(motions, voices, make_motion, make_voice, run, tmp_path):
    write_motions(motions / "a.pkl", make_motion(0, 50))
    write_motions(motions / "b.pkl", make_motion(1, 50))
    samples = make_voice(voices / "a.wav", 2.1)
    short = make_voice(voices / "deep" / "b.flac", 1.9)
    assert run(*PAIRS).code == 0
    clips = clips_of(tmp_path / "made")
    np.testing.assert_array_equal(clips["a.pkl"].audio, samples[: 50 * SAMPLES_PER_FRAME])
    np.testing.assert_array_equal(clips["b.pkl"].audio, np.pad(short, (0, 50 * SAMPLES_PER_FRAME - len(short))))


def test_lengths_that_differ_are_said(good, voices, make_voice, run, report):
    make_voice(voices / "anna.wav", 4.4)
    make_voice(voices / "carl.wav", 2.0)
    done = run(*PAIRS)
    assert report("made")["names"] == {"lengths differ": ["anna.pkl", "carl.pkl"]}
    assert "anna.pkl: 60 frames with anna.wav: voice cut by 50 frames" in done.out
    assert "carl.pkl: 75 frames with carl.wav: 25 frames of silence added" in done.out


@pytest.fixture
def broken(good, motions, voices, make_motion, make_voice, tmp_path):
    """What must not stop the rest, each with a voice unless that is what is wrong."""
    nan = make_motion(7)
    nan["motion"][11]["exp"][0, 3, 1] = np.nan
    whole = pickle.dumps(make_motion(8))
    evil = f"cos\nsystem\n(S'touch {tmp_path / 'broken-in'}'\ntR."
    files = {"nan": pickle.dumps(nan), "cut": whole[:-40], "text": b"hello", "evil": evil.encode(), "empty": b""}
    for name, data in files.items():
        (motions / f"{name}.pkl").write_bytes(data)
        make_voice(voices / f"{name}.wav", 1)
    write_motions(motions / "short.pkl", make_motion(9, 19))
    make_voice(voices / "short.wav", 1)
    write_motions(motions / "alone.pkl", make_motion(10))
    for name in ("noise", "mute"):
        write_motions(motions / f"{name}.pkl", make_motion(11))
    (voices / "noise.wav").write_bytes(b"RIFF" + bytes(range(200)))
    (voices / "mute.wav").write_bytes(b"")
    make_voice(voices / "spare.wav", 1)
    return {
        "unreadable motion": {"nan.pkl", "cut.pkl", "text.pkl", "evil.pkl", "empty.pkl"},
        "too short": {"short.pkl"},
        "no voice": {"alone.pkl"},
        "no motion": {"spare.wav"},
        "unreadable audio": {"noise.pkl", "mute.pkl"},
    }


def test_broken_files_are_counted_named_and_explained(broken, run, tmp_path, report):
    done = run(*PAIRS)
    assert done.code == 0, done.err
    assert len(clips_of(tmp_path / "made")) == 3
    content = report("made")
    assert {kind: set(names) for kind, names in content["names"].items()} == broken
    assert content["rejected_by_kind"] == {kind: len(names) for kind, names in broken.items()}
    reasons = {note["name"]: note["reason"] for note in content["rejected"]}
    assert "frame 11: exp is not finite" in reasons["nan.pkl"]
    assert "os.system" in reasons["evil.pkl"] and not (tmp_path / "broken-in").exists()
    assert "19 frames at 25 a second (min_frames=20)" in reasons["short.pkl"]
    assert "none called alone" in reasons["alone.pkl"] and reasons["noise.pkl"].startswith("noise.wav: ")
    assert "left out  10: 5 unreadable motion, 2 unreadable audio" in done.out
    for name, reason in reasons.items():
        assert f"    {name}: {reason}" in done.out and str(tmp_path) not in reason.partition(" expected in ")[0]


def test_nothing_usable_is_exit_code_1_with_the_reasons(motions, voices, make_voice, run, tmp_path, report):
    motions.mkdir()
    (motions / "text.pkl").write_bytes(b"hello")
    make_voice(voices / "text.wav", 3)
    done = run(*PAIRS)
    assert done.code == 1 and done.err.count("error: nothing to import") == 1
    assert "text.pkl: not a whole pickle" in done.err and "Traceback" not in done.err
    assert report("made")["imported"] == 0 and not (tmp_path / "made" / "dataset.json").exists()


def test_voices_in_turn_are_marked_and_loop(good, voices, make_voice, run, tmp_path, report):
    for path in voices.iterdir():
        path.unlink()
    one, two = make_voice(voices / "1.wav", 0.5), make_voice(voices / "zwei.wav", 9)
    (voices / "broken.wav").write_bytes(b"RIFF")
    done = run(*PAIRS, "pairs=cycle")
    assert done.code == 0, done.err
    clips = clips_of(tmp_path / "made")
    assert [clips[name].meta["voice"] for name in sorted(clips)] == ["1.wav", "zwei.wav", "1.wav"]
    np.testing.assert_array_equal(clips["anna.pkl"].audio, np.resize(one, 60 * SAMPLES_PER_FRAME))
    np.testing.assert_array_equal(clips["carl.pkl"].audio, two[: 75 * SAMPLES_PER_FRAME])
    assert {clip.meta["paired"] for clip in clips.values()} == {False}
    assert report("made")["names"] == {"unreadable audio": ["broken.wav"]}


def test_a_list_gives_pairs_speakers_and_splits(good, tmp_path, motions, run, report):
    rows = [
        "motion,audio,speaker,split",
        "motions/anna.pkl,voices/carl.wav,Ann,train",
        '"öl und é.pkl","öl und é.wav",Ann,validation',
        f"{motions / 'carl.pkl'},carl.wav,Carl,",
        "carl.pkl,carl.wav,Dora,test",
        "carl.pkl,carl.wav,Dora,test",
        "anna.pkl,anna.wav,Eve,tset",
        "nobody.pkl,anna.wav,Eve,train",
        "anna.pkl,,Eve,train",
        "",
    ]
    (tmp_path / "list.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    done = run(*PAIRS, "pairs=list.csv")
    assert done.code == 0, done.err
    dataset = open_dataset(tmp_path / "made")
    home = {name: split for split, content in dataset.splits.items() for name in content["speakers"]}
    assert home["Dora"] == "test" and {home["Ann"], home["Carl"]} == {"train", "validation"}
    assert {clip.meta["paired"] for clip in clips_of(tmp_path / "made").values()} == {True}
    names = report("made")["names"]
    assert names["speaker in several splits"] == ["Ann"] and names["listed twice"] == ["carl.pkl"]
    assert names["unknown split"] == ["list.csv line 7, anna.pkl"]
    assert names["no motion"] == ["list.csv line 8, nobody.pkl"] and names["no audio"] == ["list.csv line 9, anna.pkl"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("motion,sound\n", "header motion, sound (expected motion,audio,speaker,split)"),
        ("motion,audio,speker\n", "header motion, audio, speker (expected"),
        ("motion,audio\na,b,c\n", "line 2 has more cells than the header"),
        ("", "header missing"),
        (b"motion,audio\n\0,b\n", "not a list of pairs"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(good, text, message, tmp_path, run):
    (tmp_path / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(*PAIRS, "pairs=list.csv")
    assert done.code == 2 and done.err.startswith("error: pairs=list.csv: ")
    assert message in done.err.splitlines()[0] and "Traceback" not in done.err


def test_names_that_fit_twice_and_names_in_folders(motions, voices, make_motion, make_voice, run, tmp_path, report):
    for name in ("x/one", "y/one", "two", "three"):
        write_motions(motions / f"{name}.pkl", make_motion(len(name)))
    for name in ("x/one.wav", "y/one.flac", "a/two.wav", "b/two.wav", "three.wav"):
        make_voice(voices / name, 2.4)
    (voices / "three.mp4").write_bytes(b"the film of three.wav is no second voice")
    done = run(*PAIRS)
    assert done.code == 0, done.err
    clips = clips_of(tmp_path / "made")
    pairs = {name: clip.meta["voice"] for name, clip in clips.items()}
    assert pairs == {"x/one.pkl": "x/one.wav", "y/one.pkl": "y/one.flac", "three.pkl": "three.wav"}
    assert clips["x/one.pkl"].meta["speaker"] == clips["y/one.pkl"].meta["speaker"] == "one"
    assert "a/two.wav, b/two.wav" in done.out and report("made")["names"]["no voice"] == ["two.pkl"]


def test_splits_are_by_speaker_and_do_not_depend_on_the_order_or_on_other_files(good, run, tmp_path):
    assert run(*PAIRS).code == 0
    assert run(*PAIRS[:3], "output=again", "min_frames=20").code == 0
    first, again = open_dataset(tmp_path / "made"), open_dataset(tmp_path / "again")
    assert first.sha == again.sha and len(first.splits["validation"]["speakers"]) == 1
    assert run(*PAIRS[:3], "output=half", "min_frames=20", "source.validation_share=1").code == 0
    assert len(open_dataset(tmp_path / "half").splits["train"]["speakers"]) == 1


@pytest.mark.parametrize(
    "words, message",
    [
        (("input=motions", "pairs=cyle"), "pairs=cyle (expected stem, cycle or a .csv file"),
        (("audio=voices",), "input= is missing: the folder of motion files"),
        (("input=motions", "pairs=cycle"), "audio= is missing"),
        (("input=nowhere", "audio=voices"), "input=nowhere: no such folder"),
        (("input=motions", "audio=nowhere"), "audio=nowhere: no such"),
        (("input=voices", "audio=voices"), "input=voices: no motion file (*.pkl)"),
        (("input=motions", "audio=motions"), "audio=motions: no sound file"),
        (("input=motions", "audio=voices", "pairs=none.csv"), "pairs=none.csv: no such file"),
        (("input=motions", "audio=voices", "min_frames=0"), "expected min_frames >= 1"),
    ],
)
def test_what_is_missing_is_one_line(good, words, message, run, tmp_path):
    done = run("source=liveportrait", "output=made", *words)
    assert done.code == 2 and done.err.startswith("error: ") and "Traceback" not in done.err
    assert message in done.err.splitlines()[0] and not (tmp_path / "made").exists()


def test_a_folder_that_holds_a_dataset_is_left_alone(good, run, tmp_path):
    assert run(*PAIRS).code == 0
    before = (tmp_path / "made" / "dataset.json").read_bytes()
    done = run(*PAIRS)
    assert done.code == 2 and "a dataset is there already" in done.err
    assert (tmp_path / "made" / "dataset.json").read_bytes() == before


@pytest.mark.parametrize("word", ["inptu=x", "min_frame=3", "source.pair=x", "min_frames=many"])
def test_misspelt_words_fail(word, run, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException):
        run(*PAIRS, word)
