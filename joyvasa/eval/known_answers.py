"""What scores have to be where the answer is known beforehand: by a formula, or by the published code.

Numbers of published code are in known_answers.json, with where they are from. They were computed by that code itself
from the sound and the pictures that are made here of whole numbers, the same on every machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Answer:
    """expected, got: one number, of several that of which they differ most. fault: what was raised in its place."""

    what: str
    expected: float
    got: float
    tolerance: float
    fault: str | None = None

    @property
    def right(self) -> bool:
        near = self.expected == self.got or abs(self.expected - self.got) <= self.tolerance
        return self.fault is None and near

    def __str__(self) -> str:
        if self.fault:
            return f"{self.what}: {self.fault}"
        return f"{self.what}: expected {self.expected:.10g}, got {self.got:.10g} (within {self.tolerance:g})"


Answers = Iterator[Answer]
Questions = Callable[[], Answers]


def compared(what: str, expected: Any, got: Any, tolerance: float) -> Answer:
    """Of numbers in any shape. tolerance: absolute; where shapes differ, no number is right."""
    expected, got = (np.asarray(each, np.float64) for each in (expected, got))
    if expected.shape != got.shape:
        fault = f"expected numbers of shape {expected.shape}, got {got.shape}"
        return Answer(what, math.nan, math.nan, tolerance, fault)
    with np.errstate(invalid="ignore"):  # infinity is equal to itself, its difference is no number
        apart = np.where(expected == got, 0.0, np.abs(expected - got))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(apart), np.inf, apart)), apart.shape)
    return Answer(what, float(expected[worst]), float(got[worst]), tolerance)


def ask(name: str, questions: Iterable[Questions]) -> list[Answer]:
    """All answers; a question that breaks is a wrong one, whose fault is what it raised."""
    found: list[Answer] = []
    for question in questions:
        try:
            found += question()
        except Exception as error:  # whatever a broken library raises is what is looked for
            found.append(Answer(name, math.nan, math.nan, 0.0, f"{type(error).__name__}: {error}"))
    return found


@cache
def published(name: str) -> dict[str, Any]:
    """An entry of known_answers.json."""
    return json.loads(FILE.read_text(encoding="utf-8"))[name]


def signal(samples: int) -> Array:
    """int16 (samples,): buzz of rising pitch and hiss, with silence between."""
    n = np.arange(samples)
    buzz = 40 * ((n * n // 997) % 401 - 200)
    hiss = (n * 2_654_435_761 % 65_536 - 32_768) // 16
    return (buzz * (n % 4800 < 4000) + hiss * (n % 7000 < 4500)).astype(np.int16)


def noise(*shape: int) -> Array:
    """uint8."""
    n = np.arange(math.prod(shape), dtype=np.uint64)
    return (n * n * np.uint64(2_654_435_761) >> np.uint64(13) & np.uint64(255)).reshape(shape).astype(np.uint8)


def blocks(*shape: int, side: int = 8) -> Array:
    """uint8 (…, H, W, C): noise whose grains are squares."""
    *before, height, width, channels = shape
    small = noise(*before, -(-height // side), -(-width // side), channels)
    return small.repeat(side, -3).repeat(side, -2)[..., :height, :width, :]


def spread(values: Any, number: int) -> Array:
    """So many of the values, evenly from the first on, float64."""
    flat = np.asarray(values, np.float64).ravel()
    return flat[np.arange(number) * len(flat) // number]
