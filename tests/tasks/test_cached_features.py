"""Training, sampling and scoring on cached features: no encoder is loaded, and what does not fit is refused."""

from __future__ import annotations

import json

import pytest

import joyvasa.models.speech_files as speech_files
from preprocess.features import FeatureSource

WORDS = (
    "experiment=hubert_zh", "data.window=20", "data.history=5", "data.batch_size=2", "data.num_workers=0",
    "generation.window=20", "generation.history=5", "generation.overlap=2", "denoiser.width=16", "denoiser.depth=1",
    "denoiser.heads=2", "denoiser.kernel=3", "optim.schedule.warmup_steps=2", "sampler.steps=2", "trainer.max_steps=4",
    "trainer.accelerator=cpu", "callbacks.samples.every_steps=4", "callbacks.samples.clips=2", "eval.clips=2",
    "eval.previews=0", "preview.size=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def encoder_path(encoder_folder) -> str:
    return str(encoder_folder("hubert"))


@pytest.fixture(scope="module")
def cached(write_tiny, make_clip, encoder_path, tmp_path_factory) -> str:
    """A dataset with features of whole clips, and of windows of 20 frames every 10."""
    speakers = {"anna": "train", "boris": "train", "carla": "validation", "dora": "validation"}
    clips = [make_clip(f"{name}-{n}", name, split, 60 + 5 * n) for name, split in speakers.items() for n in range(2)]
    folder = write_tiny(clips, folder=tmp_path_factory.mktemp("cached") / "tiny").folder
    how = {"name": "hubert_zh", "path": encoder_path, "layer": None, "dtype": "float16", "window": 20}
    how |= {"left_context": 0, "right_context": 0, "batch_seconds": 16}
    FeatureSource(input=str(folder), features=how | {"rate": 50, "starts": None}, seed=0)(None)
    FeatureSource(input=str(folder), features=how | {"rate": 25, "starts": 10}, seed=0)(None)
    return str(folder)


@pytest.fixture
def deaf(monkeypatch):
    """From here on no encoder can be loaded."""

    def refuse(name, file):
        raise AssertionError(f"{name} was loaded from {file}")

    monkeypatch.setattr(speech_files, "_load", refuse)


def test_a_run_on_features_of_whole_clips_never_loads_the_encoder(run, home, cached, encoder_path, deaf):
    words = (*WORDS, f"data.path={cached}", f"encoder.path={encoder_path}", "data.features=auto", "run_id=whole")
    done = run(*words, "encoder.per_window=false")
    assert done.code == 0, done.err
    metrics = json.loads((home / "runs/hubert_zh/whole/metrics.json").read_text())
    assert metrics["step"] == 4 and any("voices heard from" in remark for remark in metrics["remarks"])
    again = run("task=validate", "checkpoint=runs/hubert_zh/whole", "eval.previews=0", f"out={home / 'scores'}")
    assert again.code == 0 and "voices heard from" in again.out, again.err


def test_windows_of_their_own_train_without_it_and_are_sampled_with_it(run, home, cached, encoder_path):
    words = (*WORDS, f"data.path={cached}", f"encoder.path={encoder_path}", "data.features=auto", "run_id=windows")
    done = run(*words, "data.short=pad", "callbacks.samples.every_steps=100")
    assert done.code == 0, done.err
    assert "voices encoded by hubert_zh (each window by itself)" in done.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("encoder.frozen=false",), "trained with the model"),
        (("encoder.per_window=false", "encoder.layer=1"), "layer: expected 1, got 2"),
        (("data.window=30", "data.short=pad"), "data.window: 30, features are of windows of 20"),
        (("data.features=0123456789abcdef",), "no features '0123456789abcdef'"),
    ],
)
def test_features_that_do_not_fit_stop_the_run_before_anything_is_written(
    run, home, cached, encoder_path, changes, message
):
    words = (*WORDS, f"data.path={cached}", f"encoder.path={encoder_path}", "data.features=auto", "run_id=refused")
    done = run(*words, *changes)
    assert done.code == 2 and message in done.err and not (home / "runs/hubert_zh/refused").exists()
