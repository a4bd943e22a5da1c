"""SyncNet's clip: what task=accept found of it last is what every later verdict says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from joyvasa import weights
from joyvasa.eval.verdicts import Examiner, doubt
from joyvasa.models.judges import load
from joyvasa.tasks import accept_judges
from joyvasa.tasks.accept_judges import clip_step, metric_step
from joyvasa.tasks.accept_step import Book
from joyvasa.weight_entries import ENTRIES


@pytest.fixture
def syncnet(monkeypatch, tmp_path):
    """A SyncNet of random weights in the store, as if published."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))
    path, entry = tmp_path / "syncnet_v2.model", weights.get("syncnet")
    torch.save(load("syncnet", "random:3").state_dict(), path)
    published = replace(entry.files[0], sha256=weights.sha256_of(path), size=path.stat().st_size)
    monkeypatch.setitem(ENTRIES, "syncnet", replace(entry, files=(published,)))
    assert weights.main(["import", str(path), "--as", "syncnet"]) == 0


@pytest.fixture
def score(monkeypatch, tmp_path):
    """score(book, offset): the clip's outcome where it has that offset, the metric's, and what stands against it."""
    clip, numbers = tmp_path / "example.avi", SimpleNamespace(offset=None, distance=5.353, confidence=10.021)
    clip.write_bytes(b"a film")
    monkeypatch.setattr(accept_judges, "score_clip", lambda *_: (SimpleNamespace(reference=numbers), "as it is"))

    def call(book, offset):
        numbers.offset = offset
        outcome, _ = book.go_through(clip_step(clip, "haar", Examiner()))
        return outcome, metric_step("lipsync", Examiner()).run(), doubt("syncnet")

    return call


def test_a_wrong_score_takes_the_place_of_a_right_one_and_the_other_way_round(syncnet, score, tmp_path):
    mine, another = (Book(tmp_path / name) for name in ("accept.json", "another.json"))
    assert "reference=PATH" in doubt("syncnet").detail

    found, metric, against = score(mine, 3)
    assert (found.state, metric.state, against) == ("verified", "verified", None)
    assert metric.detail.startswith("network and score verified; faces by haar, not the published S3FD; ")

    found, metric, against = score(another, 5)
    assert found.detail == "offset: expected 3, got 5 (within 0); as it is"
    assert found.state == metric.state == against.state == "WRONG"
    for said in (metric.detail, against.detail, Examiner().verdict("lipsync").detail):
        assert f"its authors' clip: {found.detail}; python run.py task=accept reference=PATH" in said

    found, metric, against = score(mine, 3)  # not the outcome that this book holds: it was scored again
    assert (found.state, metric.state, against) == ("verified", "verified", None)
