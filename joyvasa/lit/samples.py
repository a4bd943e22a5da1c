"""During training: generate motion for a few validation voices now and then, score it, draw one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as pl
import soundfile

from joyvasa.animate.preview import plot_curves, write_preview
from joyvasa.animate.puppet import PuppetPortrait, estimate_neutral
from joyvasa.data.shards import Clip, DatasetInfo
from joyvasa.eval.motion import ClipMotion, MotionReference, per_clip, score
from joyvasa.eval.runner import Sampling, cached_voices, choose_clips, clip_motions, other_voices, own_voices, sample
from joyvasa.eval.sync_expert import Judge
from joyvasa.io.files import replacing
from joyvasa.lit.ema import EMA
from joyvasa.lit.finite import settle
from joyvasa.motion import SAMPLE_RATE

LOGGED = (
    "lip_pc1", "lip_pc2", "lip_pc1_other", "closure_f1", "sync_offset_frames", "std_ratio_lips", "std_ratio_eyes",
    "std_ratio_pose", "jerk_ratio_lips", "jerk_ratio_pose", "boundary_jerk_lips", "boundary_jerk_pose",
)  # fmt: skip
SCORED = ("lip_pc1", "lip_pc2", "closure_f1", "sync_offset_frames", "std_ratio_lips", "std_ratio_pose")  # of one clip


@dataclass(frozen=True)
class SampleRow:
    """A clip as the table of samples shows it: its voice, films of the recorded and the generated motion, scores."""

    key: str
    speaker: str
    voice: Path
    truth: Path
    generated: Path
    scores: dict[str, float]


class SampleMetrics(pl.Callback):
    """Every `every_steps` steps, on rank 0, by the averaged weights: `val/<metric>` of `clips` clips, a film, curves.

    The clips are the same each time. A logger that has `log_samples` is given a film of each of the first `films`.
    Other ranks wait. Takes no random numbers from training: each clip is sampled from its own seed.
    """

    def __init__(self, *, every_steps: int, clips: int, films: int, folder: str):
        self.every_steps, self.count, self.films, self.folder = every_steps, clips, films, Path(folder)
        self.sampling: Sampling | None = None  # given by the task: built from the same configuration as every sample
        self.portrait, self.judge = PuppetPortrait(), None
        self._done = -1
        self._reference: MotionReference | None = None  # of the training split, fitted at the first use

    def prepare(self, sampling: Sampling, portrait: PuppetPortrait, judge: Judge | None) -> None:
        """With a judge, `val/sync_confidence` and `val/sync_offset` are among the metrics."""
        self.sampling, self.portrait, self.judge = sampling, portrait, judge

    def on_fit_start(self, trainer, pl_module) -> None:
        if self.sampling is None:
            raise RuntimeError("SampleMetrics.prepare(sampling, portrait, judge) was not called before training")
        self._done = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        step = trainer.global_step
        if step == self._done or step % self.every_steps:
            return
        self._done = step
        settle(trainer)  # a voice is not generated with weights that are not finite
        if trainer.is_global_zero:
            self._score(trainer, pl_module, trainer.datamodule.dataset, step)
        trainer.strategy.barrier("samples")

    def _score(self, trainer, pl_module, dataset: DatasetInfo, step: int) -> None:
        trained_on = trainer.datamodule.features
        asked = trained_on and trained_on.name
        features, _ = cached_voices(pl_module.generator, dataset, asked, self.sampling)
        clips = choose_clips(dataset, "validation", self.count, features)
        average = next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)
        generator = pl_module.generator.eval()
        with average.swapped(pl_module) if average else nullcontext():
            own = sample(generator, own_voices(clips), self.sampling)
            others = sample(generator, other_voices(clips), self.sampling)
        generator.train()
        if self._reference is None:
            self._reference = MotionReference.fit(entry.motion() for entry in dataset.entries("train"))
        motions = clip_motions(clips, own, others, self.sampling.windowing)
        scores = score(motions, self._reference, self.sampling.seed)
        values = {f"val/{name}": scores[name].value for name in LOGGED if name in scores}
        if self.judge:
            rows = self.judge.rows(motions, [clip.audio for clip in clips], self.sampling.seed, ["model"])
            values |= {f"val/{name}": score.value for name, score in rows["model"].items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step - 1)  # curves count from 0: a run resumed at `step` keeps these
        self._draw(trainer, clips, motions, step)

    def _draw(self, trainer, clips: Sequence[Clip], motions: Sequence[ClipMotion], step: int) -> None:
        clip, motion = clips[0], motions[0]
        self.folder.mkdir(parents=True, exist_ok=True)
        film, curves = self.folder / f"step-{step:06d}.mp4", self.folder / f"step-{step:06d}-curves.png"
        write_preview(film, motion.generated, clip.audio, portrait=self.portrait, truth_TC=clip.motion)
        plot_curves(
            curves, motion.generated, clip.audio, truth_TC=clip.motion, determined_TC=clip.truth, phones=motion.phones
        )
        showing = [logger for logger in trainer.loggers if hasattr(logger, "log_samples")]
        if showing:
            pairs = zip(clips[: self.films], motions[: self.films], strict=True)
            rows = [self._row(clip, motion, step) for clip, motion in pairs]
            for logger in showing:
                logger.log_samples(rows, film, curves, step=step - 1)

    def _row(self, clip: Clip, motion: ClipMotion, step: int) -> SampleRow:
        """Films of one clip; what does not change, voice and truth, is written once."""
        folder = self.folder / "samples"
        voice, truth = folder / f"{clip.key}.wav", folder / f"{clip.key}-truth.mp4"
        generated = folder / f"{clip.key}-step-{step:06d}.mp4"
        face = replace(self.portrait, neutral=estimate_neutral(clip.motion))  # one for both, so that they compare
        if not voice.exists():
            with replacing(voice) as temporary:
                soundfile.write(temporary, clip.audio, SAMPLE_RATE, format="WAV")
        if not truth.exists():
            write_preview(truth, clip.motion, clip.audio, portrait=face)
        write_preview(generated, motion.generated, clip.audio, portrait=face)
        scores = per_clip([motion], self._reference)
        values = {name: float(scores[name][0]) for name in SCORED if name in scores}
        return SampleRow(clip.key, clip.meta["speaker"], voice, truth, generated, values)
