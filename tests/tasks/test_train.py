"""task=train leaves what it says: configuration, weights, curves, scores beside the baselines, pictures, a link."""

from __future__ import annotations

import json
import shutil

import pytest
from omegaconf import OmegaConf

from joyvasa.lit.csv_logger import read_curves

ROWS = {"model", "other_voice", "ceiling", "mean_motion", "loudness", "ridge", "retrieval"}
METRICS = {
    "lip_pc1", "lip_pc2", "lip_pc1_other", "closure_f1", "sync_offset_frames", "std_ratio_lips", "std_ratio_eyes",
    "std_ratio_pose", "jerk_ratio_lips", "jerk_ratio_pose", "boundary_jerk_lips", "boundary_jerk_pose", "blink_rate",
    "frechet_motion", "diversity",
}  # fmt: skip


def test_the_run_folder_holds_everything_and_latest_points_at_it(trained, home):
    assert trained.is_symlink() and trained.resolve() == home / "runs" / "demo" / "first"
    for name in ("config.yaml", "metrics.json", "stats.safetensors", "logs/metrics.csv", "checkpoints/last.ckpt"):
        assert (trained / name).is_file(), name
    assert {path.suffix for path in (trained / "preview").iterdir()} == {".mp4", ".png"}
    assert not list(trained.rglob("*.tmp")), "nothing half written is left"
    assert OmegaConf.load(trained / "config.yaml").denoiser.width == 16
    assert any(name == "val/loss" for _, name, _ in read_curves(trained / "logs" / "metrics.csv"))


def test_metrics_json_has_every_row_and_metric_with_its_interval(trained):
    result = json.loads((trained / "metrics.json").read_text())
    assert set(result["metrics"]) == ROWS
    assert METRICS <= set(result["metrics"]["model"])
    assert {"checkpoint", "step", "training_seconds", "skipped_clips", "dataset", "speakers", "sampling"} <= set(result)
    ceiling = result["metrics"]["ceiling"]["lip_pc1"]
    assert ceiling["value"] == pytest.approx(1, abs=1e-3) and {"low", "high"} <= set(ceiling)
    assert result["dataset"]["clips"] == 2 and len(result["speakers"]) == 2


def test_the_end_of_the_output_shows_the_table_and_the_paths(trained, home):
    out = (home / "train.out").read_text()
    assert all(row in out for row in ROWS)
    for word in ("scores ", "preview ", "trained ", "run "):
        assert f"\n{word}" in out
    assert str(trained.resolve() / "metrics.json") in out


def test_other_synthetic_settings_at_the_same_place_are_an_error(trained, run):
    done = run("experiment=demo", "data.synthetic.seed=3")
    assert done.code == 2
    assert done.err.startswith("error: data/demo holds Corpus(") and "give another data.path" in done.err


def test_a_value_that_an_object_refuses_is_one_line(trained, run):
    done = run("data=shards", "data.path=data/demo", "callbacks.ema.decay=9", "trainer.max_steps=4")
    assert done.code == 2 and done.err.splitlines()[0].startswith("error: ")
    assert "decay=9" in done.err and "Traceback" not in done.err


def test_missing_and_broken_datasets_are_one_line(trained, home, run, tmp_path):
    def error(path) -> str:
        done = run("data=shards", f"data.path={path}")
        assert done.code == 2 and "Traceback" not in done.err
        return done.err

    assert "no such dataset folder" in error(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "no such dataset description" in error(tmp_path / "empty")
    broken = shutil.copytree(home / "data" / "demo", tmp_path / "broken")
    tar = next(broken.glob("core/train-*.tar"))
    tar.write_bytes(tar.read_bytes()[:2000])
    assert f"{tar}: 2,000 bytes" in error(broken)
    description = json.loads((broken / "dataset.json").read_text())
    (broken / "dataset.json").write_text(json.dumps(description | {"schema": 99}))
    assert "schema 99" in error(broken)


def test_a_new_run_does_not_write_into_a_trained_one(trained, run):
    done = run("data=shards", "data.path=data/demo", "name=demo", "run_id=first")
    assert done.code == 2 and "go on with resume=" in done.err
