"""What `image=`, `audio=` and `out=` of task=animate mean: every image with every voice, and where the film goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import ListConfig

from joyvasa.io.files import FILM_ENDINGS, expanded, fitted
from joyvasa.io.listing import Listing, examples, list_files
from joyvasa.markup import printable

EXAMPLE = "python run.py task=animate image=PHOTO audio=VOICE out=FILM.mp4"


@dataclass(frozen=True)
class Pair:
    """A photo or video, a voice, and the film they become."""

    image: Path
    audio: Path
    out: Path


def find_files(given: Any, key: str, kind: str, endings: tuple[str, ...]) -> list[Path]:
    """The files of a kind meant by a path, a folder or a list of both.

    A file is taken as it is given, whatever it is called: its content decides later. Of a folder those files are taken
    that `joyvasa.io.listing` takes; the others are counted and said.

    Raises:
        ValueError: where nothing is given.
        FileNotFoundError: where there is nothing.
    """
    if given is None:
        raise ValueError(f"{key}= is missing; for example: {EXAMPLE}")
    words = list(given) if isinstance(given, (ListConfig, list, tuple)) else [given]
    found: list[Path] = []
    for word in words:
        path = expanded(str(word))
        if not path.exists():
            raise FileNotFoundError(f"{key}={path}: no such file or folder")
        found += _inside(path, key, kind, endings) if path.is_dir() else [path]
    return found


def _inside(folder: Path, key: str, kind: str, endings: tuple[str, ...]) -> list[Path]:
    listing: Listing = list_files(folder, endings)
    passed_over = listing.passed_over()
    if not listing.files:
        there = f"; passed over: {passed_over}" if passed_over else ""
        raise FileNotFoundError(f"{key}={folder}: no {kind} file in this folder ({examples(endings)}){there}")
    if passed_over:
        print(f"note       {key}={printable(folder)}: {len(listing.files)} files; passed over: {passed_over}")
    return listing.files


def plan(images: list[Path], voices: list[Path], out: Path) -> list[Pair]:
    """All pairs. `out` is the film for one pair if it ends like one, else a folder of IMAGE_VOICE.mp4.

    Where names are the same, the endings are added, and then numbers; a name too long is shortened.

    Raises:
        ValueError: for a film's name with several pairs, or a film that would replace what films are made from.
    """
    if out.suffix.lower() in FILM_ENDINGS and not out.is_dir():
        if len(images) * len(voices) > 1:
            raise ValueError(f"out={out}: one film for {len(images)} images x {len(voices)} voices; give a folder")
        pairs = [Pair(images[0], voices[0], out)]
    else:
        sources = [(image, voice) for image in images for voice in voices]
        names = unique_names(sources)
        pairs = [Pair(*source, out / fitted(name, ".mp4")) for source, name in zip(sources, names, strict=True)]
    kept = {path.resolve() for path in (*images, *voices)}
    for pair in pairs:
        if pair.out.resolve() in kept:
            raise ValueError(f"{pair.out} would replace what films are made from; give another out=")
    return pairs


def unique_names(sources: Sequence[Sequence[Path]]) -> list[str]:
    """A name without ending for what is made of each group of files: stems joined by `_`.

    Where they are the same for two groups, in large or small letters, the endings are added, and then numbers.
    """
    short = _joined(sources, "stem")
    full = _joined(sources, "name")
    times = Counter(name.casefold() for name in short)
    names = [full[k] if times[name.casefold()] > 1 else name for k, name in enumerate(short)]
    again = Counter(name.casefold() for name in names)
    taken: set[str] = {name.casefold() for name in names if again[name.casefold()] == 1}
    unique = []
    for name in names:
        if again[name.casefold()] > 1:
            number = 1
            while f"{name}_{number}".casefold() in taken:
                number += 1
            name = f"{name}_{number}"
            taken.add(name.casefold())
        unique.append(name)
    return unique


def _joined(sources: Sequence[Sequence[Path]], part: str) -> list[str]:
    read = attrgetter(part)
    return ["_".join(read(path) for path in group) for group in sources]
