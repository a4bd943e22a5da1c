"""task=animate: photos or videos and voices in, films out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from joyvasa import weights
from joyvasa.animate.compose_settings import HUMAN, Composition
from joyvasa.animate.pipeline import Made, Studio, Subject, Voice
from joyvasa.animate.portrait import Framing
from joyvasa.animate.soundtrack import SOUNDS
from joyvasa.animate.stage import Stage
from joyvasa.faces.detect import open_detector
from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS, SOUND_ENDINGS
from joyvasa.io.video_writer import check_writable
from joyvasa.models.liveportrait.files import find
from joyvasa.models.liveportrait.sizes import PARTS
from joyvasa.tasks.official import Opened, find_default, open_generator, speaker
from joyvasa.tasks.pairs import EXAMPLE, Pair, find_files, plan
from joyvasa.tasks.runs import write_json


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
    usual = "lip" if image.suffix.lower() in FILM_ENDINGS else "all"
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


@dataclass
class Desk:
    """The studio at work on a list of pairs: the image in hand and every voice heard so far are kept, and so is what
    was wrong with them."""

    studio: Studio
    cfg: DictConfig
    framing: Framing
    subject: tuple[Path, Subject | Exception] | None = None
    voices: dict[Path, Voice | Exception] = field(default_factory=dict)

    def make(self, pair: Pair) -> Made:
        """Raises ValueError or OSError naming what is wrong with the image, the voice or the film's place."""
        subject, voice = self._subject(pair.image), self._voice(pair.audio)
        composition = composition_of(self.cfg, pair.image)
        sound = self.cfg.animate.sound
        with tqdm(desc=f"drawing {pair.out.name}", unit="frame", leave=False) as bar:
            on_step = advance(bar)
            return self.studio.shoot(subject, voice, pair.out, composition=composition, sound=sound, on_step=on_step)

    def _subject(self, path: Path) -> Subject:
        if self.subject is None or self.subject[0] != path:
            self.subject = path, _tried(lambda: self.studio.look(path, self.framing))
        return _got(self.subject[1])

    def _voice(self, path: Path) -> Voice:
        if path not in self.voices:
            with tqdm(desc=f"listening to {path.name}", unit="window", leave=False) as bar:
                how = {"max_frames": self.cfg.max_frames, "guidance": self.cfg.guidance, "on_step": advance(bar)}
                self.voices[path] = _tried(lambda: self.studio.listen(path, **how))
        return _got(self.voices[path])


def _tried(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (ValueError, OSError) as error:
        return error


def _got(found: Any) -> Any:
    if isinstance(found, Exception):
        raise found
    return found


def animate(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `image=`, `audio=` and `out=`; every image with every voice. Exit code 1 when no film was made."""
    images = find_files(cfg.image, "image", "picture or video", PICTURE_ENDINGS + FILM_ENDINGS)
    voices = find_files(cfg.audio, "audio", "sound", SOUND_ENDINGS + FILM_ENDINGS)
    if cfg.out is None:
        raise ValueError(f"out= is missing; for example: {EXAMPLE}")
    if cfg.animate.sound not in SOUNDS:
        raise ValueError(f"animate.sound={cfg.animate.sound} (expected one of {', '.join(SOUNDS)})")
    if cfg.max_frames is not None and cfg.max_frames < 1:
        raise ValueError(f"max_frames={cfg.max_frames} (expected at least 1)")
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
    """LivePortrait where its weights for people are there, else the puppet, whose note says what is missing."""
    try:
        for letter in () if liveportrait.weights.startswith("random") else PARTS:
            find(liveportrait.weights, letter, HUMAN)
    except FileNotFoundError as error:
        stage = instantiate(puppet)
        missing = str(error).split(" in ")[0]
        stage.note = f"{stage.note} (the photo itself: python -m joyvasa.weights pull liveportrait; {missing})"
        return stage
    return instantiate(liveportrait)
