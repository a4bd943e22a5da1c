"""Which generator is taken: the package's unless another is asked for, and what is told of it."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
import soundfile

from joyvasa.tasks.official import SHIPPED
from joyvasa.tasks.origin import find_latest, origin_of_run
from joyvasa.tasks.portable import read_facts


@pytest.fixture
def runs(tmp_path):
    """(experiment, ended at, expert) -> makes runs/EXPERIMENT/latest -> RUN; ended None: it never came to its end."""

    def make(name: str, ended: int | None, expert: str = "null"):
        folder = tmp_path / "runs" / name / "first"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").touch()
        (folder / "config.yaml").write_text(f"expert: {expert}\n")
        if ended is not None:
            (folder / "metrics.json").write_text("{}")
            os.utime(folder / "metrics.json", (ended, ended))
        (folder.parent / "latest").symlink_to("first")
        return folder

    make.folder = tmp_path / "runs"
    return make


def test_latest_is_the_run_of_a_generator_that_ended_last(runs):
    old, new = runs("old", 100), runs("new", 200)
    runs("killed", None)
    runs("sync", 300, "{network: null}")
    assert find_latest(runs.folder, "latest") == new.resolve()
    assert find_latest(runs.folder, "latest:old") == old.resolve()
    for word, facts in (("latest:killed", ("killed", "not come to its end")), ("latest:nope", ("nope", "old", "new")),
                        ("latest:sync", ("sync", "no motion generator"))):  # fmt: skip
        with pytest.raises(FileNotFoundError) as error:
            find_latest(runs.folder, word)
        assert all(fact in str(error.value) for fact in facts)
    with pytest.raises(FileNotFoundError, match="no run"):
        find_latest(runs.folder / "empty", "latest")


def test_a_score_is_told_of_the_checkpoint_that_has_it_alone(runs):
    folder = runs("demo", 100)
    best = folder / "checkpoints" / "best.ckpt"
    content = {"checkpoint": str(best), "step": 8, "metrics": {"model": {"lip_pc1": {"value": 0.456}}}}
    (folder / "metrics.json").write_text(json.dumps(content))
    assert origin_of_run(folder, best, 8).score == "lip_pc1 0.46"
    assert origin_of_run(folder, best, 9).score is None
    for torn in ('{"checkpoint"', "[]", '{"metrics": {"model": {"lip_pc1": {"value": null}}}}'):
        (folder / "metrics.json").write_text(torn)
        assert origin_of_run(folder, best, 8).score is None


def test_no_run_is_taken_unasked_and_what_is_taken_is_told(trained, run, tmp_path):
    voice = tmp_path / "voice.wav"
    soundfile.write(voice, 0.1 * np.random.default_rng(0).standard_normal(8_000), 16_000)
    told = {}
    for word in (None, "latest", "latest:demo"):
        words = [] if word is None else [f"checkpoint={word}"]
        done = run("task=sample", f"audio={voice}", f"out={tmp_path / 'out'}", *words)
        assert done.code == 0, done.err
        told[word] = re.search("^checkpoint .*$", done.out, re.MULTILINE).group()
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert str(summary["step"]) in told[word] and summary["score"] in told[word]
        assert summary["trained"] in told[word]
    assert str(SHIPPED) in told[None] and read_facts(SHIPPED)["score"] in told[None]
    assert str(trained.resolve()) in told["latest:demo"]
    assert f"{trained.resolve().parents[1]}/" in told["latest"], "the newest run of any experiment"
