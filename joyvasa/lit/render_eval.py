"""During training: draw a few validation clips after a validation, compare the pictures, log scores and films.

A clip with a picture (its `render/` columns) is drawn from it by the configured renderer where that is more than a
puppet; every other clip as a puppet. Numbers of the two do not share a curve.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.puppet import PuppetPortrait
from joyvasa.animate.stage import PuppetStage, Stage
from joyvasa.data.shards import Clip, ClipEntry
from joyvasa.eval.beats import beat_scores
from joyvasa.eval.motion import ClipMotion, MotionReference, score
from joyvasa.eval.runner import Sampling, cached_voices, choose_clips, clip_motions, own_voices, sample
from joyvasa.lit.ema import EMA
from joyvasa.lit.render_pairs import PICTURE, Drawing, PairSettings, TimeIsUp, compare, photo_drawing, puppet_drawing
from joyvasa.lit.run_logger import PROBLEMS, RunLogger
from joyvasa.models.judges.loading import WEIGHTS
from joyvasa.models.judges.lpips import LPIPS, load_lpips

SPLIT = "validation"
MOTION_SCORES = ("lip_pc1", "lip_pc2", "closure_f1", "sync_offset_frames")
BEAT_SCORES = ("beat_alignment", "beat_chance", "beat_alignment_best", "beat_lag_frames")
MORE_TIME = "raise callbacks.render_eval.max_seconds, or lower its clips or frames"


class RenderEval(pl.Callback):
    """After every `every_validations`-th validation, on rank 0, by the averaged weights, of the same `clips` clips:

        render/psnr_KIND, render/ssim_KIND   see `render_pairs.compare`; KIND is puppet, photo or photo-untrained
        render/lpips_KIND                    where the weights of `lpips` are here; otherwise that is said once
        render/lip_pc1, …                    of the whole generated motions: `MOTION_SCORES`, `BEAT_SCORES`
        render/clips                         how many were drawn; speed/render_seconds: how long all of it took

    Picture scores are means over the clips of a kind that could be drawn. The first `films` become films in `folder`,
    generated beside recorded; loggers that have `log_films` are given them. Other ranks wait.

    After `max_seconds` it stops, and gives no picture scores: which clips there were would depend on how fast the
    machine was. That, and whatever fails here, is printed, written to `problems` and to metrics.json, and the training
    goes on. It takes no random numbers from training. In a checkpoint: how many validations there were, so that a
    resumed run draws after the same ones.
    """

    def __init__(
        self,
        *,
        every_validations: int,
        clips: int,
        frames: int,
        stride: int,
        films: int,
        max_seconds: float,
        species: str,
        folder: str,
        problems: str,
        sampling: Sampling,
        puppet: PuppetPortrait,
        stage: Stage,
        composition: Composition,
    ):
        """species: of the clips' pictures, "human" or "animal". problems: the folder of the curves."""
        self.every, self.count, self.films, self.max_seconds = every_validations, clips, films, max_seconds
        self.pairs, self.species = PairSettings(frames, stride), species
        self.folder, self.problems = Path(folder), Path(problems) / PROBLEMS
        self.sampling, self.puppet, self.composition = sampling, puppet, composition
        self.stage = None if isinstance(stage, PuppetStage) else stage  # a puppet does without a photo
        self._validations = 0
        self._told: set[str] = set()
        self._reference: MotionReference | None = None  # of the training split, fitted at the first use
        self._lpips: LPIPS | None = None  # opened at the first use
        self._asked = False

    def state_dict(self) -> dict[str, int]:
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._validations = state_dict["validations"]

    def on_validation_end(self, trainer, pl_module) -> None:
        if trainer.sanity_checking:
            return
        self._validations += 1
        if self._validations % self.every:
            return
        if trainer.is_global_zero:
            with isolate_rng():
                self._evaluate(trainer, pl_module)
        trainer.strategy.barrier("render_eval")

    def _evaluate(self, trainer, pl_module) -> None:
        started, step = time.monotonic(), trainer.global_step
        values: dict[str, float] = {"render/clips": 0.0}
        films: dict[str, Path] = {}
        try:
            deadline = started + self.max_seconds
            clips, motions = self._generate(trainer, pl_module, deadline)
            values |= self._motion_scores(trainer, clips, motions)
            values |= self._picture_scores(trainer, clips, motions, deadline, values, films)
        except TimeIsUp:
            drawn = f"{values['render/clips']:g} of {self.count} clips were drawn, so no picture score"
            self._tell(trainer, f"{self.max_seconds:g} s were over when {drawn}; {MORE_TIME}")
        except Exception as error:  # whatever fails here must not end the training
            self._tell(trainer, f"{type(error).__name__}: {error}")
        values["speed/render_seconds"] = time.monotonic() - started
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step - 1)  # curves count from 0: a run resumed at `step` keeps these
            if films and hasattr(logger, "log_films"):
                logger.log_films(films, step=step - 1)

    def _generate(self, trainer, pl_module, deadline: float) -> tuple[list[Clip], list[ClipMotion]]:
        def on_batch(done: int, total: int) -> None:
            if time.monotonic() > deadline:
                raise TimeIsUp

        data, generator = trainer.datamodule, pl_module.generator
        features, _ = cached_voices(generator, data.dataset, data.features and data.features.name, self.sampling)
        clips = choose_clips(data.dataset, SPLIT, self.count, features)
        average = next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)
        with average.swapped(pl_module) if average else nullcontext(), evaluating(generator):
            own = sample(generator, own_voices(clips), self.sampling, on_batch)
        return clips, clip_motions(clips, own, {}, self.sampling.windowing)

    def _motion_scores(self, trainer, clips: Sequence[Clip], motions: Sequence[ClipMotion]) -> dict[str, float]:
        if self._reference is None:
            train = trainer.datamodule.dataset.entries("train")
            self._reference = MotionReference.fit(entry.motion() for entry in train)
        found = score(motions, self._reference, self.sampling.seed)
        found |= beat_scores(motions, [clip.audio for clip in clips], self._reference, self.sampling.seed)
        return {f"render/{name}": found[name].value for name in (*MOTION_SCORES, *BEAT_SCORES)}

    def _picture_scores(
        self,
        trainer,
        clips: Sequence[Clip],
        motions: Sequence[ClipMotion],
        deadline: float,
        values: dict[str, float],
        films: dict[str, Path],
    ) -> dict[str, float]:
        """Means by name. Counts the clips in `values` and notes the films in `films` as they are made. Raises
        TimeIsUp."""
        entries = {entry.key: entry for entry in trainer.datamodule.dataset.entries(SPLIT)}
        rows: dict[str, list[dict[str, float]]] = {}
        for number, (clip, motion) in enumerate(zip(clips, motions, strict=True)):
            film = (
                self.folder / f"render-{clip.key}-step-{trainer.global_step:06d}.mp4" if number < self.films else None
            )
            try:
                drawing = self._drawing(entries[clip.key], clip)
                row = compare(drawing, clip, motion, self.pairs, film, deadline, self._perceptual(trainer))
            except TimeIsUp:
                raise
            except Exception as error:  # whatever fails here must not end the training, nor cost the other clips
                self._tell(trainer, f"clip {clip.key} was not drawn: {type(error).__name__}: {error}")
                continue
            rows.setdefault(drawing.kind, []).append(row)
            values["render/clips"] += 1
            films |= {f"render/film-{number}": film} if film else {}
        return {
            f"render/{name}_{kind}": float(np.mean([row[name] for row in found]))
            for kind, found in rows.items()
            for name in found[0]
        }

    def _perceptual(self, trainer) -> LPIPS | None:
        if not self._asked:
            self._asked = True
            try:
                self._lpips = load_lpips(WEIGHTS).to(trainer.strategy.root_device)
            except FileNotFoundError as error:
                print(f"render_eval: no render/lpips: {error}", flush=True)
        return self._lpips

    def _drawing(self, entry: ClipEntry, clip: Clip) -> Drawing:
        if self.stage is None or PICTURE not in entry.members:
            return puppet_drawing(self.puppet, clip)
        return photo_drawing(self.stage, self.composition, entry, self.species)

    def _tell(self, trainer, problem: str) -> None:
        """Printed and recorded, once however often it comes back."""
        if problem in self._told:
            return
        self._told.add(problem)
        message = f"render_eval, step {trainer.global_step}: {problem}"
        print(f"{message}\ntraining goes on", flush=True)
        keeper = next((logger for logger in trainer.loggers if isinstance(logger, RunLogger)), None)
        if keeper:
            keeper.failures.append(message)  # goes into metrics.json
        try:
            self.problems.parent.mkdir(parents=True, exist_ok=True)
            with open(self.problems, "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
        except OSError as error:  # the disk may be what failed; it was printed
            print(f"not recorded: {error}", flush=True)


@contextmanager
def evaluating(module: torch.nn.Module):
    """Every part of the module in evaluation mode, and then back in its own."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
