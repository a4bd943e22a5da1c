"""During training: generate motion for a few validation voices now and then, score it, draw one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import lightning.pytorch as pl

from joyvasa.animate.preview import plot_curves, write_preview
from joyvasa.animate.puppet import PuppetPortrait
from joyvasa.data.shards import DatasetInfo
from joyvasa.eval.motion import MotionReference, score
from joyvasa.eval.runner import Sampling, choose_clips, clip_motions, other_voices, sample
from joyvasa.lit.ema import EMA

LOGGED = (
    "lip_pc1", "lip_pc2", "lip_pc1_other", "closure_f1", "sync_offset_frames", "std_ratio_lips", "std_ratio_eyes",
    "std_ratio_pose", "jerk_ratio_lips", "jerk_ratio_pose", "boundary_jerk_lips", "boundary_jerk_pose",
)  # fmt: skip


class SampleMetrics(pl.Callback):
    """Every `every_steps` steps, on rank 0, by the averaged weights: `val/<metric>` of `clips` clips, a film, curves.

    Other ranks wait. Takes no random numbers from training: each clip is sampled from its own seed.
    """

    def __init__(self, *, every_steps: int, clips: int, folder: str):
        self.every_steps, self.count, self.folder = every_steps, clips, Path(folder)
        self.sampling: Sampling | None = None  # given by the task: built from the same configuration as every sample
        self.portrait = PuppetPortrait()
        self._done = -1
        self._reference: MotionReference | None = None  # of the training split, fitted at the first use

    def prepare(self, sampling: Sampling, portrait: PuppetPortrait) -> None:
        self.sampling, self.portrait = sampling, portrait

    def on_fit_start(self, trainer, pl_module) -> None:
        if self.sampling is None:
            raise RuntimeError("SampleMetrics.prepare(sampling, portrait) was not called before training")
        self._done = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        step = trainer.global_step
        if step == self._done or step % self.every_steps:
            return
        self._done = step
        if trainer.is_global_zero:
            self._score(trainer, pl_module, trainer.datamodule.dataset, step)
        trainer.strategy.barrier("samples")

    def _score(self, trainer, pl_module, dataset: DatasetInfo, step: int) -> None:
        clips = choose_clips(dataset, "validation", self.count)
        average = next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)
        generator = pl_module.generator.eval()
        with average.swapped(pl_module) if average else nullcontext():
            own = sample(generator, {clip.key: clip.audio for clip in clips}, self.sampling)
            others = sample(generator, other_voices(clips), self.sampling)
        generator.train()
        if self._reference is None:
            self._reference = MotionReference.fit(entry.motion() for entry in dataset.entries("train"))
        motions = clip_motions(clips, own, others, self.sampling.windowing)
        scores = score(motions, self._reference, self.sampling.seed)
        values = {f"val/{name}": scores[name].value for name in LOGGED if name in scores}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step - 1)  # curves count from 0: a run resumed at `step` keeps these
        self._draw(trainer, clips[0], motions[0], step)

    def _draw(self, trainer, clip, motion, step: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        film, curves = self.folder / f"step-{step:06d}.mp4", self.folder / f"step-{step:06d}-curves.png"
        write_preview(film, motion.generated, clip.audio, portrait=self.portrait, truth_TC=clip.motion)
        plot_curves(
            curves, motion.generated, clip.audio, truth_TC=clip.motion, determined_TC=clip.truth, phones=motion.phones
        )
        for logger in trainer.loggers:
            if hasattr(logger, "log_video"):
                logger.log_video("val/sample", [str(film)], step=step - 1)
                logger.log_image("val/curves", [str(curves)], step=step - 1)
