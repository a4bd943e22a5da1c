"""The LightningDataModule: window loaders over a shard folder, split by rank."""

from __future__ import annotations

from functools import cached_property

import lightning.pytorch as pl

from joyvasa.data.feature_groups import FeatureGroup
from joyvasa.data.loader import WindowLoader
from joyvasa.data.shards import DatasetInfo
from joyvasa.data.windows import WindowSpec
from joyvasa.data.workers import abandon_dead, require_room


class MotionData(pl.LightningDataModule):
    """Training: shuffled window pairs at random places. Validation: one pair from the beginning of each clip, with
    fixed draws, so that its loss is comparable between epochs and runs. With `features` neither reads audio."""

    def __init__(
        self,
        *,
        dataset: DatasetInfo,
        window,
        history,
        batch_size: int,
        num_workers: int,
        short: str,
        truncate_p: float | tuple[float, float],
        windows_per_clip: int,
        buffer: int,
        seed: int,
        features: FeatureGroup | None = None,
    ):
        super().__init__()
        self.dataset, self.spec, self.seed = dataset, WindowSpec(window, history), seed
        self.features = features
        self.batch_size, self.num_workers, self.short = batch_size, num_workers, short
        self.truncate_p, self.windows_per_clip, self.buffer = truncate_p, windows_per_clip, buffer

    def _loader(self, split: str, **how) -> WindowLoader:
        return WindowLoader(
            self.dataset.entries(split),
            self.spec,
            batch_size=self.batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            num_workers=self.num_workers,
            short=self.short,
            features=self.features,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            **how,
        )

    def setup(self, stage: str) -> None:
        """See before any worker starts whether their batches have room in shared memory.

        All ranks of a machine are between two barriers here, so that none has taken any of the room yet. The workers
        for training live on while those for validation work.
        """
        needed = self._training.shared_bytes()
        if self.trainer.enable_validation:
            needed += self._validation.shared_bytes()
        require_room(needed * self.trainer.num_devices)

    def on_exception(self, exception: BaseException) -> None:
        """Before Lightning throws the loaders away, which waits for their workers."""
        abandon_dead()

    def train_dataloader(self) -> WindowLoader:
        return self._training

    def val_dataloader(self) -> WindowLoader:
        return self._validation

    @cached_property
    def _training(self) -> WindowLoader:
        return self._loader(
            "train",
            seed=self.seed,
            mode="random",
            truncate_p=self.truncate_p,
            windows_per_clip=self.windows_per_clip,
            buffer=self.buffer,
            shuffle=True,
        )

    @cached_property
    def _validation(self) -> WindowLoader:
        return self._loader(
            "validation", seed=0, mode="begin", truncate_p=0.0, windows_per_clip=1, buffer=1, shuffle=False
        )
