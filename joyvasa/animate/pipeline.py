"""A portrait or a video and a voice -> a film. What takes long is done once: a photo is looked at once, a voice is
listened to once, whatever they are combined with.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.footage import Footage, open_footage
from joyvasa.animate.portrait import Framing, Portrait, open_portrait
from joyvasa.animate.soundtrack import soundtrack
from joyvasa.animate.stage import Stage
from joyvasa.faces.face import Detector
from joyvasa.io.audio import fit_frames, load_audio
from joyvasa.io.listing import is_video
from joyvasa.io.video_writer import write_video
from joyvasa.markup import shown
from joyvasa.motion import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, resample

MAX_SECONDS = 3600
Subject = Portrait | Footage
OnStep = Callable[[int, int], None]  # done, of how many; what it raises ends the work and leaves no half film


class Speak(Protocol):
    """Motion (T, C) of a voice (640 T,) at 16 kHz; `name` seeds it, guidance None is the configured one, `on_step` is
    told of every window."""

    def __call__(self, audio: np.ndarray, name: str, guidance: float | None, on_step: OnStep) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Voice:
    """A recording and the motion (T, C) it makes, at the guidance asked for, if any."""

    path: Path
    motion: np.ndarray
    guidance: float | None

    @property
    def facts(self) -> dict[str, str]:
        asked = {} if self.guidance is None else {"guidance": f"{self.guidance:g}"}
        return {"voice": self.path.name} | asked


@dataclass(frozen=True)
class Made:
    """A film that was written."""

    path: Path
    frames: int
    fps: Fraction
    notes: tuple[str, ...]
    facts: dict[str, str]


class Cancelled(Exception):
    """Raised from `on_step` by whoever wants the work to end."""


class Studio:
    """Everything that is the same for many films: the motion generator (`speak`), the renderer and its surroundings
    (`stage`), the face detector; `facts` is what a film's metadata says of the generator."""

    def __init__(self, *, speak: Speak, stage: Stage, detector: Detector, facts: dict[str, str]):
        self.speak, self.stage, self.detector, self.facts = speak, stage, detector, facts

    def look(self, path: Path, framing: Framing) -> Subject:
        """A photo, or a video, by its content. Raises ValueError or OSError naming the file."""
        opened = open_footage if is_video(path) else open_portrait
        return opened(path, framing, self.detector)

    def listen(self, path: Path, *, max_frames: int | None, guidance: float | None, on_step: OnStep) -> Voice:
        """Raises ValueError or OSError naming the file: not a sound, longer than an hour."""
        return Voice(path, self.speak(load_voice(path, max_frames), path.name, guidance, on_step), guidance)

    def shoot(
        self,
        subject: Subject,
        voice: Voice,
        out: Path,
        *,
        composition: Composition,
        sound: str,
        on_step: OnStep,
    ) -> Made:
        """Write the film `out` (mp4); a file of that name is replaced once the new one is whole."""
        fps = Fraction(FPS) if isinstance(subject, Portrait) else subject.fps
        motion = voice.motion if fps == FPS else resample(voice.motion, FPS, float(fps))
        if isinstance(subject, Portrait):
            frames = self.stage.film(subject, motion, composition)
        else:
            frames = self.stage.dub(subject.shots(len(motion)), subject.species, motion, composition)
        video = subject.path if isinstance(subject, Footage) else None
        track, note = soundtrack(voice.path, video, sound, seconds=float(len(motion) / fps))
        facts = self.facts | self.stage.facts(subject.species) | subject.facts | voice.facts | described(composition)
        facts |= {"untrained": "true"} if self.stage.untrained else {}
        filmed = subject.as_filmed(len(motion)) if isinstance(subject, Footage) else ""
        if filmed:
            facts["as_filmed"] = filmed
            note = (f"no face {filmed}: left as filmed", *note)
        if isinstance(subject, Portrait) and subject.cut is not None and self.stage.shows_whole(subject.species):
            note = (_even_sides(subject), *note)
        facts = {key: shown(value) for key, value in facts.items()}  # names need not be UTF-8
        written = write_video(
            out,
            _counted(frames, len(motion), on_step),
            track.samples,
            fps=fps,
            rate=track.rate,
            metadata={"title": out.stem, "comment": json.dumps(facts, ensure_ascii=False)},
        )
        return Made(out, written, fps, (*subject.notes, *self.stage.notes(subject.species), *note), facts)


def load_voice(path: Path, max_frames: int | None = None) -> np.ndarray:
    """Audio (640 T,) of a file, or of its first frames. Raises as `load_audio`, and ValueError for over an hour."""
    audio = load_audio(path)
    if max_frames is not None:
        audio = audio[: max_frames * SAMPLES_PER_FRAME]
    if len(audio) > MAX_SECONDS * SAMPLE_RATE:
        raise ValueError(f"{path}: {len(audio) / SAMPLE_RATE / 60:.0f} minutes (expected at most an hour); cut it")
    return fit_frames(audio)[0]


def _even_sides(subject: Portrait) -> str:
    """Why the video is smaller than the photo by a row or a column."""
    height, width = subject.picture.shape[:2]
    photo_width, photo_height = subject.cut
    return (
        f"the video is {width} x {height}, the photo {photo_width} x {photo_height}: videos have even sides, "
        "an odd last row or column is left out"
    )


def described(composition: Composition) -> dict[str, str]:
    """A composition in words: regions, how it is driven, amplitudes that are not 1, openings that were asked for."""
    changed = {part: factor for part, factor in asdict(composition.amplitude).items() if factor != 1}
    amplitude = {"amplitude": ", ".join(f"{part} {factor:g}" for part, factor in changed.items())} if changed else {}
    found = {"regions": "+".join(sorted(composition.regions)), "driving": composition.driving}
    found |= {"stitching": str(composition.stitching).lower(), "multiplier": f"{composition.multiplier:g}"}
    asked = {name: getattr(composition, name) for name in ("eye_retargeting", "lip_retargeting")}
    return found | amplitude | {name: f"{value:g}" for name, value in asked.items() if value is not None}


def _counted(frames: Iterable[np.ndarray], total: int, on_step: OnStep) -> Iterator[np.ndarray]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        on_step(done, total)
