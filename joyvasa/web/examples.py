"""Examples to click on the page: drawn faces and synthetic speech, made when the page starts. Nothing of a real person.

EXAMPLES/drawn person.png, synthetic speech 1.wav, …    together a few hundred kilobytes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer
from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.motion import CHANNELS, SAMPLE_RATE, SCALE

SIDE_PX = 512
CORPUS = Corpus(seed=0, train_speakers=2, validation_speakers=2, clips_per_speaker=1, seconds=4.0)


@dataclass(frozen=True)
class Example:
    """A photo and a recording that a visitor can try. name: for the page's button; label: what is on it."""

    name: str
    label: str
    photo: Path
    voice: Path


def make_examples(folder: Path) -> list[Example]:
    """Draw the faces and synthesise the speech of all examples.

    Args:
        folder: where their files are written; made if it is not there.

    Returns:
        The examples, in the page's order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Example] = []
    for speaker, species in enumerate(("person", "cat")):
        photo = folder / f"drawn {species}.png"
        voice = folder / f"synthetic speech {speaker + 1}.wav"
        Image.fromarray(_draw_face(species)).save(photo)
        clip = make_clip(CORPUS, "validation", speaker, 0)
        soundfile.write(voice, clip.audio, SAMPLE_RATE)
        made.append(Example(species, f"Example: a drawn {species}, synthetic speech", photo, voice))
    return made


def _draw_face(species: str) -> np.ndarray:
    """The puppet at rest as a picture, uint8 RGB (SIDE_PX, SIDE_PX, 3)."""
    rest = np.zeros((1, CHANNELS), np.float32)
    rest[:, SCALE] = 1.0
    renderer = PuppetRenderer()
    puppet = renderer.prepare(PuppetPortrait(species, SIDE_PX, label="", neutral=rest[0]))
    return next(renderer.render(puppet, rest))
