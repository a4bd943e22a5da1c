"""Steps of task=accept: the published generator speaks, LivePortrait draws a person and an animal.

Where no voice and no photo are given, voice, motion and faces are made here: they show that everything runs.

Shape suffixes: T frames, C channels, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.animate.pipeline import Studio, Voice, load_voice
from joyvasa.animate.preview import write_preview
from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer
from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.eval.verdicts import UNVERIFIED, VERIFIED, WRONG, Examiner, Verdict
from joyvasa.faces.detect import open_detector
from joyvasa.io.audio import encode_flac
from joyvasa.io.files import replacing
from joyvasa.io.video_reader import VideoReader
from joyvasa.models.liveportrait.files import ENTRIES, WEIGHTS
from joyvasa.motion import CHANNELS, FPS, LIPS, ROTATION, SAMPLES_PER_FRAME
from joyvasa.progress import advance, progress_bar
from joyvasa.tasks.accept_step import Outcome, Step, files_of, sources
from joyvasa.tasks.animate import framing_of
from joyvasa.tasks.official import REGISTRY, open_generator, speaker
from joyvasa.tasks.sample import describe
from joyvasa.tasks.score import portrait
from joyvasa.thumbnails import contact_sheet, evenly, jpeg, thumbnail
from joyvasa.weights import sha256_of

GENERATOR = "joyvasa"
MOTION, VOICE, SPOKEN = "sample.npy", "voice.flac", "sample.mp4"
PUPPETS = {"human": "person", "animal": "cat"}
KINDS = {"human": "person", "animal": "animal"}
DRAWN_PX, DRAWN_FACE = 512, (0.2, 0.15, 0.6, 0.7)  # a drawn face, and where it is in its picture
SHEET_FRAMES = 8
MOST_DEGREES = 90.0


@dataclass
class Stage:
    """What the steps share."""

    cfg: DictConfig
    overrides: list[str]
    folder: Path
    examiner: Examiner

    def held(self, *entries: str) -> Verdict:
        """The first of the entries' verdicts that is not `verified`, else the last."""
        found = [self.examiner.holding(each).verdict for each in entries]
        return next((each for each in found if each.state != VERIFIED), found[-1])

    def how(self, *groups: str) -> dict[str, str]:
        """What decides a result beside its files: settings and code."""
        settings = "; ".join(OmegaConf.to_yaml(self.cfg[group], resolve=True) for group in groups)
        return {"settings": settings, "frames": str(self.cfg.max_frames), "code": sources()}

    def made(self) -> tuple[np.ndarray, np.ndarray]:
        """A voice (S,) and the motion (T, C) that belongs to it."""
        frames = self.cfg.max_frames
        corpus = Corpus(
            seed=self.cfg.seed, train_speakers=1, validation_speakers=1, clips_per_speaker=1,
            seconds=min(max(2.0, 1.3 * frames / FPS), 60.0),  # a clip is up to a fifth shorter
        )  # fmt: skip
        clip = make_clip(corpus, "validation", 1, 0)
        return clip.audio[: frames * SAMPLES_PER_FRAME], clip.motion[:frames]


def sample_step(stage: Stage, given: Path | None) -> Step:
    """The published generator's motion for a voice, as numbers and as a film of the puppet."""

    def inputs() -> dict[str, str]:
        checkpoint = stage.cfg.checkpoint
        known = {"checkpoint": str(checkpoint)} if checkpoint else files_of(GENERATOR)
        return known | {"voice": _hash(given)} | stage.how("generation", "sampler")

    return Step("sample", partial(_sample, stage, given), inputs)


def _sample(stage: Stage, given: Path | None) -> Outcome:
    cfg = OmegaConf.create(OmegaConf.to_container(stage.cfg))
    verdict = stage.held(GENERATOR)
    if cfg.checkpoint is None:
        cfg.checkpoint = f"{REGISTRY}{GENERATOR}"
    else:
        verdict = Verdict(UNVERIFIED, f"checkpoint={cfg.checkpoint} is not taken from the registry")
    if verdict.state == WRONG:
        return Outcome(WRONG, verdict.detail)
    opened = open_generator(cfg, stage.overrides, "")
    audio = load_voice(given, stage.cfg.max_frames) if given else stage.made()[0]
    with progress_bar(what="the generator speaks", unit="window", leave=False) as bar:
        motion = speaker(opened)(audio, given.name if given else VOICE, None, advance(bar))
    fault = _fault(motion, len(audio) // SAMPLES_PER_FRAME)
    if fault:
        return Outcome(WRONG, fault)
    with replacing(stage.folder / MOTION) as temporary, open(temporary, "wb") as stream:
        np.save(stream, motion)
    with replacing(stage.folder / VOICE) as temporary:
        temporary.write_bytes(encode_flac(audio))
    write_preview(stage.folder / SPOKEN, motion, audio, portrait=portrait(stage.cfg))
    facts = {"checkpoint": opened.checkpoint.name, "frames": len(motion)} | describe(audio, motion)
    said = f"{len(motion)} frames of motion for {given or 'a made voice'}; {verdict.detail}"
    return Outcome(verdict.state, said, facts, (MOTION, VOICE, SPOKEN, _sheet(stage.folder / SPOKEN)))


def _fault(motion_TC: np.ndarray, frames: int) -> str | None:
    """What no generator may do, or None."""
    if motion_TC.shape != (frames, CHANNELS):
        return f"motion of shape {motion_TC.shape} (expected {(frames, CHANNELS)})"
    if not np.isfinite(motion_TC).all():
        return f"{int((~np.isfinite(motion_TC)).any(1).sum())} of {frames} frames are not finite"
    if frames > 1 and not motion_TC[:, LIPS].std(0).any():
        return "the lips do not move"
    turned = float(np.abs(motion_TC[:, ROTATION]).max())
    return f"the head turns by {turned:.0f} degrees" if turned > MOST_DEGREES else None


def render_step(stage: Stage, species: str, photo: Path | None) -> Step:
    """A film of a photo, drawn by LivePortrait with the motion sampled before, where there is one."""
    entries = tuple(dict.fromkeys((ENTRIES["human"], ENTRIES[species])))  # stitching is the person's

    def inputs() -> Mapping[str, str]:
        known = {key: value for each in entries for key, value in files_of(each).items()}
        motion = stage.folder / MOTION
        known |= {"motion": _hash(motion if motion.is_file() else None), "photo": _hash(photo)}
        return known | stage.how("render", "animate")

    return Step(f"render {KINDS[species]}", partial(_render, stage, species, photo, entries), inputs)


def _render(stage: Stage, species: str, photo: Path | None, entries: tuple[str, ...]) -> Outcome:
    node, film = _liveportrait(stage.cfg), stage.folder / f"{KINDS[species]}.mp4"
    verdict = stage.held(*entries)
    if node.weights != WEIGHTS:
        verdict = Verdict(UNVERIFIED, f"render.weights={node.weights} are not the registry's")
    if verdict.state == WRONG:
        return Outcome(WRONG, verdict.detail)
    voice, motion = _spoken(stage)
    image = photo or _drawn(film.with_name(f"{film.stem}-drawn.png"), species)
    framing = replace(framing_of(stage.cfg), species=species)
    if photo is None and species == "human":
        framing = replace(framing, box=tuple(DRAWN_PX * part for part in DRAWN_FACE))
    detector = open_detector(stage.cfg.animate.detector)
    studio = Studio(speak=_nobody, stage=instantiate(node), detector=detector, facts={})
    composition = instantiate(stage.cfg.animate.composition, region=stage.cfg.regions or "all")
    with progress_bar(what=f"drawing {film.name}", unit="frame", total=len(motion), leave=False) as bar:
        subject, spoken = studio.look(image, framing), Voice(voice, motion, None)
        shot = studio.shoot(subject, spoken, film, composition=composition, sound="voice", on_step=advance(bar))
    if shot.frames != len(motion):
        return Outcome(WRONG, f"{film}: {shot.frames} frames (expected {len(motion)})")
    said = f"{shot.frames} frames of {photo or 'a drawn face'}; {verdict.detail}"
    return Outcome(verdict.state, said, {"notes": list(shot.notes)} | shot.facts, (film.name, _sheet(film)))


def _liveportrait(cfg: DictConfig) -> DictConfig:
    node = cfg.render.get("liveportrait", cfg.render)
    if not str(node.get("_target_")).endswith("LivePortraitStage"):
        raise ValueError("render: not LivePortrait (expected render=auto or render=liveportrait)")
    return node


def _spoken(stage: Stage) -> tuple[Path, np.ndarray]:
    """The voice and the motion of the step before, else made ones."""
    voice, motion = stage.folder / VOICE, stage.folder / MOTION
    if voice.is_file() and motion.is_file():
        return voice, np.load(motion)
    audio, made = stage.made()
    beside = stage.folder / "made.flac"
    with replacing(beside) as temporary:
        temporary.write_bytes(encode_flac(audio))
    return beside, made


def _drawn(path: Path, species: str) -> Path:
    """A picture of the puppet at rest."""
    renderer = PuppetRenderer()
    puppet = renderer.prepare(PuppetPortrait(PUPPETS[species], DRAWN_PX, label=""))
    face = next(iter(renderer.render(puppet, np.zeros((1, CHANNELS), np.float32))))
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path


def _nobody(*_: object) -> np.ndarray:
    raise RuntimeError("the motion of a step is made before its film")


def _sheet(film: Path) -> str:
    """A few frames of a film beside each other, NAME.jpg; its name. Raises ValueError where all are one flat colour."""
    reader = VideoReader(film)
    wanted = set(evenly(range(len(reader)), SHEET_FRAMES))
    frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for index, frame in enumerate(reader) if index in wanted]
    if not any(frame.std() for frame in frames):
        raise ValueError(f"{film}: every frame is one flat colour")
    path = film.with_suffix(".jpg")
    with replacing(path) as temporary:
        temporary.write_bytes(contact_sheet([thumbnail(jpeg(frame), film.name) for frame in frames]))
    return path.name


def _hash(path: Path | str | None) -> str:
    return sha256_of(path) if path else "made here"
