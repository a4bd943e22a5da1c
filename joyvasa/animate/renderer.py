"""What every renderer is: a portrait is prepared once, then motion becomes pictures one by one.

Shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

Portrait = TypeVar("Portrait", contravariant=True)
Prepared = TypeVar("Prepared", bound="PreparedPortrait")


@dataclass(frozen=True)
class PreparedPortrait:
    """What a renderer computes once from a portrait; renderers extend it with what they need at every frame.

    height, width: pixels of every frame that `render` will yield.
    """

    height: int
    width: int


class Renderer(Protocol[Portrait, Prepared]):
    """Turns motion in LivePortrait's official space into pictures.

    `render` yields exactly T frames, uint8 RGB (H, W, 3), each made when it is asked for, so that memory does not
    grow with the length; frame k shows motion frame k. It raises ValueError for a motion that `check_motion` refuses.
    """

    def prepare(self, portrait: Portrait) -> Prepared: ...

    def render(self, prepared: Prepared, motion_TC: np.ndarray) -> Iterator[np.ndarray]: ...
