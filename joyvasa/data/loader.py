"""Streaming loader of training examples: exact resume, and the same stream for any number of ranks and workers.

The order of an epoch is a pure function of (seed, epoch) and the clips' keys. Global batch j takes examples
[j G, (j + 1) G) of it, G = batch_size x world_size; rank r takes every world_size-th of these, and the worker that
builds the batch is a matter of j alone. What is drawn for an example depends on (seed, epoch, example id).

Shape suffixes: B batch, N window frames, C channels.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from joyvasa.data.clips import ClipEntry, DatasetError
from joyvasa.data.feature_groups import FeatureGroup
from joyvasa.data.keyed import generator
from joyvasa.data.windows import Crop, Example, Mode, Short, WindowSpec, read_pair, usable
from joyvasa.data.workers import (
    WAIT,
    SharedMemoryError,
    explain_death,
    outlive_signals,
    remember,
    share,
    starting_workers,
    telling_stalls,
    wake_stopped,
    worker_pids,
)
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME

PREFETCH = 4
HELD = 2  # batches that the training itself keeps: the one it works on, and the one before it
ARRAYS = ("motion", "audio", "features", "feature_scale", "valid", "noise", "step_u", "drop_u", "end")


class Batch(TypedDict):
    """B examples of two windows of N frames; see `windows.Example` for units.

    motion and noise (B, 2N, C), audio (B, 640 * 2N), valid (B, 2N), step_u and drop_u (B, 2), weight (B,): float32.
    key and draw name the examples. end (B, 2), where windows are cut by themselves. Where features are cached there is
    no audio: features (B, 2N r, W) as stored, so that half or a quarter of the bytes travel to the device, and
    feature_scale (B, 2N r) of int8.
    """

    motion: Tensor
    valid: Tensor
    noise: Tensor
    step_u: Tensor
    drop_u: Tensor
    weight: Tensor
    window: int
    history: int
    key: list[str]
    draw: list[int]
    audio: NotRequired[Tensor]
    features: NotRequired[Tensor]
    feature_scale: NotRequired[Tensor]
    end: NotRequired[Tensor]


def collate(examples: Sequence[Example], window: int, history: int) -> Batch:
    """Stack examples of equal length."""
    names = [name for name in ARRAYS if getattr(examples[0], name) is not None]
    arrays = {name: torch.from_numpy(np.stack([getattr(e, name) for e in examples])) for name in names}
    return Batch(
        **arrays,
        weight=torch.tensor([e.weight for e in examples], dtype=torch.float32),
        window=window,
        history=history,
        key=[e.key for e in examples],
        draw=[e.draw for e in examples],
    )


def epoch_plan(clips: int, *, seed: int, epoch: int, windows_per_clip: int, buffer: int, shuffle: bool) -> np.ndarray:
    """Order of an epoch's examples over all ranks: (clips * windows_per_clip, 2) of (clip number, draw number).

    Clips (numbered by sorted key) are shuffled; each gives its windows in a row, so that its bytes are still cached,
    and a buffer of that many windows interleaves them.
    """
    rng = generator(seed, epoch, "order")
    order = rng.permutation(clips) if shuffle else np.arange(clips)
    plan = np.stack([order.repeat(windows_per_clip), np.tile(np.arange(windows_per_clip), clips)], axis=1)
    if not shuffle or buffer <= 1:
        return plan
    held, out = list(range(min(buffer, len(plan)))), []
    for incoming, slot in enumerate(rng.integers(0, buffer, max(len(plan) - buffer, 0)).tolist(), start=buffer):
        out.append(held[slot])
        held[slot] = incoming
    rng.shuffle(held)
    return plan[out + held]


@dataclass(frozen=True)
class _Failure:
    """What ended a worker: sent as data, so that the message arrives without the worker's traceback."""

    message: str
    kind: type[Exception]  # DatasetError for a broken clip


@dataclass(frozen=True, eq=False)
class _EpochBatches(IterableDataset):
    """What one rank reads of one epoch, whole batches; of the batches from `first` on, each worker builds its share."""

    entries: list[ClipEntry]
    plan: np.ndarray
    spec: WindowSpec
    crop: Crop
    seed: int
    epoch: int
    first: int
    batch_size: int
    rank: int
    world_size: int
    features: FeatureGroup | None

    def __iter__(self) -> Iterator[Batch | _Failure]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if info:
            outlive_signals()
        batches = -(-len(self.plan) // (self.batch_size * self.world_size))
        # Workers take turns beginning with batch `first`: DataLoader asks worker 0 first, resumed or not.
        for batch in range(self.first + worker, batches, workers):
            try:
                built = self.build(batch)
                if info:
                    share(built)
            except (DatasetError, SharedMemoryError) as error:
                yield _Failure(str(error), type(error))
                return
            except MemoryError as error:
                yield _Failure(f"no memory for a batch ({error}); lower data.num_workers or data.batch_size", OSError)
                return
            yield built

    def build(self, batch: int) -> Batch:
        """This rank's part of global batch number `batch`."""
        window, history = self.spec.draw(self.seed, self.epoch, batch)
        size = self.batch_size * self.world_size
        examples = []
        for position in range(batch * size + self.rank, (batch + 1) * size, self.world_size):
            clip, draw = self.plan[position % len(self.plan)].tolist()
            weight = float(position < len(self.plan))
            cut = {
                "window": window,
                "crop": self.crop,
                "seed": self.seed,
                "epoch": self.epoch,
                "features": self.features,
            }
            examples.append(read_pair(self.entries[clip], **cut, draw=draw, weight=weight))
        return collate(examples, window, history)


def _as_is(batch: Any) -> Any:
    return batch


class WindowLoader:
    """Batches of window pairs, epoch after epoch, with a position that can be saved and restored exactly.

    Each pass over the loader is one epoch; with shuffle the next pass takes the next epoch unless `set_epoch` says
    otherwise, without it (validation) every pass is the same. Batches count once they are handed out, not when they
    are prefetched. `skipped` counts the clips left out with their reason, `wait_seconds` the time since the loader was
    made that its consumer waited for batches. With `features` examples hold those instead of audio.
    """

    def __init__(
        self,
        entries: Sequence[ClipEntry],
        spec: WindowSpec,
        *,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        num_workers: int,
        mode: Mode,
        short: Short,
        truncate_p: float | tuple[float, float],
        windows_per_clip: int,
        buffer: int,
        shuffle: bool,
        pin_memory: bool,
        features: FeatureGroup | None = None,
    ):
        if min(batch_size, world_size, windows_per_clip) < 1 or not 0 <= rank < world_size or num_workers < 0:
            raise ValueError(
                f"batch_size={batch_size}, windows_per_clip={windows_per_clip}, rank={rank} of {world_size}, "
                f"num_workers={num_workers} (expected at least 1, 1, a rank below the world size, 0); correct data.*"
            )
        self.spec, self.crop = spec, Crop(mode, short, truncate_p)
        self.entries, self.skipped = usable(entries, spec, short)
        if not self.entries:
            raise DatasetError(f"no clip to read of {len(entries)} (skipped: {self.skipped}); set short=repeat or pad")
        if features:
            cut = {"truncated": self.crop.truncate_p != 0, "by_window": self.crop.by_window}
            features.check_pairs(self.entries, short=short, **cut)
        self.features, self.wait_seconds = features, 0.0
        clips = "\n".join(f"{entry.key} {entry.frames}" for entry in self.entries)
        self._data = f"{len(self.entries)} clips, {hashlib.sha256(clips.encode()).hexdigest()[:16]}"
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.num_workers, self.pin_memory = num_workers, pin_memory
        self.windows_per_clip, self.buffer, self.shuffle = windows_per_clip, buffer, shuffle
        self.epoch = self.batch = 0
        self._position_given = True

    def __len__(self) -> int:
        """Batches of an epoch, the same on every rank and after a resume."""
        return -(-len(self.entries) * self.windows_per_clip // (self.batch_size * self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """The next pass is this epoch: from its beginning, or from where a state just loaded stands in it."""
        if epoch != self.epoch or not self._position_given or self.batch >= len(self):
            self.epoch, self.batch = epoch, 0
        self._position_given = True

    def shared_bytes(self) -> int:
        """Bytes of shared memory that the batches of all workers take at most; 0 without workers."""
        if not self.num_workers:
            return 0
        on_their_way = min(PREFETCH * self.num_workers + HELD, len(self))
        return on_their_way * self.batch_bytes()

    def batch_bytes(self) -> int:
        """Bytes of the arrays of a batch of the longest windows."""
        frames = 2 * self.spec.longest
        example = 4 * frames * (2 * CHANNELS + 1)  # motion, noise, valid
        example += 2 * 4 * 2 + 4  # step_u, drop_u, weight
        if self.crop.by_window:
            example += 2 * 8  # end
        if self.features is None:
            example += 4 * frames * SAMPLES_PER_FRAME
        else:
            rows = frames * self.features.per_frame
            example += rows * self.features.width * self.features.dtype.itemsize
            if self.features.spec.dtype == "int8":
                example += 4 * rows  # feature_scale
        return self.batch_size * example

    def state_dict(self) -> dict[str, Any]:
        """Epoch, number of its batches handed out, and what the order is made of; plain values."""
        return {"epoch": self.epoch, "batch": self.batch, "plan": self._plan_identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the batch after the saved one. Raises ValueError naming what differs from the saved order.

        The number of workers may differ, and that of ranks if batch_size x world_size is the same.
        """
        saved, own = state["plan"], self._plan_identity()
        differs = [
            f"{name} {saved.get(name)!r} (now {own.get(name)!r})"
            for name in sorted(saved.keys() | own.keys())
            if saved.get(name) != own.get(name)
        ]
        if differs:
            raise ValueError(
                f"the saved position is in another order of examples: {', '.join(differs)}; resume with the settings "
                "of the checkpoint, or start a new run from its weights"
            )
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._position_given = True

    def _plan_identity(self) -> dict[str, Any]:
        return {
            "data": self._data,
            "seed": self.seed,
            "global_batch": self.batch_size * self.world_size,
            "windows_per_clip": self.windows_per_clip,
            "buffer": self.buffer,
            "shuffle": self.shuffle,
            "window": str(self.spec.window),
            "history": str(self.spec.history),
            "crop": f"{self.crop.mode}, {self.crop.short}, truncate_p {self.crop.truncate_p}",
            "features": self.features and self.features.name,
        }

    def _begin(self) -> None:
        """Settle where this pass starts: where it was told to, else the next epoch."""
        if not self._position_given or self.batch >= len(self):
            self.epoch, self.batch = self.epoch + int(self.shuffle), 0
        self._position_given = False

    def _epoch_batches(self) -> _EpochBatches:
        order = {"windows_per_clip": self.windows_per_clip, "buffer": self.buffer, "shuffle": self.shuffle}
        plan = epoch_plan(len(self.entries), seed=self.seed, epoch=self.epoch, **order)
        place = (self.seed, self.epoch, self.batch, self.batch_size, self.rank, self.world_size, self.features)
        return _EpochBatches(self.entries, plan, self.spec, self.crop, *place)

    def __iter__(self) -> Iterator[Batch]:
        """The batches that remain of this epoch.

        Raises:
            DatasetError: a clip is broken; names it.
            WorkerError: a worker process has died or could not be started.
            SharedMemoryError: a worker has no room for its batch.
        """
        self._begin()
        if self.num_workers:
            gc.collect()  # workers are forked: an open film that only they would throw away waits there for its threads
        loader = DataLoader(
            self._epoch_batches(),
            batch_size=None,
            collate_fn=_as_is,
            num_workers=self.num_workers,
            prefetch_factor=PREFETCH if self.num_workers else None,
            pin_memory=self.pin_memory,
            # Its own generator: DataLoader would draw from the global one, and a resumed run from another place of it.
            generator=torch.Generator().manual_seed(self.seed),
        )
        if not self.num_workers:
            yield from self._counted(iter(loader))
            return
        with starting_workers():
            batches = iter(loader)
        remember(batches)
        with telling_stalls(worker_pids()):
            try:
                yield from self._counted(self._received(batches))
            finally:
                wake_stopped()  # or the loader waits for them when it is thrown away

    def _received(self, batches: Iterator) -> Iterator:
        """What workers send; a signal is answered at once while nothing comes (see lit.interrupt)."""
        while True:
            try:
                with WAIT.waiting():
                    batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                death = explain_death(error)
                if death is None:
                    raise
                raise death from error
            yield batch

    def _counted(self, batches: Iterator) -> Iterator[Batch]:
        """Count batches as they are handed out, and the time that was waited for them."""
        asked = time.perf_counter()
        for batch in batches:
            self.wait_seconds += time.perf_counter() - asked
            if isinstance(batch, _Failure):
                raise batch.kind(batch.message)
            self.batch += 1
            yield batch
            asked = time.perf_counter()
