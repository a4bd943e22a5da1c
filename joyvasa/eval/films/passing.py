"""One pass over a reference and all that systems made of it: each film is decoded once, frame beside frame.

What was read before, from the same content, is not read again: a run that was killed goes on, and a film of which
nothing is missing is not opened. Two films of one content (a reference given as generated, too) are decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.eval.films.gauge import Gauge, Instrument, OpenFilm, Unfit, reading_key
from joyvasa.eval.films.pairing import REFERENCE, Group
from joyvasa.eval.films.store import Store
from joyvasa.eval.identity import PHOTO_SIDE
from joyvasa.io.image import read_picture
from joyvasa.io.video_reader import VideoReader
from joyvasa.weights import sha256_of

NAME, COUNTERPART, PHOTO = "name", "reference", "photo"


@dataclass
class Sides:
    """instruments: by name, for the systems' films and for the reference's (which is sampled otherwise by FVD)."""

    generated: dict[str, Instrument]
    reference: dict[str, Instrument]

    def of(self, row: str) -> Mapping[str, Instrument]:
        return self.reference if row == REFERENCE else self.generated


@dataclass
class FilmRead:
    """Where a film's readings are: key in the store by instrument. fault: why there are none, or None; faults: by
    instrument, why there is none. decoded: frames decoded in this pass."""

    path: Path
    sha256: str | None = None
    keys: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    faults: dict[str, str] = field(default_factory=dict)
    decoded: int = 0


@dataclass(eq=False)
class _Open:
    row: str
    read: FilmRead
    frames: Iterator[np.ndarray]
    gauges: dict[str, Gauge] = field(default_factory=dict)

    def ask(self, name: str, work: Callable[[], Any]) -> Any:
        """What a gauge does; None where it cannot, and then it is gone. One film must not end thousands of films'
        work, so every error is caught: it is told as the reason, and, as every fault, not kept."""
        try:
            return work()
        except Unfit as error:
            self.read.faults[name] = str(error)
        except Exception as error:
            self.read.faults[name] = f"failed: {type(error).__name__}: {error}"
        self.gauges.pop(name, None)
        return None


def measure(group: Group, sides: Sides, store: Store, on_frame: Callable[[int], None]) -> dict[str, FilmRead]:
    """Read what is missing of a group's films; what was found by row. on_frame: told how many frames were decoded.

    What is wrong with a film, or with one instrument's view of it, is recorded; errors of the machine are raised.
    """
    reads = {row: _identified(path) for row, path in group.films.items()}
    beside = _beside(group, reads)
    missing: dict[str, list[str]] = {}
    reader_of: dict[str, str] = {}  # key of a reading -> the row that it is read from
    for row, read in reads.items():
        if read.sha256 is not None:
            instruments = sides.of(row)
            read.keys = {name: reading_key(each, read.sha256, beside) for name, each in instruments.items()}
            absent = [name for name, key in read.keys.items() if not store.has(key)]
            missing[row] = [name for name in absent if reader_of.setdefault(read.keys[name], row) == row]
    wanted = {row for row, names in missing.items() if names}
    needed = {what for row in wanted for name in missing[row] for what in sides.of(row)[name].beside}
    if COUNTERPART in needed:
        wanted |= {REFERENCE} & missing.keys()
    readers = _readers({row: read for row, read in reads.items() if row in wanted})
    reference = readers[REFERENCE].info if REFERENCE in readers else None
    photo = _photo(group) if readers and PHOTO in needed else None
    opened = []
    for row, reader in readers.items():
        film = _Open(row, reads[row], _frames_of(reader))
        seen = OpenFilm(film.read.path, group.key, reader.info, reference, photo)
        for name in missing[row]:
            instrument = sides.of(row)[name]
            gauge = film.ask(name, partial(instrument.begin, seen))
            if gauge is not None:
                film.gauges[name] = gauge
        opened.append(film)
    paired = any(COUNTERPART in sides.of(film.row)[name].beside for film in opened for name in film.gauges)
    _run([each for each in opened if each.gauges or (paired and each.row == REFERENCE)], store, on_frame)
    for read in reads.values():
        _take_faults(read, reads, reader_of)
    return reads


def _take_faults(read: FilmRead, reads: Mapping[str, FilmRead], reader_of: Mapping[str, str]) -> None:
    """What is wrong with a film is wrong with another one of the same content, that was not read itself."""
    for name, key in read.keys.items():
        other = reads[reader_of[key]] if key in reader_of else read
        if other is not read:
            read.fault = read.fault or other.fault
            if name in other.faults:
                read.faults[name] = other.faults[name]


def _identified(path: Path) -> FilmRead:
    try:
        return FilmRead(path, sha256=sha256_of(path))
    except OSError as error:
        return FilmRead(path, fault=f"cannot be read: {error.strerror or error}")


def _beside(group: Group, reads: Mapping[str, FilmRead]) -> dict[str, str | None]:
    reference = reads[REFERENCE].sha256 if REFERENCE in reads else None
    photo = _identified(group.photo).sha256 if group.photo else None
    return {NAME: group.key, COUNTERPART: reference, PHOTO: photo}


def _photo(group: Group) -> np.ndarray | None:
    """None where there is none that can be read."""
    try:
        return read_picture(group.photo, PHOTO_SIDE).pixels if group.photo else None
    except (ValueError, OSError):
        return None


def _readers(reads: Mapping[str, FilmRead]) -> dict[str, VideoReader]:
    """Of the films that are films, one for all of the same content; what is wrong with the others is noted."""
    found: dict[str, VideoReader] = {}
    of_content: dict[str | None, VideoReader] = {}
    for row, read in reads.items():
        try:
            if read.sha256 not in of_content:
                of_content[read.sha256] = VideoReader(read.path)
            found[row] = of_content[read.sha256]
        except Exception as error:  # as in `_Open.ask`
            read.fault = _told(error, read.path)
    return found


def _frames_of(reader: VideoReader) -> Iterator[np.ndarray]:
    """Opened with the first frame that is asked for: of films of one content a single one is."""
    yield from reader


def _told(error: Exception, path: Path) -> str:
    expected = isinstance(error, (ValueError, OSError))
    return str(error).removeprefix(f"{path}: ") if expected else f"failed: {type(error).__name__}: {error}"


def _run(opened: list[_Open], store: Store, on_frame: Callable[[int], None]) -> None:
    """Frame by frame through all films, until none has gauges left; readings are kept as films end. Of films of one
    content the first is decoded, and all see its frames."""
    live = list(opened)
    first_of: dict[str | None, _Open] = {}
    for film in live:
        first_of.setdefault(film.read.sha256, film)
    while any(film.gauges for film in live):
        shown = {film.row: _next(film) for film in first_of.values() if film in live}
        for film in live:
            first = first_of[film.read.sha256]
            shown[film.row] = shown[first.row]
            if first.read.fault is not None and film is not first:
                film.read.fault, film.gauges = first.read.fault, {}
        reference = shown.get(REFERENCE)
        for film in live:
            frame = shown[film.row]
            if frame is not None:
                if film is first_of[film.read.sha256]:
                    film.read.decoded += 1
                    on_frame(1)
                for name, gauge in list(film.gauges.items()):
                    film.ask(name, partial(gauge.add, frame, reference))
            elif film.read.fault is None:
                _finish(film, store)
        live = [film for film in live if shown[film.row] is not None]


def _next(film: _Open) -> np.ndarray | None:
    """None at the film's end, and where it is damaged: it is said in its fault, and nothing is kept of it."""
    try:
        return next(film.frames, None)
    except Exception as error:  # as in `_Open.ask`
        film.read.fault, film.gauges = _told(error, film.read.path), {}
        return None


def _finish(film: _Open, store: Store) -> None:
    for name, gauge in list(film.gauges.items()):
        reading = film.ask(name, gauge.end)
        if reading is not None:
            store.put(film.read.keys[name], reading)
    film.gauges = {}
