"""task=animate: photos or videos and voices in, films out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from joyvasa import weights
from joyvasa.animate.compose_settings import ANIMAL, HUMAN, Composition
from joyvasa.animate.pipeline import Made, OnStep, Studio, Subject, Voice
from joyvasa.animate.portrait import Framing
from joyvasa.animate.soundtrack import SOUNDS
from joyvasa.animate.stage import SpeciesStage, Stage
from joyvasa.faces.detect import open_detector
from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS, SOUND_ENDINGS, expanded, out_of_files
from joyvasa.io.lengths import stated_seconds
from joyvasa.io.listing import is_video
from joyvasa.io.video_writer import check_writable
from joyvasa.markup import printable
from joyvasa.models.liveportrait.files import ENTRIES, entry_of, find
from joyvasa.models.liveportrait.sizes import PARTS
from joyvasa.motion import FPS
from joyvasa.progress import WorkBar, advance, progress_bar
from joyvasa.tasks.official import Opened, open_chosen, speaker
from joyvasa.tasks.pairs import EXAMPLE, Pair, find_files, plan
from joyvasa.tasks.runs import write_json

ANIMATED = {HUMAN: "photo", ANIMAL: "animal"}


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
    usual = "lip" if is_video(image) else "all"
    return instantiate(cfg.animate.composition, region=cfg.regions or usual)


def open_studio(cfg: DictConfig, overrides: list[str]) -> tuple[Studio, DictConfig]:
    """The studio of a configuration, and that configuration with what the checkpoint suggests. What is used is
    printed: checkpoint, renderer, detector."""
    opened = open_chosen(cfg, overrides, EXAMPLE)
    cfg = opened.cfg
    detector = open_detector(cfg.animate.detector)
    print(f"detector   {detector.name}: {detector.note}")
    stage = instantiate(cfg.render)
    print(f"render     {stage.note}")
    return Studio(speak=speaker(opened), stage=stage, detector=detector, facts=facts_of(opened)), cfg


def facts_of(opened: Opened) -> dict[str, str]:
    """For the metadata of films: which generator, sampled how."""
    how = opened.cfg.generation
    run = {} if opened.run is None else {"run": f"{opened.run.parent.name}/{opened.run.name}"}
    return {
        "software": "joyvasa",
        "checkpoint": opened.checkpoint.name,
        "checkpoint_sha256": weights.sha256_of(opened.checkpoint),
        **run,
        **opened.origin.facts,
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

    def make(self, pair: Pair, on_step: OnStep) -> Made:
        """`on_step` is told the frames drawn. Raises ValueError or OSError naming what is wrong with the image, the
        voice or the film's place."""
        subject, voice = self._subject(pair.image), self._voice(pair.audio)
        composition = composition_of(self.cfg, pair.image)
        sound = self.cfg.animate.sound
        return self.studio.shoot(subject, voice, pair.out, composition=composition, sound=sound, on_step=on_step)

    def _subject(self, path: Path) -> Subject:
        if self.subject is None or self.subject[0] != path:
            self.subject = path, _tried(lambda: self.studio.look(path, self.framing))
        return _got(self.subject[1])

    def _voice(self, path: Path) -> Voice:
        if path not in self.voices:
            with progress_bar(what=f"listening to {printable(path.name)}", unit="window", leave=False) as bar:
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
    """Needs `image=`, `audio=` and `out=`; every image with every voice. Exit code 1 where a film failed."""
    images = find_files(cfg.image, "image", "picture or video", PICTURE_ENDINGS + FILM_ENDINGS)
    voices = find_files(cfg.audio, "audio", "sound", SOUND_ENDINGS + FILM_ENDINGS)
    if cfg.out is None:
        raise ValueError(f"out= is missing; for example: {EXAMPLE}")
    if cfg.animate.sound not in SOUNDS:
        raise ValueError(f"animate.sound={cfg.animate.sound} (expected one of {', '.join(SOUNDS)})")
    if cfg.max_frames is not None and cfg.max_frames < 1:
        raise ValueError(f"max_frames={cfg.max_frames} (expected at least 1)")
    pairs, framing = plan(images, voices, expanded(cfg.out)), framing_of(cfg)
    composition_of(cfg, images[0])  # a wrong word is said before anything is loaded
    check_writable(pairs[0].out)
    studio, cfg = open_studio(cfg, overrides)
    desk, made, failed = Desk(studio, cfg, framing), [], {}
    with WorkBar("drawing", frames_of(pairs, cfg.max_frames), items="videos") as bar:
        for pair in pairs:
            name = str(pair.out)
            try:
                film = desk.make(pair, bar.on_step(name))
            except (ValueError, OSError) as error:
                failed[pair.out.name] = out_of_files(error) or str(error)
                print(f"failed     {printable(pair.out.name)}: {printable(failed[pair.out.name])}")
                continue
            finally:
                bar.end(name)
            made.append(film)
            _report(film)
    if len(pairs) > 1:
        records = [_record(film) for film in made]
        write_json(pairs[0].out.parent / "films.json", {"made": records, "failed": failed})
        print(
            f"{len(made)} of {len(pairs)} films made" + (f"; failed: {printable(', '.join(failed))}" if failed else "")
        )
    return 1 if failed else 0


def _record(film: Made) -> dict[str, Any]:
    """What films.json says of a video: its name, length and notes beside its facts."""
    named = {"film": film.path.name, "frames": film.frames, "seconds": float(film.frames / film.fps)}
    return named | film.facts | {"notes": list(film.notes)}


def frames_of(pairs: list[Pair], max_frames: int | None) -> dict[str, float | None]:
    """How long each video will be, as its audio states it; corrected when it is drawn."""
    seconds = {path: stated_seconds(path) for path in {pair.audio for pair in pairs}}
    frames: dict[str, float | None] = {}
    for pair in pairs:
        stated = seconds[pair.audio]
        count = None if stated is None else round(stated * FPS)
        if count is not None and max_frames is not None:
            count = min(count, max_frames)
        frames[str(pair.out)] = count
    return frames


def _report(film: Made) -> None:
    seen = ", ".join(f"{key} {film.facts[key]}" for key in ("species", "detector", "face") if key in film.facts)
    print(f"film       {printable(film.path)} ({film.frames} frames, {float(film.frames / film.fps):.2f} s; {seen})")
    for note in film.notes:
        print(f"note       {printable(note)}")
    if film.facts.get("untrained"):
        print("note       the picture comes from random weights: it shows that everything runs, not a person")


def best_stage(puppet: DictConfig, liveportrait: DictConfig, species: str) -> Stage:
    """LivePortrait for the species whose weights are there, else the puppet, whose note says what is missing.

    Args:
        puppet: the configuration of the puppet.
        liveportrait: that of LivePortrait.
        species: what was asked for: "auto", "human" or "animal". Both are looked for: on the page each visitor chooses.

    Returns:
        One of the two, or a stage of both where one species lacks its weights.
    """
    lacking: dict[str, str] = {}
    for kind in ENTRIES:
        missing = _lacking_weights(liveportrait.weights, kind)
        if missing is not None:
            lacking[kind] = f"the {ANIMATED[kind]} itself: {missing}"
    if not lacking:
        return instantiate(liveportrait)
    drawn = instantiate(puppet)
    if len(lacking) == len(ENTRIES):
        drawn.note = f"{drawn.note} ({lacking[ANIMAL if species == ANIMAL else HUMAN]})"
        return drawn
    moved = instantiate(liveportrait)
    stages = {kind: drawn if kind in lacking else moved for kind in ENTRIES}
    return SpeciesStage(stages, lacking, species)


def _lacking_weights(which: str, species: str) -> str | None:
    """The command that adds what LivePortrait lacks for a species, and what it is; None where all is there."""
    if which.startswith("random"):
        return None
    for letter in PARTS:
        try:
            find(which, letter, species)
        except FileNotFoundError as error:
            missing = str(error).split(" in ")[0]
            return f"python -m joyvasa.weights pull {entry_of(letter, species)}; {missing}"
    return None
