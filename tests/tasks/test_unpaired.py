"""Training on motion whose voices belong to other faces: it runs, previews, and gives no score for lips and voice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.tasks.conftest import TINY

SMALL = tuple(word for word in TINY if not word.startswith("data.synthetic"))
SPEAKERS = {"a": ("train", 30), "b": ("train", 13), "folder/../c é": ("validation", 57)}


@pytest.fixture
def unpaired(make_clip, write_tiny, tmp_path):
    """(speakers) -> folder of a dataset, one clip shorter than two windows of each speaker, paired: false."""

    def write(speakers):
        clips = []
        for number, speaker in enumerate(speakers):
            clip = make_clip(f"clip{number}", speaker, *SPEAKERS[speaker])
            clips.append(replace(clip, truth=None, meta=clip.meta | {"paired": False}))
        return write_tiny(clips, folder=tmp_path / "unpaired").folder

    return write


def test_everything_but_lips_and_voice_is_scored(unpaired, run, home):
    folder = unpaired(SPEAKERS)
    done = run(
        *SMALL,
        "data=shards",
        f"data.path={folder}",
        "data.num_workers=0",
        "name=unpaired",
        "run_id=a",
        "callbacks.samples.every_steps=2",
    )
    assert done.code == 0, done.err
    run_folder = home / "runs" / "unpaired" / "a"
    result = json.loads((run_folder / "metrics.json").read_text())
    assert result["dataset"]["unpaired_clips"] == 1
    for row, scores in result["metrics"].items():
        for name in ("lip_pc1", "lip_pc2", "closure_f1", "sync_offset_frames"):
            assert scores[name]["value"] is None and scores[name]["n"] == 0, (row, name)
            assert scores[name]["note"].startswith("not scored: 1 clips whose voice does not belong to their motion")
        assert scores["std_ratio_lips"]["value"] is not None, row
    assert "note: not scored: 1 clips whose voice does not belong to their motion: lip_pc1" in done.out
    assert {path.suffix for path in (run_folder / "preview").iterdir()} == {".mp4", ".png"}


def test_one_training_clip_is_enough_to_train_but_not_for_baselines(unpaired, run, home):
    folder = unpaired(list(SPEAKERS)[1:])
    words = ("data=shards", f"data.path={folder}", "data.num_workers=0", "name=single", "run_id=a", "eval.previews=0")
    done = run(*SMALL, *words)
    assert done.code == 0, done.err
    result = json.loads((home / "runs" / "single" / "a" / "metrics.json").read_text())
    assert result["remarks"] == ["no baseline rows: 1 training clip (2 needed)"] and result["remarks"][0] in done.out
    assert set(result["metrics"]) == {"model", "ceiling"}
