"""python -m preprocess source=shards: what is cached is what the encoder gives, and a stop loses a shard at most."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from joyvasa.data.feature_groups import FeatureGroup, feature_groups
from joyvasa.data.shards import DatasetError, DatasetInfo, open_dataset
from joyvasa.models.speech import SpeechEncoder, load_speech_encoder
from preprocess.features import FeatureSource

HOW = {
    "name": "hubert", "layer": None, "rate": 25, "dtype": "float32", "starts": None, "window": 40, "left_context": 0,
    "right_context": 0, "batch_seconds": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder_path(encoder_folder) -> str:
    return str(encoder_folder("hubert"))


@pytest.fixture(scope="module")
def source(write_tiny, make_clip) -> DatasetInfo:
    """Training shards of 90 and 90, 110 and 130 frames, one of validation."""
    clips = [make_clip(f"anna-{number}", "anna", "train", frames) for number, frames in enumerate((90, 90, 110, 130))]
    return write_tiny([*clips, make_clip("carla-0", "carla", "validation", 85)], clips_per_shard=2)


@pytest.fixture
def folder(source, tmp_path) -> Path:
    return shutil.copytree(source.folder, tmp_path / "tiny")


@pytest.fixture
def cache(folder, encoder_path):
    """(**changes) -> the dataset with one more group, and the group."""

    def make(**changes) -> tuple[DatasetInfo, FeatureGroup]:
        before = set(open_dataset(folder).groups)
        how = HOW | {"path": encoder_path} | changes
        dataset = FeatureSource(input=str(folder), features=how, seed=0)(None)
        (group,) = [group for group in feature_groups(dataset) if group.name not in before]
        return dataset, group

    return make


def encoder(path: str, **changes) -> SpeechEncoder:
    how = {"name": "hubert", "layer": None, "frozen": True, "per_window": False, "spec_augment": False}
    return load_speech_encoder(**how | {"path": path, "left_context": 0, "right_context": 0} | changes)


def heard(model: SpeechEncoder, audio: np.ndarray) -> np.ndarray:
    return model(torch.from_numpy(audio)[None])[0].numpy()


@pytest.mark.parametrize("rate", [25, 50])
def test_whole_clips_are_what_the_encoder_gives_and_slices_equal_the_whole(cache, encoder_path, rate):
    dataset, group = cache(rate=rate)
    model = encoder(encoder_path)
    entries = dataset.entries("train")
    assert [entry.key for entry in entries] == [entry.key for entry in open_dataset(dataset.folder).entries("train")]
    for entry in entries[:3]:
        whole = group.clip(entry)
        np.testing.assert_allclose(whole, heard(model, entry.audio()), atol=2e-5)
        rows = group.rows(entry, 17, 60)["features"]
        assert rows.shape == (43 * rate // 25, 16) and rows.dtype == np.float32
        np.testing.assert_allclose(rows.reshape(43, rate // 25, 16).mean(1), whole[17:60], atol=1e-5)
    dataset.verify()


def test_half_precision_and_bytes_are_as_near_as_they_can_be(cache):
    dataset, exact = cache()
    halves, quarters = cache(dtype="float16")[1], cache(dtype="int8")[1]
    dataset = open_dataset(dataset.folder)
    for entry in dataset.entries("train"):
        truth = exact.clip(entry)
        assert np.abs(halves.clip(entry) - truth).max() <= np.abs(truth).max() * 2**-11
        step = np.abs(truth).max(1, keepdims=True) / 127
        assert (np.abs(quarters.clip(entry) - truth) <= 0.501 * step).all()
    sizes = [sum(shard["bytes"] for _, name, shard in dataset.shards() if name == group.name)
             for group in (exact, halves, quarters)]  # fmt: skip
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("context", [(0, 0), (10, 5)])
def test_windows_on_a_grid_are_encoded_by_themselves_with_their_context(cache, encoder_path, context):
    left, right = context
    dataset, group = cache(starts=20, left_context=left, right_context=right)
    model = encoder(encoder_path, per_window=True, left_context=left, right_context=right)
    entry = max(dataset.entries("train"), key=lambda entry: entry.frames)
    sound = np.pad(entry.audio(), (left * 640, (right + 80) * 640))
    assert list(group.starts(entry.frames)) == list(range(0, entry.frames - 39, 20))
    for starts in ((0, 40), (20, 60), (group.starts(entry.frames)[-1],)):
        expected = [heard(model, sound[s * 640 : (s + left + 40 + right) * 640]) for s in starts]
        np.testing.assert_allclose(group.windows(entry, starts)["features"], np.concatenate(expected), atol=2e-5)


def test_a_clip_shorter_than_two_windows_has_both_the_second_one_silent(write_tiny, make_clip, encoder_path):
    clips = [make_clip("short", "anna", "train", 50), make_clip("shorter", "anna", "train", 30)]
    dataset = write_tiny(clips)
    dataset = FeatureSource(
        input=str(dataset.folder), features=HOW | {"path": encoder_path, "starts": 40}, seed=0
    )(None)  # fmt: skip
    (group,), model = feature_groups(dataset), encoder(encoder_path, per_window=True)
    for entry in dataset.entries("train"):
        sound = np.pad(entry.audio(), (0, (80 - entry.frames) * 640))
        expected = np.concatenate([heard(model, sound[: 40 * 640]), heard(model, sound[40 * 640 :])])
        np.testing.assert_allclose(group.windows(entry, (0, 40))["features"], expected, atol=2e-5)


class Watched:
    """Counts the audio that encoders are given, and breaks one off after `stop` calls."""

    def __init__(self, monkeypatch):
        self.calls, self.stop, encode = 0, None, SpeechEncoder.encode

        def counted(encoder, audio, rate):
            if self.calls == self.stop:
                raise KeyboardInterrupt
            self.calls += 1
            return encode(encoder, audio, rate)

        monkeypatch.setattr(SpeechEncoder, "encode", counted)


def test_it_goes_on_where_it_was_stopped_and_running_it_again_does_nothing(cache, folder, monkeypatch):
    """Two training shards, encoded by one and by two calls; stopped within the third shard."""
    watched = Watched(monkeypatch)
    watched.stop = 3
    with pytest.raises(KeyboardInterrupt):
        cache()
    assert open_dataset(folder).groups.keys() == {"core", "truth"}, "no group before it is whole"
    assert len(list(folder.glob("features/*/*.tar"))) == 2 and not list(folder.glob("features/*/*.tmp"))
    first, second = sorted(folder.glob("features/*/*.tar"))
    damaged = bytearray(second.read_bytes())
    damaged[3000] ^= 1
    second.write_bytes(damaged)
    stamp, watched.calls, watched.stop = first.stat().st_mtime_ns, 0, None
    dataset, group = cache()
    assert watched.calls == 3, "the damaged shard and the third"
    assert first.stat().st_mtime_ns == stamp and not list(folder.glob("features/*/.*"))
    dataset.verify()
    resumed = [shard["sha256"] for _, name, shard in dataset.shards() if name == group.name]
    shutil.rmtree(folder / "features")
    description = (folder / "dataset.json").read_bytes()
    _forget(folder, group.name)
    again, _ = cache()
    assert [shard["sha256"] for _, name, shard in again.shards() if name == group.name] == resumed
    assert (folder / "dataset.json").read_bytes() == description, "as if it had not been stopped"


def test_shards_made_from_other_voices_are_made_again(cache, folder, monkeypatch):
    """A dataset written anew into the same folder, with the same keys and lengths."""
    dataset, group = cache()
    _forget(folder, group.name)
    said = json.loads((folder / "dataset.json").read_bytes())
    for index in folder.glob("features/*/train-000000.idx.json"):
        index.write_text(index.read_text().replace(said["splits"]["train"]["shards"]["core"][0]["sha256"], "0" * 64))
    watched = Watched(monkeypatch)
    cache()
    assert watched.calls == 1, "the first shard's two clips at once"


def _forget(folder: Path, name: str) -> None:
    """Bring dataset.json to what it was before the group was added."""
    said = json.loads((folder / "dataset.json").read_bytes())
    del said["groups"][name]
    for split in said["splits"].values():
        del split["shards"][name]
    (folder / "dataset.json").write_text(json.dumps(said))


def test_adding_features_changes_neither_the_data_nor_its_hash(cache, source):
    dataset, _ = cache()
    assert dataset.sha == source.sha and len(list(dataset.shards())) > len(list(source.shards()))


def test_a_broken_clip_is_named_and_what_is_done_is_kept(cache, folder):
    bad = open_dataset(folder).entries("train")[2]
    with open(bad.members["flac"].shard, "r+b") as stream:
        stream.seek(bad.members["flac"].offset)
        stream.write(b"broken")
    with pytest.raises(DatasetError, match=f"^clip {bad.key} in .*unreadable FLAC"):
        cache()
    assert [path.name for path in folder.glob("features/*/*.tar")] == ["train-000000.tar"]
    assert open_dataset(folder).groups.keys() == {"core", "truth"}


def test_the_command_says_what_it_did(run, folder, encoder_path):
    words = ("source=shards", f"input={folder}", "features=hubert", f"features.path={encoder_path}")
    done = run(*words, "features.dtype=int8", "features.rate=50")
    assert done.code == 0, done.err
    assert "features/" in done.out and "2 speakers" in done.out
    again = run(*words, "features.dtype=int8", "features.rate=50")
    assert again.code == 0 and "there already, nothing to do" in again.out
    assert run(*words, "features.layer=1").code == 0
    assert len(feature_groups(open_dataset(folder))) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("source=shards",), "input= and features= are needed"),
        (("source=shards", "input=x", "features=hubert", "output=y"), "leave it out"),
        (("source=shards", "input=x", "features=hubert"), "x: no such dataset folder"),
        (("source=shards", "input=DATA", "features=hubert", "features.path=PATH", "features.rate=30"), "rate=30"),
        (("source=shards", "input=DATA", "features=hubert", "features.path=PATH", "features.dtype=int4"), "dtype=int4"),
        (("source=shards", "input=DATA", "features=hubert", "features.path=PATH", "features.starts=0"), "starts=0"),
        (
            ("source=shards", "input=DATA", "features=hubert", "features.path=PATH", "features.left_context=5"),
            "context",
        ),
        (("source=shards", "input=DATA", "features=hubert", "features.path=PATH", "features.layer=7"), "layers 1"),
        (("source=synthetic", "output=made", "features=hubert"), "features= not taken"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, folder, encoder_path, words, message):
    done = run(*(word.replace("DATA", str(folder)).replace("PATH", encoder_path) for word in words))
    assert done.code == 2 and message in done.err.splitlines()[0] and "Traceback" not in done.err
