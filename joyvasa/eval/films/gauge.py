"""What looks at a film while it is decoded, and what it has read at the end.

An *instrument* is a way of reading with its networks, built once a process; a *gauge* is an instrument at one film. All
gauges of a film see every frame as it comes, so it is decoded once, whatever is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from joyvasa.eval.protocol_hash import environment, hash_of
from joyvasa.io.video_reader import VideoInfo
from joyvasa.io.video_sound import read_film_sound


class Unfit(ValueError):
    """Why an instrument cannot read a film. The others go on."""


@dataclass(frozen=True, eq=False)
class Reading:
    """facts: JSON. arrays: numbers, no objects. fault: why there is nothing else, or None; such a reading is not kept,
    for what is wrong may be the machine, or another film. libraries: with which it was made, see `Environment`."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    fault: str | None = None
    libraries: tuple[str, ...] = ()


@dataclass(eq=False)
class OpenFilm:
    """A film of which a pass is about to begin. reference: of its counterpart, None where it has none; photo: the
    source picture, uint8 RGB (H, W, 3), None where there is none."""

    path: Path
    key: str
    info: VideoInfo
    reference: VideoInfo | None
    photo: np.ndarray | None
    boxes: BoxMemo = field(default_factory=lambda: BoxMemo())

    @cached_property
    def sound(self) -> np.ndarray:
        """int16 (samples,) at 16 kHz, from the first picture to the end of the last. Raises as `read_film_sound`."""
        return read_film_sound(self.path, self.info.seconds)


class BoxMemo:
    """Boxes of the frame last looked at, by detector: instruments with the same one share the work."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[np.ndarray, Any]] = {}

    def find(self, name: str, look: Callable[[np.ndarray], Any], frame: np.ndarray) -> Any:
        known = self._last.get(name)
        if known is None or known[0] is not frame:
            known = self._last[name] = frame, look(frame)
        return known[1]


class Gauge(Protocol):
    """Frames are uint8 RGB (H, W, 3), given in order; `reference` is the counterpart's frame of the same number, or
    None. Both methods raise Unfit."""

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None: ...

    def end(self) -> Reading: ...


class Instrument(Protocol):
    """identity: plain JSON of all that decides a reading beside the film: parameters, weights, the way of the pixels.

    beside: what else decides it, of "name", "reference" and "photo".
    """

    identity: Mapping[str, Any]
    beside: frozenset[str]

    def begin(self, film: OpenFilm) -> Gauge:
        """Raises Unfit."""
        ...


def reading_key(instrument: Instrument, film_sha256: str, beside: Mapping[str, str | None]) -> str:
    """Under which a reading is kept. beside: what stands for the film's name, its reference and its photo."""
    others = {name: beside[name] for name in sorted(instrument.beside)}
    return hash_of({"instrument": instrument.identity, "film": film_sha256, "beside": others})


def packed(reading: Reading) -> dict[str, np.ndarray]:
    """As arrays alone, for one .npz file, with a digest of them."""
    facts = {"facts": reading.facts, "digest": _digest(reading.arrays), "libraries": _libraries()}
    head = json.dumps(facts).encode()
    return {"head": np.frombuffer(head, np.uint8), **{f"array_{name}": each for name, each in reading.arrays.items()}}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Reading:
    """Raises KeyError or ValueError for arrays that are not those packed."""
    head = json.loads(bytes(arrays["head"]))
    found = {name.removeprefix("array_"): each for name, each in arrays.items() if name != "head"}
    if _digest(found) != head["digest"]:
        raise ValueError("not the arrays that were written")
    return Reading(head["facts"], found, libraries=tuple(head["libraries"]))


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    told = hashlib.sha256()
    for name in sorted(arrays):
        told.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        told.update(np.ascontiguousarray(arrays[name]).data)
    return told.hexdigest()


@cache
def _libraries() -> tuple[str, ...]:
    return environment().libraries
