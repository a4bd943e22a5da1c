"""Laws of the loader: one stream, whatever the workers, ranks and shards, and exact resume within it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import Counter

import numpy as np
import pytest
import torch

from joyvasa.data.clips import ClipEntry
from joyvasa.data.loader import WindowLoader, epoch_plan
from joyvasa.data.shards import DatasetError, open_dataset
from joyvasa.data.windows import WindowSpec
from joyvasa.data.workers import SharedMemoryError, WorkerError, require_room

SETTINGS = {
    "batch_size": 3,
    "seed": 5,
    "rank": 0,
    "world_size": 1,
    "num_workers": 0,
    "mode": "random",
    "short": "repeat",
    "truncate_p": 0.5,
    "windows_per_clip": 2,
    "buffer": 4,
    "shuffle": True,
    "pin_memory": False,
}
VALIDATION = {"windows_per_clip": 1, "mode": "begin", "shuffle": False, "truncate_p": 0.0}
SPEC = WindowSpec(window=(20, 30), history=(5, 10))


@pytest.fixture
def loader(tiny_dataset):
    """Make a loader of the training split (8 clips, 16 windows, 6 batches), with some settings changed."""

    def make(info=tiny_dataset, split="train", spec=SPEC, **changes):
        return WindowLoader(info.entries(split), spec, **SETTINGS | changes)

    return make


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other[name]), name
            else:
                assert value == other[name], name


def examples(batches):
    """{(key, draw): its tensors}, of the examples that weigh."""
    return {
        (key, draw): {n: v[i] for n, v in batch.items() if isinstance(v, torch.Tensor)}
        for batch in batches
        for i, (key, draw) in enumerate(zip(batch["key"], batch["draw"], strict=True))
        if batch["weight"][i] > 0
    }


def test_a_batch_has_the_shapes_it_promises(loader):
    batch = next(iter(loader()))
    frames = 2 * batch["window"]
    shapes = {name: tuple(value.shape) for name, value in batch.items() if isinstance(value, torch.Tensor)}
    assert shapes == {
        "motion": (3, frames, 70),
        "audio": (3, 640 * frames),
        "valid": (3, frames),
        "noise": (3, frames, 70),
        "step_u": (3, 2),
        "drop_u": (3, 2),
        "weight": (3,),
    }


@pytest.mark.filterwarnings("ignore:This DataLoader will create 7 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_stream_does_not_depend_on_workers(loader, workers):
    plain, parallel = loader(), loader(num_workers=workers)
    for _ in range(2):
        assert_same(list(parallel), list(plain))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("consumed", [0, 1, 4, 6, 8])
def test_a_resumed_stream_equals_the_uninterrupted(loader, workers, consumed):
    """6 batches an epoch: within the first, at its end, within the second."""

    def stream(source, count):
        batches = []
        while len(batches) < count:
            for batch in source:
                batches.append(batch)
                if len(batches) == count:
                    break
        return batches

    whole = stream(loader(), 14)
    first = loader(num_workers=workers)
    assert_same(stream(first, consumed), whole[:consumed])
    resumed = loader(num_workers=2 - workers)
    resumed.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert_same(stream(resumed, 14 - consumed), whole[consumed:])


def test_set_epoch_keeps_a_position_just_loaded(loader):
    first = loader()
    first.set_epoch(3)
    batches = list(first)
    first.set_epoch(3)
    assert_same(list(first), batches)
    resumed = loader()
    resumed.load_state_dict(first.state_dict() | {"batch": 2})
    resumed.set_epoch(3)
    assert_same(list(resumed), batches[2:])


def test_epochs_differ_and_repeat_bit_equal(loader):
    source = loader()
    first, second = list(source), list(source)
    assert [b["key"] for b in first] != [b["key"] for b in second]
    assert not torch.equal(examples(first)["anna-0", 0]["noise"], examples(second)["anna-0", 0]["noise"])
    source.set_epoch(0)
    assert_same(list(source), first)


def test_the_global_random_state_is_untouched(loader):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(loader(num_workers=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("clips_per_shard", [8, 4, 3])
def test_one_rank_of_2b_sees_the_union_of_two_of_b(loader, write_tiny, tiny_clips, clips_per_shard):
    """Whatever the shards, 1, 2 or 3 of them, and whatever the order of the clips in them."""
    info = write_tiny(tiny_clips[::-1], clips_per_shard=clips_per_shard)
    whole = list(loader(batch_size=6))
    halves = [list(loader(info, batch_size=3, rank=rank, world_size=2)) for rank in range(2)]
    assert len(halves[0]) == len(halves[1]) == len(whole)
    for batch, *parts in zip(whole, *halves, strict=True):
        assert {part["window"] for part in parts} == {batch["window"]}
        united, expected = examples(parts), examples([batch])
        assert united.keys() == expected.keys()
        for name, tensors in expected.items():
            for field, value in tensors.items():
                assert torch.equal(united[name][field], value), (name, field)


@pytest.mark.parametrize(("batch_size", "world_size"), [(3, 1), (3, 2), (5, 3), (40, 1)])
def test_every_clip_gives_its_windows_once_and_repeats_weigh_nothing(loader, batch_size, world_size):
    ranks = [list(loader(batch_size=batch_size, world_size=world_size, rank=r)) for r in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    assert len(ranks[0]) == len(loader(batch_size=batch_size, world_size=world_size))
    counts = Counter(
        (key, draw)
        for batches in ranks
        for batch in batches
        for key, draw, weight in zip(batch["key"], batch["draw"], batch["weight"].tolist(), strict=True)
        if weight
    )
    assert len(counts) == 16 and set(counts.values()) == {1}
    assert sum(batch["weight"].sum() for batches in ranks for batch in batches) == 16


def test_validation_sees_every_clip_once_and_every_pass_is_the_same(loader, tiny_dataset):
    source = loader(split="validation", spec=WindowSpec(window=40, history=10), batch_size=2, **VALIDATION)
    first = list(source)
    next(iter(source))  # a pass that is left early, as a sanity check does
    assert_same(list(source), first)
    assert [key for batch in first for key in batch["key"]] == ["carla-0", "carla-1", "carla-2", "carla-0"]
    assert torch.cat([batch["weight"] for batch in first]).tolist() == [1, 1, 1, 0]
    start = tiny_dataset.entries("validation")[0].motion(0, 80)
    np.testing.assert_array_equal(first[0]["motion"][0], start)


def test_the_buffer_interleaves_the_windows_of_a_clip():
    settings = {"seed": 0, "epoch": 0, "windows_per_clip": 4, "shuffle": True}
    plain, mixed = (epoch_plan(50, buffer=buffer, **settings) for buffer in (1, 40))
    neighbours = [(plan[1:, 0] == plan[:-1, 0]).mean() for plan in (plain, mixed)]
    assert neighbours[0] > 0.7 and neighbours[1] < 0.2
    for plan in (plain, mixed):
        assert sorted(map(tuple, plan.tolist())) == [(clip, draw) for clip in range(50) for draw in range(4)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 2}, "global_batch 3 .now 2"),
        ({"seed": 6}, "seed 5 .now 6"),
        ({"split": "validation"}, "data '8 clips"),
    ],
)
def test_a_position_in_another_order_is_refused(loader, changes, named):
    with pytest.raises(ValueError, match=f"another order of examples: {named}"):
        loader(**changes).load_state_dict(loader().state_dict())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_clip_is_named_in_one_sentence(loader, write_tiny, workers):
    info = open_dataset(write_tiny().folder)
    bad = info.entries("train")[4]
    member = bad.members["flac"]
    with open(member.shard, "r+b") as stream:
        stream.seek(member.offset)
        stream.write(b"broken")
    with pytest.raises(DatasetError, match=f"^clip {bad.key} in .*train-000001.tar: unreadable FLAC") as caught:
        list(loader(info, num_workers=workers))
    assert "Traceback" not in str(caught.value)


def test_short_clips_are_counted_and_none_left_is_an_error(loader):
    source = loader(spec=WindowSpec(window=80, history=10), short="reject")
    assert source.skipped == {"shorter than 160 frames": 2}
    assert {key for batch in source for key in batch["key"]} == {
        f"{n}-{i}" for n in ("anna", "boris") for i in (1, 2, 3)
    }
    with pytest.raises(DatasetError, match="no clip to read of 8"):
        loader(spec=WindowSpec(window=500, history=10), short="reject")
    with pytest.raises(ValueError, match="rank=2 of 2"):
        loader(rank=2, world_size=2)


def test_what_workers_get_can_be_pickled(loader):
    """Spawned workers receive the work by pickle."""
    work = loader()._epoch_batches()
    assert_same(list(pickle.loads(pickle.dumps(work))), list(work))


def test_the_bytes_of_a_batch_are_those_that_its_arrays_have(loader):
    longest = loader(spec=WindowSpec(30, 10), truncate_p=(0.5, 0.5))
    batch = next(iter(longest))
    arrays = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    assert longest.batch_bytes() == sum(value.numel() * value.element_size() for value in arrays)
    assert longest.shared_bytes() == 0, "without workers nothing is shared"
    assert loader(num_workers=1).shared_bytes() == 6 * loader().batch_bytes(), "no more than an epoch has"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_clip_that_is_not_finite_is_named(loader, workers, value, monkeypatch):
    def motion(entry, start=0, stop=None):
        rows = whole(entry, start, stop).copy()
        if entry.key == "boris-2":
            rows[3, 5] = value
        return rows

    whole = ClipEntry.motion
    monkeypatch.setattr(ClipEntry, "motion", motion)
    with pytest.raises(DatasetError, match="clip boris-2: motion is not finite"):
        list(loader(num_workers=workers))


def test_too_little_shared_memory_is_told_before_a_worker_starts_and_by_a_worker(loader, tmp_path, monkeypatch):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    require_room(free // 2, tmp_path)
    with pytest.raises(SharedMemoryError, match="--shm-size.*num_workers=0"):
        require_room(2 * free, tmp_path)

    def full(tensor):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(SharedMemoryError, match="No space left.*--shm-size"):
        next(iter(loader(num_workers=2)))


@pytest.mark.parametrize("number, fact", [(signal.SIGKILL, "lower data.num_workers"), (signal.SIGBUS, "/dev/shm")])
def test_a_worker_that_is_killed_is_named_with_its_signal(loader, number, fact):
    others = multiprocessing.active_children()
    batches = iter(loader(num_workers=2, windows_per_clip=200))
    next(batches)
    worker = next(process for process in multiprocessing.active_children() if process not in others)
    os.kill(worker.pid, number)
    with pytest.raises(WorkerError, match=f"data worker {worker.pid} was killed .{number.name}.*{fact}"):
        list(batches)
