"""What looks at a film while it is decoded, and what it has read at the end.

An *instrument* is a way of reading with its networks, built once a process; a *gauge* is an instrument at one film. All
gauges of a film see every frame as it comes, so it is decoded once, whatever is measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from joyvasa.eval.protocol_hash import hash_of
from joyvasa.film_sound import read_film_sound
from joyvasa.video import VideoInfo


class Unfit(ValueError):
    """Why an instrument cannot read a film. The others go on."""


@dataclass(frozen=True, eq=False)
class Reading:
    """facts: JSON. arrays: numbers, no objects. fault: why there is nothing else, or None."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    fault: str | None = None


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
        """int16 (samples,) at 16 kHz from the first picture on. Raises as `read_film_sound`."""
        return read_film_sound(self.path)


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
    """As arrays alone, for one .npz file."""
    head = json.dumps({"facts": reading.facts, "fault": reading.fault}).encode()
    return {"head": np.frombuffer(head, np.uint8), **{f"array_{name}": each for name, each in reading.arrays.items()}}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Reading:
    head = json.loads(bytes(arrays["head"]))
    found = {name.removeprefix("array_"): each for name, each in arrays.items() if name != "head"}
    return Reading(head["facts"], found, head["fault"])
