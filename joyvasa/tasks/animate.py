"""task=animate: photos or videos and voices in, films out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from joyvasa import weights
from joyvasa.animate.compose_settings import HUMAN, Composition
from joyvasa.animate.pipeline import EVERYWHERE, LIPS_ALONE, Made, OnStep, Studio, Subject, Voice
from joyvasa.animate.portrait import Framing
from joyvasa.animate.soundtrack import SOUNDS
from joyvasa.animate.stage import Stage
from joyvasa.faces.detect import open_detector
from joyvasa.film import check_writable
from joyvasa.media import FILM_ENDINGS, SOUND_ENDINGS
from joyvasa.models.liveportrait.files import WEIGHTS, find
from joyvasa.models.liveportrait.sizes import PARTS
from joyvasa.picture import PICTURE_ENDINGS
from joyvasa.tasks.build import build_sampling
from joyvasa.tasks.official import Opened, find_default, open_generator
from joyvasa.tasks.runs import write_json

EXAMPLE = "python run.py task=animate image=PHOTO audio=VOICE out=FILM.mp4"


@dataclass(frozen=True)
class Pair:
    """A photo or video, a voice, and the film they become."""

    image: Path
    audio: Path
    out: Path


def find_files(given: Any, key: str, endings: tuple[str, ...]) -> list[Path]:
    """The files meant by a path, a folder (those with these endings) or a list of both.

    Raises ValueError where nothing is given, FileNotFoundError where there is nothing.
    """
    if given is None:
        raise ValueError(f"{key}= is missing; for example: {EXAMPLE}")
    words = list(given) if isinstance(given, (ListConfig, list, tuple)) else [given]
    found: list[Path] = []
    for path in (Path(str(word)).expanduser() for word in words):
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in endings) if path.is_dir() else [path]
        if not path.exists():
            raise FileNotFoundError(f"{key}={path}: no such file or folder")
        if not inside:
            raise FileNotFoundError(f"{key}={path}: nothing of {', '.join(endings)} in this folder")
        found += inside
    return found


def plan(images: list[Path], voices: list[Path], out: Path) -> list[Pair]:
    """All pairs. `out` is the film for one pair if it ends in .mp4, else a folder of IMAGE_VOICE.mp4.

    Raises ValueError for a film's name with several pairs, or a film that would replace what it is made from.
    """
    if out.suffix.lower() in FILM_ENDINGS and not out.is_dir():
        if len(images) * len(voices) > 1:
            raise ValueError(f"out={out}: one film for {len(images)} images x {len(voices)} voices; give a folder")
        pairs = [Pair(images[0], voices[0], out)]
    else:
        pairs = [Pair(image, voice, Path()) for image in images for voice in voices]
        names = [f"{pair.image.stem}_{pair.audio.stem}" for pair in pairs]
        twice = {name for name in names if names.count(name) > 1}  # a.jpg beside a.png
        full = [
            f"{pair.image.name}_{pair.audio.name}" if n in twice else n for pair, n in zip(pairs, names, strict=True)
        ]
        pairs = [replace(pair, out=out / f"{name}.mp4") for pair, name in zip(pairs, full, strict=True)]
    for pair in pairs:
        if pair.out.exists() and any(pair.out.samefile(source) for source in (pair.image, pair.audio)):
            raise ValueError(f"{pair.out} would replace what it is made from; give another out=")
    return pairs


def framing_of(cfg: DictConfig) -> Framing:
    """Raises ValueError for a box that is not four numbers."""
    box = None
    if cfg.box is not None:
        words = [str(word) for word in cfg.box] if isinstance(cfg.box, ListConfig) else str(cfg.box).split(",")
        try:
            x, y, width, height = (float(word) for word in words)
        except ValueError as error:
            raise ValueError(f"box={cfg.box}: expected four numbers, box=x,y,w,h in pixels") from error
        box = (x, y, width, height)
    how = cfg.animate
    crop = instantiate(how.crop)
    return Framing(cfg.species, cfg.face, box, how.max_side, crop, how.detect_every, how.smoothing_frames)


def composition_of(cfg: DictConfig, image: Path) -> Composition:
    """`regions=`, else all of a photo's face, and the lips of a video's."""
    usual = LIPS_ALONE if image.suffix.lower() in FILM_ENDINGS else EVERYWHERE
    return instantiate(cfg.animate.composition, region=cfg.regions or usual)


def open_studio(cfg: DictConfig, overrides: list[str]) -> tuple[Studio, DictConfig]:
    """The studio of a configuration, and that configuration with what the checkpoint suggests. What is used is
    printed: checkpoint, renderer, detector."""
    if cfg.checkpoint is None:
        cfg.checkpoint = str(find_default(Path(cfg.paths.runs)))
        print(f"checkpoint {cfg.checkpoint} (the default; checkpoint= takes another)")
    opened = open_generator(cfg, overrides, EXAMPLE)
    cfg = opened.cfg
    detector = open_detector(cfg.animate.detector)
    print(f"detector   {detector.name}: {detector.note}")
    stage = instantiate(cfg.render)
    print(f"render     {stage.note}")
    return Studio(speak=speaker(opened), stage=stage, detector=detector, facts=facts_of(opened)), cfg


def facts_of(opened: Opened) -> dict[str, str]:
    """For the metadata of films: which generator, sampled how."""
    how = opened.cfg.generation
    return {
        "software": "joyvasa",
        "checkpoint": opened.checkpoint.name,
        "checkpoint_sha256": weights.sha256_of(opened.checkpoint),
        "step": str(opened.step),
        "seed": str(how.seed),
        "guidance": f"{how.guidance:g}",
    }


def speaker(opened: Opened):
    """Voice (640 T,) -> motion (T, 70), with the generator and the sampling of what was opened."""
    how = replace(build_sampling(opened.cfg), batch_size=1)

    def speak(audio: np.ndarray, name: str, guidance: float | None, on_step: OnStep) -> np.ndarray:
        scale = how.guidance.scale if guidance is None else guidance
        return opened.generator.generate(
            [audio],
            seeds=[how.seed_of(name)],
            sampler=how.sampler,
            guidance=replace(how.guidance, scale=scale),
            windowing=how.windowing,
            temperature=how.temperature,
            smoothing=how.smoothing,
            on_window=on_step,
        )[0]

    return speak


@dataclass
class Desk:
    """The studio at work on a list of pairs: the image in hand and every voice heard so far are kept."""

    studio: Studio
    cfg: DictConfig
    framing: Framing
    subject: tuple[Path, Subject] | None = None
    voices: dict[Path, Voice] = field(default_factory=dict)

    def make(self, pair: Pair) -> Made:
        """Raises ValueError or OSError naming what is wrong with the image, the voice or the film's place."""
        if self.subject is None or self.subject[0] != pair.image:
            self.subject = pair.image, self.studio.look(pair.image, self.framing)
        subject = self.subject[1]
        if pair.audio not in self.voices:
            with tqdm(desc=f"listening to {pair.audio.name}", unit="window", leave=False) as bar:
                self.voices[pair.audio] = self.studio.listen(
                    pair.audio, max_frames=self.cfg.max_frames, guidance=self.cfg.guidance, on_step=_advance(bar)
                )
        composition = composition_of(self.cfg, pair.image)
        with tqdm(desc=f"drawing {pair.out.name}", unit="frame", leave=False) as bar:
            return self.studio.shoot(
                subject,
                self.voices[pair.audio],
                pair.out,
                composition=composition,
                sound=self.cfg.animate.sound,
                on_step=_advance(bar),
            )


def _advance(bar: tqdm) -> OnStep:
    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return advance


def animate(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `image=`, `audio=` and `out=`; every image with every voice. Exit code 1 when no film was made."""
    images = find_files(cfg.image, "image", PICTURE_ENDINGS + FILM_ENDINGS)
    voices = find_files(cfg.audio, "audio", SOUND_ENDINGS + FILM_ENDINGS)
    if cfg.out is None:
        raise ValueError(f"out= is missing; for example: {EXAMPLE}")
    if cfg.animate.sound not in SOUNDS:
        raise ValueError(f"animate.sound={cfg.animate.sound} (expected one of {', '.join(SOUNDS)})")
    pairs, framing = plan(images, voices, Path(cfg.out).expanduser()), framing_of(cfg)
    composition_of(cfg, images[0])  # a wrong word is said before anything is loaded
    check_writable(pairs[0].out)
    studio, cfg = open_studio(cfg, overrides)
    desk, made, failed = Desk(studio, cfg, framing), [], {}
    for pair in pairs:
        try:
            film = desk.make(pair)
        except (ValueError, OSError) as error:
            failed[pair.out.name] = str(error)
            print(f"failed     {pair.out.name}: {error}")
            continue
        made.append(film)
        _report(film)
    if len(pairs) > 1:
        write_json(pairs[0].out.parent / "films.json", {"made": [film.facts for film in made], "failed": failed})
        print(f"{len(made)} of {len(pairs)} films made" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 0 if made else 1


def _report(film: Made) -> None:
    seen = ", ".join(f"{key} {film.facts[key]}" for key in ("species", "detector", "face") if key in film.facts)
    print(f"film       {film.path} ({film.frames} frames, {float(film.frames / film.fps):.2f} s; {seen})")
    for note in film.notes:
        print(f"note       {note}")
    if film.facts.get("untrained"):
        print("note       the picture comes from random weights: it shows that everything runs, not a person")


def best_stage(puppet: DictConfig, liveportrait: DictConfig) -> Stage:
    """LivePortrait where the weights for people are complete, else the puppet, whose note says what is missing."""
    try:
        for letter in PARTS:
            find(WEIGHTS, letter, HUMAN)
    except FileNotFoundError as error:
        stage = instantiate(puppet)
        missing = str(error).split(" in ")[0]
        stage.note = f"{stage.note} (the photo itself: python -m joyvasa.weights pull liveportrait; {missing})"
        return stage
    return instantiate(liveportrait)
