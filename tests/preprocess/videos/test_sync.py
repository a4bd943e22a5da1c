"""filters.sync: the measures of a sync expert, its verdicts, and what is said before any film is opened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from joyvasa.eval.sync_expert import expert_sync
from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.models.sync_expert_file import NAME, open_expert, write_expert
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME, MotionStats
from preprocess.report import NothingImported
from preprocess.videos import stages
from preprocess.videos.filters import check_after
from preprocess.videos.records import Unusable
from preprocess.videos.settings import Filters
from preprocess.videos.sync import check_expert, sync_measures
from tests.preprocess.videos import inline
from tests.preprocess.videos.made import talking

ENCODER = {"width": 10, "bands": 20, "blocks": 1, "kernel": 3}
PASSING = {"yaw_deg": 0.0, "pitch_deg": 0.0, "jitter": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    zeros, ones = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    stats = MotionStats(zeros, ones, zeros, ones, zeros, ones)
    sizes = {"window": 10, "kernel": 3, "width": 12, "embedding": 6}
    expert = SyncExpert(encoder=LogMelEncoder(**ENCODER), stats=stats, seed=5, **sizes)
    folder = tmp_path_factory.mktemp("expert")
    write_expert(folder / NAME, expert, encoder=ENCODER, max_shift=15, facts={})
    return folder


def filters(path, **changes):
    given = {
        "min_seconds": 8, "max_seconds": 20, "min_fps": 9.5, "min_face_px": 0, "min_sharpness": 0, "max_rivals": 1,
        "max_missed": 1, "min_loudness_db": -99, "max_clipped": 1, "min_speech": 0, "max_yaw_deg": 180,
        "max_pitch_deg": 180, "max_jitter": 9, "max_sync_lag": 2, "min_sync_confidence": 0.3,
    }  # fmt: skip
    return Filters(**given | {"sync": path and str(path)} | changes)


def test_the_measures_are_those_of_the_judge(folder):
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((70, CHANNELS)).astype(np.float32)
    audio = (0.1 * rng.standard_normal(70 * SAMPLES_PER_FRAME)).astype(np.float32)
    found = expert_sync(open_expert(folder).network, motion, audio, max_shift=15).masked
    measures = sync_measures(str(folder), motion, audio)
    assert measures["sync_lag"] == abs(found.offset)
    assert measures["sync_confidence"] == pytest.approx(found.confidence, abs=1e-4)
    curve = open_expert(folder).network.curve(torch.from_numpy(motion), torch.from_numpy(audio), 15)
    np.testing.assert_allclose(curve.numpy(), found.curve_S, atol=1e-5)


@pytest.mark.parametrize(("lag", "confidence", "said"), [(3.0, 0.9, "3 frames apart"), (0.0, 0.29, "0.29")])
def test_a_piece_out_of_sync_is_named_with_both_numbers(folder, lag, confidence, said):
    measures = PASSING | {"sync_lag": lag, "sync_confidence": confidence}
    with pytest.raises(Unusable, match=f"{said}.*filters.m.._sync_") as caught:
        check_after(measures, filters(folder))
    assert caught.value.kind == "out_of_sync"
    check_after(measures, filters(None))
    check_after(PASSING, filters(None))
    check_after(PASSING | {"sync_lag": 2.0, "sync_confidence": 0.3}, filters(folder))


def test_an_expert_is_known_by_its_content_and_what_does_not_fit_is_said_first(folder, tmp_path):
    assert check_expert(filters(None)) is None
    first = check_expert(filters(folder))
    assert first == check_expert(filters(folder / NAME)) and len(first) == 64
    with pytest.raises(ValueError, match="filters.min_seconds=0.9: expected 1 or more"):
        check_expert(filters(folder, min_seconds=0.9))
    with pytest.raises(FileNotFoundError, match="no sync expert there"):
        check_expert(filters(tmp_path))
    save_file({"a": torch.zeros(1)}, tmp_path / NAME)
    with pytest.raises(ValueError, match="no sync expert"):
        check_expert(replace(filters(folder), sync=str(tmp_path / NAME)))


def test_films_out_of_sync_are_left_out_by_name_and_no_motion_is_computed_again(folder, tmp_path, monkeypatch):
    films = tmp_path / "films"
    films.mkdir()
    talking(films / "one.mp4", 1, fps=25)
    loose = {"filters.sync": str(folder), "filters.max_sync_lag": 15, "filters.min_sync_confidence": 0.0}
    dataset = inline.make(films, tmp_path / "set", **loose)
    (entry,) = (entry for split in dataset.splits for entry in dataset.entries(split))
    measured = entry.meta()["quality"]
    assert 0 <= measured["sync_lag"] <= 15 and measured["sync_confidence"] > 0
    assert "lips and voice apart" in (tmp_path / "set/report.html").read_text()
    monkeypatch.setattr(stages, "move_piece", lambda *_: pytest.fail("motion was computed again"))
    with pytest.raises(NothingImported, match="out_of_sync"):
        inline.make(films, tmp_path / "set", **loose | {"filters.min_sync_confidence": 1.9})
