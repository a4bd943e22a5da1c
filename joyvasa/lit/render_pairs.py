"""One validation clip drawn twice, by its generated and by its recorded motion, and what lies between the pictures.

Both are drawn by one renderer, so that its faults are on both sides and what differs is the motion.

Shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.portrait import Portrait
from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer, estimate_neutral, stamp
from joyvasa.animate.stage import Stage
from joyvasa.data.shards import Clip, ClipEntry
from joyvasa.eval.motion import ClipMotion
from joyvasa.eval.quality import VideoQuality, measures
from joyvasa.faces.face import whole_image
from joyvasa.io.video_writer import write_video
from joyvasa.models.judges.lpips import LPIPS
from joyvasa.motion import SAMPLES_PER_FRAME

PICTURE, UNTRAINED = "render/jpg", "-untrained"

Paint = Callable[[np.ndarray], Iterator[np.ndarray]]  # motion (T, C) -> T frames, uint8 RGB (H, W, 3)


class TimeIsUp(Exception):
    """The deadline passed before a clip was drawn."""


@dataclass(frozen=True)
class Drawing:
    """How a clip is drawn. kind: what its scores are called by: puppet, photo, photo-untrained. paint: motion to
    frames; a frame depends on its own motion and, of a photo, on the first."""

    kind: str
    paint: Paint


def puppet_drawing(puppet: PuppetPortrait, clip: Clip) -> Drawing:
    """The neutral face is the recording's on both sides, so that they compare."""
    renderer = PuppetRenderer()
    prepared = renderer.prepare(replace(puppet, neutral=estimate_neutral(clip.motion)))
    return Drawing("puppet", lambda motion_TC: renderer.render(prepared, motion_TC))


def photo_drawing(stage: Stage, composition: Composition, entry: ClipEntry, species: str) -> Drawing:
    """The picture of the clip's render/ columns, a face cut out already, moved. Raises ValueError for no picture."""
    image = cv2.imdecode(np.frombuffer(entry.stored(PICTURE), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"clip {entry.key}: {PICTURE} is no picture (expected a JPEG); make the dataset again")
    pixels = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    face = whole_image(pixels)
    portrait = Portrait(f"{entry.key}.jpg", pixels, species, face, face.detector, np.eye(3), pixels)
    kind = "photo" + (UNTRAINED if stage.untrained else "")
    return Drawing(kind, lambda motion_TC: stage.film(portrait, motion_TC, composition))


@dataclass(frozen=True)
class PairSettings:
    """frames: of a clip, from its beginning. stride: frames from one that is compared to the next."""

    frames: int
    stride: int


def compare(
    drawing: Drawing,
    clip: Clip,
    motion: ClipMotion,
    how: PairSettings,
    film: Path | None,
    deadline: float,
    lpips: LPIPS | None = None,
) -> dict[str, float]:
    """{"psnr", "ssim"} of the generated against the recorded frames, and "lpips" where there is a network for it; with
    a film, both side by side with the voice.

    Frames that are not compared are drawn for a film alone. PSNR is of the error over all frames: a photo's first frame
    is the same whatever the motion, and its own PSNR infinite. deadline: of `time.monotonic`; raises TimeIsUp after it.
    """
    # One rank draws: a metric that asked the others for their part would wait for ever.
    beside, drawn = measures(lpips), 1 if film else how.stride
    quality = VideoQuality(measures=beside, sync_on_compute=False)
    # One after the other: a renderer may hold one film's state at a time.
    true = list(_until(deadline, drawing.paint(motion.truth[: how.frames : drawn])))
    made = _until(deadline, drawing.paint(motion.generated[: how.frames : drawn]))

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, both in enumerate(zip(made, true, strict=True)):
            if number * drawn % how.stride == 0:
                quality.update(*(torch.from_numpy(np.ascontiguousarray(frame))[None] for frame in both))
            yield both

    if film:
        film.parent.mkdir(parents=True, exist_ok=True)
        write_video(film, map(side_by_side, pairs()), clip.audio[: len(true) * SAMPLES_PER_FRAME])
    else:
        for _ in pairs():
            pass
    row = quality.compute()
    return {"psnr": float(row["psnr_pooled"])} | {name: float(row[name]) for name in beside}


def side_by_side(frames: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Generated and recorded, each under its name; the frames themselves stay as they are."""
    named = [frame.copy() for frame in frames]
    for frame, name in zip(named, ("generated", "truth"), strict=True):
        stamp(frame, name, at_top=True)
    return np.concatenate(named, axis=1)


def _until(deadline: float, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for frame in frames:
        if time.monotonic() > deadline:
            raise TimeIsUp
        yield frame
