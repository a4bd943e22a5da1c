"""FeatureSpec: one description of speech features for caching, training and sampling."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature array is: two specs are interchangeable only when every field agrees.

    Saved in checkpoints and in `dataset.json`; its `digest` names the column group `features/<digest>/`.
    """

    encoder: str
    weights_sha256: str | None  # None: the encoder is trained with the model and its weights are in the checkpoint
    layer: int | None
    rate_hz: float
    dtype: str = "float32"  # float32, float16 or int8 with a scale
    left_context: int = 0  # frames of audio seen before the window, and after it
    right_context: int = 0
    window_starts: str = "whole-clip"  # or "every N" for windows on a start grid

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with every field."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def require(self, other: FeatureSpec, where: str) -> None:
        """Raise ValueError naming each field in which `other`, found at `where`, differs."""
        mine, theirs = asdict(self), asdict(other)
        differences = [f"{k}: expected {mine[k]!r}, got {theirs[k]!r}" for k in mine if mine[k] != theirs[k]]
        if differences:
            raise ValueError(f"{where}: features of another kind ({'; '.join(differences)})")
