"""Fixtures: small datasets of smooth random motion and noise, written through the real writer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from joyvasa.data.keyed import generator
from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import Clip, DatasetInfo
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME

# What a shell starts in the background ignores Ctrl-C, and so would the programs that the tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SPEAKERS = {"anna": "train", "boris": "train", "carla": "validation"}
CLIPS = {"train": 4, "validation": 3}


def clip_of(key: str, speaker: str, split: str, frames: int) -> Clip:
    """A clip that depends on its key alone: motion (T, 70) of random sines, audio (640 T,) noise, half of it truth."""
    rng = generator(0, 0, key)
    time_T1 = np.arange(frames)[:, None] / 25
    rate_C, phase_C = rng.uniform(0.2, 2, CHANNELS), rng.uniform(0, 2 * np.pi, CHANNELS)
    motion = (0.1 * np.sin(2 * np.pi * rate_C * time_T1 + phase_C)).astype(np.float32)
    audio = (0.1 * rng.standard_normal(frames * SAMPLES_PER_FRAME)).clip(-1, 1).astype(np.float32)
    return Clip(key, motion, audio, {"speaker": speaker, "split": split}, truth=motion / 2)


def write_encoder(folder: Path, kind: str = "hubert", **changes) -> Path:
    """A speech encoder as its repository ships it, but tiny (16 wide, two layers of two heads), its weights fixed."""
    import torch
    import transformers

    sizes = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
        "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    family = {"hubert": transformers.HubertModel, "wav2vec2": transformers.Wav2Vec2Model}[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family(family.config_class(**sizes | changes))
    model.save_pretrained(folder)
    return folder


def corpus() -> Iterator[Clip]:
    """2 training speakers with 4 clips and 1 validation speaker with 3, of 5 to 10 s."""
    for speaker, split in SPEAKERS.items():
        for number in range(CLIPS[split]):
            yield clip_of(f"{speaker}-{number}", speaker, split, 125 + 41 * number)


@pytest.fixture(scope="session")
def make_clip() -> Callable[[str, str, str, int], Clip]:
    """`clip_of`: (key, speaker, split, frames) -> Clip."""
    return clip_of


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`write_encoder` into a new folder: (kind, **changes of the configuration) -> folder."""
    return lambda kind="hubert", **changes: write_encoder(tmp_path_factory.mktemp("encoder") / kind, kind, **changes)


@pytest.fixture(scope="session")
def tiny_clips() -> list[Clip]:
    """The clips of `tiny_dataset` as they were before writing."""
    return list(corpus())


@pytest.fixture(scope="session")
def write_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DatasetInfo]:
    """Write `clips` (the tiny corpus unless given) in shards of `clips_per_shard` to a new folder."""

    def write(clips=None, clips_per_shard: int = 3, folder: Path | None = None) -> DatasetInfo:
        folder = folder or tmp_path_factory.mktemp("dataset") / "tiny"
        clips = corpus() if clips is None else clips
        return write_dataset(folder, clips, name="tiny", source="tests", clips_per_shard=clips_per_shard)

    return write


@pytest.fixture(scope="session")
def tiny_dataset(write_tiny) -> DatasetInfo:
    """The tiny corpus in shards of 3 clips. Shared by all tests: read only."""
    return write_tiny()
