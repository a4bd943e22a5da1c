"""FeatureSpec: one description of speech features for caching, training and sampling."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from joyvasa.motion import FPS

DTYPES = ("float32", "float16", "int8")
RATES_HZ = (FPS, 2 * FPS)  # one or two features a motion frame
WHOLE_CLIP, EVERY_WINDOW = "whole-clip", "every window"
_GRID = re.compile(r"every (\d+)")


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature array is: two specs are interchangeable only when every field agrees.

    Saved in checkpoints and in `dataset.json`; its `digest` names the column group `features/<digest>/`. What is stored
    and what an encoder gives are compared by `as_heard`.
    """

    encoder: str
    weights_sha256: str | None  # None: the encoder is trained with the model and its weights are in the checkpoint
    layer: int | None
    rate_hz: float
    dtype: str = "float32"  # float32, float16 or int8 with a scale
    left_context: int = 0  # frames of audio heard before the window, and after it
    right_context: int = 0
    window_starts: str = WHOLE_CLIP  # or "every N" for windows on a start grid, "every window" for an encoder itself
    window_frames: int | None = None  # of the windows on a grid

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with every field."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def grid(self) -> int | None:
        """Frames from one window's start to the next one's; None where the whole clip was heard."""
        found = _GRID.fullmatch(self.window_starts)
        return int(found[1]) if found else None

    def as_heard(self) -> FeatureSpec:
        """What an encoder says of features that are stored so: how they are kept on disk does not matter to it."""
        rate = FPS if self.rate_hz in RATES_HZ else self.rate_hz
        starts = EVERY_WINDOW if self.grid else self.window_starts
        return replace(self, rate_hz=rate, dtype="float32", window_starts=starts, window_frames=None)

    def differences(self, other: FeatureSpec) -> list[str]:
        """A phrase for each field in which the two differ; this one is what is expected."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{k}: expected {mine[k]!r}, got {theirs[k]!r}" for k in mine if mine[k] != theirs[k]]

    def require(self, other: FeatureSpec, where: str) -> None:
        """Raise ValueError naming each field in which `other`, found at `where`, differs."""
        if differences := self.differences(other):
            raise ValueError(f"{where}: features of another kind ({'; '.join(differences)})")
