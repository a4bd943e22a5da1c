"""What a visitor asked for -> a film, through the same studio and the same words as task=animate."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from joyvasa.animate.compose_settings import Amplitude
from joyvasa.animate.pipeline import Made, OnStep, Studio
from joyvasa.animate.soundtrack import VOICE
from joyvasa.animate.stage import Stage
from joyvasa.faces.face import Detector, Face
from joyvasa.io.audio import load_sound
from joyvasa.io.files import fitted
from joyvasa.io.listing import is_video
from joyvasa.io.video_reader import VideoReader
from joyvasa.io.video_writer import write_video
from joyvasa.motion import SAMPLE_RATE
from joyvasa.tasks.animate import composition_of, framing_of
from joyvasa.web.folder import Folder
from joyvasa.web.limits import Limits
from joyvasa.web.line import Job

LOOKING, LISTENING, DRAWING = "looking at the picture", "listening to the voice", "drawing"
LOCK_SECONDS = 0.2


@dataclass(frozen=True)
class Wish:
    """What a visitor set. image, voice: uploaded files. face: which, from the left from 1, None the largest.
    box: "x,y,w,h" or "". regions: none for the usual ones. guidance: None for the configured one.
    preview: the first seconds alone, drawn by the puppet."""

    image: Path
    voice: Path
    species: str
    face: int | None
    box: str
    regions: tuple[str, ...]
    guidance: float | None
    amplitude: Amplitude
    sound: str
    preview: bool


@dataclass(frozen=True)
class Result:
    """A film that a visitor may fetch, and how long it took to make."""

    made: Made
    wall_seconds: float


class Workshop:
    """studio: its stage plays full films, `preview` the quick ones. cfg: of both, for what is not wished."""

    def __init__(self, studio: Studio, preview: Stage, cfg: DictConfig, limits: Limits, folder: Folder):
        studio.detector = SharedDetector(studio.detector)
        self.studio, self.preview, self.cfg, self.limits, self.folder = studio, preview, cfg, limits, folder
        self.stage, self._playing = studio.stage, (threading.Lock(), threading.Lock())

    def settings(self, wish: Wish) -> DictConfig:
        """The configuration with what was wished, as if it had been typed."""
        cfg = deepcopy(self.cfg)
        cfg.species, cfg.face, cfg.box = wish.species, wish.face, wish.box.strip() or None
        cfg.regions = "+".join(wish.regions) or None
        cfg.animate.composition.amplitude.update(vars(wish.amplitude))
        return cfg

    def check(self, wish: Wish) -> None:
        """Say what can be said before any work. Raises ValueError or OSError in words for the visitor."""
        self.limits.check_image(wish.image)
        self.limits.check_voice(wish.voice)
        cfg = self.settings(wish)
        framing_of(cfg)
        try:
            composition_of(cfg, wish.image)
        except InstantiationException as error:
            raise ValueError(str(error.__cause__)) from error

    def make(self, job: Job, wish: Wish) -> Result:
        """Run one wish as `job`. Raises ValueError, OSError, or Cancelled; then nothing is left of it."""
        started, cfg = time.monotonic(), self.settings(wish)
        stage, frames = self.stage, cfg.max_frames
        if wish.preview:
            stage, frames = self.preview, self.limits.preview_frames
        with self.folder.job(job.owner) as place:
            image, voice = (_own(path, place / "inputs" / kind) for path, kind in _inputs(wish))
            studio = self._studio(stage, job.enter(LOOKING))
            if wish.preview and is_video(image):
                image = beginning(image, self.limits.preview_seconds, audio=wish.sound != VOICE)
            subject = studio.look(image, framing_of(cfg))
            heard = studio.listen(voice, max_frames=frames, guidance=wish.guidance, on_step=job.enter(LISTENING))
            with self._alone(stage, job):
                made = studio.shoot(
                    subject,
                    heard,
                    place / fitted(f"{wish.image.stem}_{voice.stem}", f"{'_preview' * wish.preview}.mp4"),
                    composition=composition_of(cfg, image),
                    sound=wish.sound,
                    on_step=job.enter(DRAWING),
                )
        return Result(made, time.monotonic() - started)

    def _studio(self, stage: Stage, on_look: OnStep) -> Studio:
        detector = WatchedDetector(self.studio.detector, on_look)
        return Studio(speak=self.studio.speak, stage=stage, detector=detector, facts=self.studio.facts)

    @contextmanager
    def _alone(self, stage: Stage, job: Job) -> Iterator[None]:
        """A stage remembers the portrait in hand, so it plays for one job at a time."""
        lock = self._playing[stage is self.preview]
        while not lock.acquire(timeout=LOCK_SECONDS):
            job.enter(DRAWING)  # raises if cancelled
        try:
            yield
        finally:
            lock.release()


class WatchedDetector:
    """A detector that tells how often it has looked: following a face through a video takes long and should end when
    the job is cancelled."""

    def __init__(self, detector: Detector, on_step: OnStep):
        self._detector, self._on_step, self._looks = detector, on_step, 0
        self.name, self.note = detector.name, detector.note

    def detect(self, image: np.ndarray) -> list[Face]:
        self._looks += 1
        self._on_step(self._looks, 0)
        return self._detector.detect(image)


class SharedDetector:
    """A detector for several threads: OpenCV's cascades work for one at a time."""

    def __init__(self, detector: Detector):
        self._detector, self._lock = detector, threading.Lock()
        self.name, self.note = detector.name, detector.note

    def detect(self, image: np.ndarray) -> list[Face]:
        with self._lock:
            return self._detector.detect(image)


def beginning(path: Path, seconds: float, *, audio: bool) -> Path:
    """The first seconds of a video, as a file beside it: a preview need not follow all of it. audio: with its own,
    which need not be readable where it is not heard."""
    reader = VideoReader(path)
    info, frames = reader.info, min(len(reader), math.ceil(seconds * reader.info.fps))
    samples, rate = None, SAMPLE_RATE
    if audio and info.has_sound:
        sound = load_sound(path, seconds=frames / float(info.fps))
        samples, rate = sound.samples, sound.rate
    short = path.with_name(fitted(path.stem, "_beginning.mp4"))
    write_video(short, reader.frames(0, frames), samples, info.fps, rate=rate)
    return short


def _inputs(wish: Wish) -> list[tuple[Path, str]]:
    return [(wish.image, "image"), (wish.voice, "voice")]


def _own(path: Path, folder: Path) -> Path:
    """A copy that stays for as long as the job works, whatever happens to the upload."""
    folder.mkdir(parents=True)
    return Path(shutil.copyfile(path, folder / path.name))
