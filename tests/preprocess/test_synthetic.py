"""python -m preprocess source=synthetic: ordinary shards, and the same ones whenever the settings are."""

from __future__ import annotations

import os

import pytest
from hydra.errors import ConfigCompositionException

from joyvasa.data.shards import open_dataset
from joyvasa.io.lock import hold_folder
from preprocess.synthetic import SyntheticSource

WORDS = (
    "source=synthetic", "source.train_speakers=2", "source.validation_speakers=1", "source.clips_per_speaker=1",
    "source.seconds=2", "source.processes=1",
)  # fmt: skip


def test_a_dataset_of_disjoint_speakers_is_written_and_described(run, tmp_path):
    done = run(*WORDS, "output=made", "seed=9")
    assert done.code == 0, done.err
    dataset = open_dataset(tmp_path / "made")
    dataset.verify()
    speakers = {split: {entry.speaker for entry in dataset.entries(split)} for split in dataset.splits}
    assert len(speakers["train"]) == 2 and not speakers["train"] & speakers["validation"]
    assert all(name.startswith("synthetic-9-") for names in speakers.values() for name in names)
    assert "made: " in done.out and "3 speakers (train: 2 clips, validation: 1 clips)" in done.out
    entry = dataset.entries("train")[0]
    assert entry.truth().shape == entry.motion().shape and entry.meta()["phones"]


def test_settings_and_seed_decide_the_content_and_processes_do_not(tmp_path):
    def sha(name: str, seed: int, processes: int) -> str:
        corpus = {"train_speakers": 1, "validation_speakers": 1, "clips_per_speaker": 1, "seconds": 2.0}
        return SyntheticSource(seed=seed, clips_per_shard=4, processes=processes, **corpus)(str(tmp_path / name)).sha

    first = sha("a", 0, 1)
    assert sha("b", 0, 2) == first
    assert sha("c", 1, 1) != first


@pytest.mark.parametrize(
    "words, message",
    [
        (WORDS, "output= is missing; for example: python -m preprocess"),
        ((*WORDS, "output=x", "source.train_speakers=0"), "at least one speaker"),
        ((*WORDS, "output=x", "source.seconds=90"), "clips of 2 to 60 s"),
        ((*WORDS, "output=x", "input=y", "pairs=cycle"), "input=, pairs= not taken by SyntheticSource"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(words, message, run):
    done = run(*words)
    assert done.code == 2
    assert done.err.startswith("error: ") and message in done.err.splitlines()[0] and "Traceback" not in done.err


@pytest.mark.parametrize("word", ["outptu=x", "source.speakers=3", "source=nope", "sed=1"])
def test_misspelt_words_fail_and_write_nothing(word, run, tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException):
        run(*WORDS, "output=x", word)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", [("outptu=made",), ("source=nothing",), ("source=synthetic", "seed=a")])
def test_words_that_are_not_known_are_asked_wrongly(run, words):
    assert run(*words).code == 2


def test_a_second_importer_of_a_folder_is_refused_and_told_who_is_at_work(run, tmp_path):
    with hold_folder(tmp_path / "made", "another importer"):
        done = run(*WORDS, "output=made")
        assert done.code == 2 and str(os.getpid()) in done.err and "another importer" in done.err
        assert os.listdir(tmp_path / "made") == [".lock"]
