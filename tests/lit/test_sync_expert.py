"""The sync expert learns timing from shards, on voices it has not heard; its checkpoint is one of this framework."""

from __future__ import annotations

from functools import partial

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter1d

from joyvasa.data.synthetic import Corpus, write_corpus
from joyvasa.eval.sync_expert import Judge, discounted_confidence
from joyvasa.eval.sync_study import OTHER_VOICE, StudyClip, study_shifts
from joyvasa.lit.checkpoints import AtomicCheckpointIO, load_averaged, read_checkpoint
from joyvasa.lit.data_module import MotionData
from joyvasa.lit.ema import EMA
from joyvasa.lit.schedules import WarmupCosine
from joyvasa.lit.sync_expert import SyncModule
from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.sync_expert import ShiftContrast, SyncExpert


def make_module(stats, *, seed=0, width=8, steps=4, window=10):
    torch.manual_seed(seed)
    encoder = LogMelEncoder(width=width, bands=20, blocks=1, kernel=3)
    sizes = {"window": window, "kernel": 3, "width": width, "embedding": width}
    return SyncModule(
        expert=SyncExpert(encoder=encoder, stats=stats, seed=seed, **sizes),
        loss=ShiftContrast(max_shift=10, stride=3),
        optimizer=partial(torch.optim.AdamW, lr=4e-3, weight_decay=0.01, betas=(0.9, 0.98)),
        schedule=WarmupCosine(warmup_steps=5, total_steps=steps, final_ratio=0.02),
        encoder_lr=None,
        seed=seed,
    )


def make_trainer(steps, **how):
    return pl.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, deterministic=True,
        gradient_clip_val=1.0, plugins=[AtomicCheckpointIO()], **how,
    )  # fmt: skip


def make_data(dataset, *, window=20, batch_size=4, windows_per_clip=4):
    return MotionData(
        dataset=dataset, window=window, history=0, batch_size=batch_size, num_workers=0, short="pad", truncate_p=0.0,
        windows_per_clip=windows_per_clip, buffer=8, seed=0,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def ordinary_settings():
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


def test_a_run_logs_its_loss_and_hits_and_its_checkpoint_gives_the_same_scores(tiny_dataset, tmp_path):
    average, path = EMA(decay=0.5), tmp_path / "last.ckpt"
    module, trainer = make_module(tiny_dataset.stats, seed=7), make_trainer(8, callbacks=[average])
    trainer.fit(module, datamodule=make_data(tiny_dataset))
    logged = trainer.callback_metrics
    assert {"val/loss", "val/hit", "train/contrast", "train/hit"} <= logged.keys()
    assert 0 <= logged["val/hit"] <= 1 and torch.isfinite(logged["val/loss"])
    trainer.save_checkpoint(path)
    assert read_checkpoint(path)["feature_spec"]["encoder"] == "logmel"
    other = make_module(tiny_dataset.stats, seed=1)
    assert load_averaged(other, path) == 8
    assert int(other.expert.seed) == 7, "a loaded expert is of the draw it was trained from"
    for name, value in average.average.items():
        assert torch.equal(other.get_parameter(name), value)


def test_two_runs_of_one_seed_are_the_same_and_of_another_are_not(tiny_dataset):
    weights = []
    for seed in (0, 0, 1):
        module = make_module(tiny_dataset.stats, seed=seed)
        make_trainer(3).fit(module, datamodule=make_data(tiny_dataset))
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_gradient_is_divided_by_the_anchors_that_count(tiny_dataset):
    """Half a batch of repeats, which weigh nothing, changes no weight."""
    batch = next(iter(_loader(tiny_dataset)))
    module = make_module(tiny_dataset.stats)
    whole = module._step(batch)
    doubled = {key: torch.cat([value] * 2) if torch.is_tensor(value) else value for key, value in batch.items()}
    doubled["weight"][len(batch["weight"]) :] = 0
    repeated = module._step(doubled)
    assert repeated.count == whole.count
    torch.testing.assert_close(repeated.total, whole.total)


def _loader(dataset):
    data = make_data(dataset)
    data.trainer = make_trainer(1)
    return data.train_dataloader()


@pytest.mark.slow
def test_it_finds_planted_shifts_of_voices_it_has_not_heard(tmp_path):
    """A minute of training on 24 made speakers; 8 others, 4 s clips, their voices moved by -10 to 10 frames."""
    corpus = Corpus(seed=3, train_speakers=24, validation_speakers=8, clips_per_speaker=2, seconds=8.0)
    dataset = write_corpus(tmp_path / "made", corpus, clips_per_shard=64, processes=1)
    steps, average = 240, EMA(decay=0.97)
    module = make_module(dataset.stats, width=48, steps=steps, window=25)
    data = make_data(dataset, window=45, batch_size=12, windows_per_clip=8)
    make_trainer(steps, callbacks=[average]).fit(module, datamodule=data)
    entries = [entry for entry in dataset.entries("validation") if entry.frames >= 120]
    clips = [StudyClip(entry.speaker, entry.motion(), entry.audio()) for entry in entries]
    judge = Judge(module.expert, 15)
    with average.swapped(module):
        study = study_shifts(judge, clips, frames=100, shifts=range(-10, 11))
        smoothed = [_confidence(judge, clips, frames) for frames in (1, 3, 5, 7)]
    rows = study.rows(seed=0)
    assert rows["all"]["within_1"].value >= 0.95
    by_size = np.array([rows[f"moved by {size}"]["confidence"].value for size in range(11)])
    assert (np.diff(by_size) < 0).all()
    assert rows[OTHER_VOICE]["confidence"].value < by_size[-1]
    assert (np.diff(smoothed) < 0).all(), "no filter brings lips nearer to their voice"


def _confidence(judge, clips, frames):
    """Mean over clips whose motion is averaged over so many frames."""
    motions = [uniform_filter1d(clip.motion, frames, axis=0) for clip in clips]
    scores = [judge.score(motion, clip.audio) for motion, clip in zip(motions, clips, strict=True)]
    return np.mean([discounted_confidence(score) for score in scores])
