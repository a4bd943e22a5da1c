"""The face of a reference picture as numbers: SCRFD's five points on it, then ArcFace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from joyvasa.io.files import replacing


class FaceEmbedder:
    """Called with a JPEG file in memory, it gives (512,) float32 of length 1, or None: no face seen in the picture.

    The points are looked for on the picture, not taken from the crop's geometry: the network was trained on faces
    aligned by this detector's points, and a cascade's square is off by a tenth of its side. Raises FileNotFoundError
    with the command that fetches the networks, ValueError for damaged ones.
    """

    def __init__(self) -> None:
        from joyvasa.faces.five_points import ScrfdPoints
        from joyvasa.models.judges.arcface import ArcFace

        self._network = ArcFace()
        self._detector = ScrfdPoints()

    def __call__(self, jpeg: bytes) -> np.ndarray | None:
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
        if bgr is None:
            raise ValueError(f"{len(jpeg)} bytes are no picture (expected a JPEG file)")
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        seen = self._detector.find(image)
        # One picture at a time: an answer must not depend, in its last bit, on the pictures beside it.
        return self._network.embed([image], seen[0].points_52[None])[0] if seen else None


class KeptEmbedder:
    """The same, each picture's answer kept in `folder`: a picture is looked at once, whatever is typed again."""

    def __init__(self, inner: Callable[[bytes], np.ndarray | None], folder: Path) -> None:
        self._inner, self._folder = inner, folder

    def __call__(self, jpeg: bytes) -> np.ndarray | None:
        file = self._folder / f"{hashlib.sha256(jpeg).hexdigest()[:32]}.npy"
        kept = _read(file)
        if kept is None:
            row = self._inner(jpeg)
            kept = np.zeros(0, np.float32) if row is None else row
            with replacing(file) as temporary, open(temporary, "wb") as stream:
                np.save(stream, kept)
        return kept if kept.size else None


def _read(file: Path) -> np.ndarray | None:
    """None where there is no file, or one that a crash of the machine left empty or cut off."""
    try:
        return np.load(file, allow_pickle=False)
    except (FileNotFoundError, EOFError, ValueError):
        return None
