"""Laws of the dataset folder: what is written comes back, slices equal wholes, and damage is named."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import DatasetError, iterate, open_dataset
from joyvasa.io.audio import encode_flac
from joyvasa.motion import MotionStats

PCM_STEP = 1 / 32_768


@pytest.fixture
def copy(tiny_dataset, tmp_path):
    """A private copy of the tiny dataset's folder, to break."""
    return shutil.copytree(tiny_dataset.folder, tmp_path / "copy")


def edit_description(folder, **changes):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_comes_back(tiny_dataset, tiny_clips):
    stored = {e.key: e for split in ("train", "validation") for e in open_dataset(tiny_dataset.folder).entries(split)}
    written = {clip.key: clip for clip in tiny_clips}
    assert stored.keys() == written.keys()
    for key, clip in written.items():
        back = stored[key].load()
        np.testing.assert_array_equal(back.motion, clip.motion)
        np.testing.assert_array_equal(back.truth, clip.truth)
        np.testing.assert_allclose(back.audio, clip.audio, atol=PCM_STEP)
        assert back.meta == {"id": key, "frames": len(clip.motion), **clip.meta}
        assert (stored[key].frames, stored[key].speaker) == (len(clip.motion), clip.meta["speaker"])


def test_description_counts_what_is_there(tiny_dataset):
    frames = {split: sum(e.frames for e in tiny_dataset.entries(split)) for split in tiny_dataset.splits}
    assert {name: split["frames"] for name, split in tiny_dataset.splits.items()} == frames
    assert tiny_dataset.hours == pytest.approx(sum(frames.values()) / 25 / 3600)
    assert tiny_dataset.speakers == ["anna", "boris", "carla"]
    assert [shard["clips"] for shard in tiny_dataset.splits["train"]["shards"]["core"]] == [3, 3, 2]
    tiny_dataset.verify()


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (17, 90), (100, 125)])
def test_a_slice_equals_the_slice_of_the_whole(tiny_dataset, start, stop):
    for entry in tiny_dataset.entries("train"):
        np.testing.assert_array_equal(entry.motion(start, stop), entry.motion()[start:stop])
        np.testing.assert_array_equal(entry.audio(start, stop), entry.audio()[640 * start : 640 * stop])


def test_statistics_see_the_training_split_alone(tiny_dataset, tiny_clips):
    expected = MotionStats.fit(lambda: [clip.motion for clip in tiny_clips if clip.meta["split"] == "train"])
    np.testing.assert_array_equal(tiny_dataset.stats.mean, expected.mean)
    np.testing.assert_array_equal(tiny_dataset.stats.high, expected.high)


def test_equal_clips_give_equal_bytes(tiny_dataset, write_tiny):
    again = write_tiny().folder
    files = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tiny_dataset.folder) for p in tiny_dataset.folder.rglob("*") if p.is_file())
    for file in files:
        assert (again / file).read_bytes() == (tiny_dataset.folder / file).read_bytes(), file


def test_webdataset_reads_the_shards(tiny_dataset):
    for split in tiny_dataset.splits:
        entries = tiny_dataset.entries(split)
        clips = list(iterate(tiny_dataset.folder, split))
        assert [clip.key for clip in clips] == [entry.key for entry in entries]
        for clip, entry in zip(clips, entries, strict=True):
            np.testing.assert_array_equal(clip.motion, entry.motion())
            np.testing.assert_array_equal(clip.audio, entry.audio())
            assert clip.meta == entry.meta()


def test_a_dataset_may_have_neither_truth_nor_training(write_tiny, make_clip):
    info = write_tiny([replace(make_clip("a", "x", "test", 30), truth=None)])
    assert info.entries("test")[0].truth() is None
    with pytest.raises(DatasetError, match="no training split"):
        _ = info.stats


def test_a_broken_folder_is_named(copy, tmp_path):
    def refused(match):
        return pytest.raises(DatasetError, match=match)

    with refused("nothing: no such dataset folder.*python -m preprocess"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with refused("dataset.json: no such dataset description"):
        open_dataset(tmp_path / "empty")
    with refused("no split 'test' .expected one of train, validation"):
        open_dataset(copy).entries("test")

    edit_description(copy, schema=2)
    with refused(r"dataset.json: schema 2 \(this version reads 1\)"):
        open_dataset(copy)
    edit_description(copy, schema=1, format="other")
    with refused("not a joyvasa-dataset description"):
        open_dataset(copy)
    (copy / "dataset.json").write_text("{")
    with refused("dataset.json: unreadable dataset description"):
        open_dataset(copy)


def test_broken_splits_are_named(copy):
    splits = json.loads((copy / "dataset.json").read_text())["splits"]
    edit_description(copy, splits=splits | {"test": {"clips": 0, "speakers": [], "shards": {}, "hours": 0}})
    with pytest.raises(DatasetError, match="split test has no clip"):
        open_dataset(copy)
    edit_description(copy, splits=splits | {"test": {"clips": 1, "speakers": ["anna"], "shards": {}, "hours": 0}})
    with pytest.raises(DatasetError, match="speaker anna is in the splits train and test"):
        open_dataset(copy)


def test_half_a_tar_a_missing_tar_and_flipped_bits_are_named(copy):
    shard = copy / "core" / "train-000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DatasetError, match=f"train-000001.tar: {len(whole) // 2:,} bytes .expected {len(whole):,} bytes"
    ):
        open_dataset(copy)
    shard.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DatasetError, match="train-000001.tar: sha256"):
        open_dataset(copy).verify()
    shard.unlink()
    with pytest.raises(DatasetError, match="train-000001.tar: missing"):
        open_dataset(copy)


def put(entry, name, data, skip=0):
    """Overwrite bytes of a stored member in place."""
    member = entry.members[name]
    with open(member.shard, "r+b") as stream:
        stream.seek(member.offset + skip)
        stream.write(data)


def test_a_broken_clip_is_named_when_read(copy):
    shape, nan, short, noise = open_dataset(copy).entries("train")[:4]
    put(shape, "motion.npy", b"(124, 70)", skip=shape_offset(shape))
    with pytest.raises(
        DatasetError, match=rf"clip {shape.key} in .*train-000000.tar: .*\(124, 70\) \(expected .*125, 70"
    ):
        shape.motion()
    put(nan, "motion.npy", np.float32(np.nan).tobytes(), skip=128 + 7 * 70 * 4)
    with pytest.raises(DatasetError, match=f"clip {nan.key} in .*train-000000.tar: .*not finite, first at frame 7"):
        nan.motion()
    put(short, "flac", encode_flac(np.zeros(640, np.float32)))
    with pytest.raises(DatasetError, match=f"clip {short.key} .*640 audio samples for 207 frames .expected 132,480"):
        short.audio()
    put(noise, "flac", b"not flac at all")
    with pytest.raises(DatasetError, match=f"clip {noise.key} in .*train-000001.tar: unreadable FLAC"):
        noise.audio()


def shape_offset(entry):
    member = entry.members["motion.npy"]
    with open(member.shard, "rb") as stream:
        stream.seek(member.offset)
        return stream.read(128).index(b"(125, 70)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "a.b"}, "clip a.b: key of other characters"),
        ({"motion": np.zeros((30, 69))}, r"clip a: motion of shape \(30, 69\)"),
        ({"motion": np.full((30, 70), np.nan)}, "clip a: motion is not finite, first at frame 0"),
        ({"audio": np.zeros(100, np.float32)}, r"clip a: audio of shape \(100,\) for 30 frames \(expected \(19,200,\)"),
        ({"audio": np.full(19_200, 3e4)}, "clip a: audio peaks at 30000"),
        ({"audio": np.full(19_200, np.nan)}, "clip a: .*audio"),
        ({"truth": np.zeros((29, 70))}, r"clip a: truth of shape \(29, 70\)"),
        ({"truth": None}, r"clip a: column groups \['core'\] \(expected \['core', 'truth'\]"),
        ({"meta": {"split": "train"}}, "clip a: split 'train' and speaker None"),
        ({"meta": {"split": "train", "speaker": "z", "quality": np.nan}}, "clip a: Out of range float"),
        ({"meta": {"split": "train", "speaker": "y"}}, "speaker y is in the splits validation and train"),
        ({"key": "first"}, "clip first: the key appears twice"),
    ],
)
def test_a_clip_that_breaks_the_format_is_refused_and_leaves_no_dataset(
    write_tiny, make_clip, tmp_path, changes, message
):
    good = make_clip("first", "y", "validation", 30)
    bad = replace(make_clip("a", "x", "train", 30), **changes)
    with pytest.raises(DatasetError, match=message):
        write_tiny([good, bad], folder=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".json", ".tar")]


def test_writing_again(write_tiny, tiny_clips, tmp_path):

    def interrupted():
        yield from tiny_clips[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tiny(interrupted(), folder=tmp_path, clips_per_shard=1)
    info = write_tiny(tiny_clips, folder=tmp_path)
    listed = {shard["file"] for _, _, shard in info.shards()}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.tar*")} == listed
    with pytest.raises(DatasetError, match=re.escape("dataset.json: a dataset is there already")):
        write_tiny(tiny_clips, folder=tmp_path)
    with pytest.raises(DatasetError, match="no clip to write"):
        write_dataset(tmp_path / "none", [], name="n", source="s", clips_per_shard=1)
