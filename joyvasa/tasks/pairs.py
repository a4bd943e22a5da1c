"""What `image=`, `audio=` and `out=` of task=animate mean: every image with every voice, and where the film goes."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import ListConfig

from joyvasa.io.files import FILM_ENDINGS

EXAMPLE = "python run.py task=animate image=PHOTO audio=VOICE out=FILM.mp4"


@dataclass(frozen=True)
class Pair:
    """A photo or video, a voice, and the film they become."""

    image: Path
    audio: Path
    out: Path


def find_files(given: Any, key: str, kind: str, endings: tuple[str, ...]) -> list[Path]:
    """The files of a kind meant by a path, a folder (those with these endings) or a list of both.

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
            raise FileNotFoundError(f"{key}={path}: no {kind} file in this folder ({', '.join(endings)})")
        found += inside
    return found


def plan(images: list[Path], voices: list[Path], out: Path) -> list[Pair]:
    """All pairs. `out` is the film for one pair if it ends like one, else a folder of IMAGE_VOICE.mp4.

    Where names are the same, the endings are added, and then numbers. Raises ValueError for a film's name with several
    pairs, or a film that would replace what films are made from.
    """
    if out.suffix.lower() in FILM_ENDINGS and not out.is_dir():
        if len(images) * len(voices) > 1:
            raise ValueError(f"out={out}: one film for {len(images)} images x {len(voices)} voices; give a folder")
        pairs = [Pair(images[0], voices[0], out)]
    else:
        sources = [(image, voice) for image in images for voice in voices]
        short, full = (
            [f"{read(image)}_{read(voice)}" for image, voice in sources]
            for read in (attrgetter("stem"), attrgetter("name"))
        )
        names = [full[k] if short.count(name) > 1 else name for k, name in enumerate(short)]
        names = [f"{n}_{names[:k].count(n) + 1}" if names.count(n) > 1 else n for k, n in enumerate(names)]
        pairs = [Pair(*source, out / f"{name}.mp4") for source, name in zip(sources, names, strict=True)]
    kept = {path.resolve() for path in (*images, *voices)}
    for pair in pairs:
        if pair.out.resolve() in kept:
            raise ValueError(f"{pair.out} would replace what films are made from; give another out=")
    return pairs
