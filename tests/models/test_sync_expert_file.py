"""A sync expert as a file: the same embeddings when it is opened, and a sentence for every other file."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.speech import load_speech_encoder
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.models.sync_expert_file import NAME, open_expert, write_expert
from joyvasa.motion import CHANNELS, MotionStats

LOGMEL = {"width": 10, "bands": 20, "blocks": 1, "kernel": 3}


def expert_of(encoder, seed=5):
    mean = torch.linspace(-1, 1, CHANNELS)
    stats = MotionStats(mean, 1 + mean.abs(), mean - 3, mean + 3, mean - 2, mean + 2)
    return SyncExpert(encoder=encoder, stats=stats, window=8, kernel=3, width=12, embedding=6, seed=seed).eval()


def embeddings(expert, make_batch):
    batch = make_batch(2, 10)
    with torch.no_grad():
        return expert.lip_embeddings(batch["motion"]), expert.voice_embeddings(expert.encoder(batch["audio"]))


def test_an_opened_expert_is_the_one_that_was_written(make_batch, tmp_path):
    expert = expert_of(LogMelEncoder(**LOGMEL))
    write_expert(tmp_path / NAME, expert, encoder=LOGMEL, max_shift=7, facts={"step": 3})
    for path in (tmp_path, tmp_path / NAME, str(tmp_path)):
        opened = open_expert(path)
        assert (opened.max_shift, opened.about["step"], int(opened.network.seed)) == (7, "3", 5)
        assert not opened.network.training
        for one, two in zip(embeddings(expert, make_batch), embeddings(opened.network, make_batch), strict=True):
            assert torch.equal(one, two)


def test_a_frozen_speech_encoder_stays_outside_and_is_known_by_its_hash(encoder_folder, make_batch, tmp_path):
    how = {"name": "hubert_zh", "path": str(encoder_folder("hubert")), "layer": None, "frozen": True}
    how |= {"per_window": False, "spec_augment": False, "left_context": 0, "right_context": 0}
    expert = expert_of(load_speech_encoder(**how))
    write_expert(tmp_path / NAME, expert, encoder=how, max_shift=15, facts={})
    opened = open_expert(tmp_path)
    assert not any("encoder" in name for name in opened.network.state_dict())
    for one, two in zip(embeddings(expert, make_batch), embeddings(opened.network, make_batch), strict=True):
        assert torch.equal(one, two)
    other = how | {"path": str(encoder_folder("hubert", num_hidden_layers=3))}
    write_expert(tmp_path / NAME, expert, encoder=other, max_shift=15, facts={})
    with pytest.raises(ValueError, match=f"{NAME}.*weights_sha256: expected"):
        open_expert(tmp_path)


def test_other_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="when its training ends"):
        open_expert(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere.*give a run of experiment=sync_expert"):
        open_expert(tmp_path / "nowhere")
    path = tmp_path / NAME
    path.write_bytes(b"cut off")
    with pytest.raises(ValueError, match=f"{NAME}: not a whole safetensors file"):
        open_expert(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "joyvasa motion generator 1"})
    with pytest.raises(ValueError, match=f"{NAME}: no sync expert .*got format 'joyvasa motion generator 1'"):
        open_expert(path)
    expert = expert_of(LogMelEncoder(**LOGMEL))
    expert.sizes = expert.sizes | {"width": 13}
    write_expert(path, expert, encoder=LOGMEL, max_shift=15, facts={})
    with pytest.raises(ValueError, match=f"{NAME}: of another expert than it says .*lips"):
        open_expert(path)
