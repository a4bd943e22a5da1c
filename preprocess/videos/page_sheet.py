"""contact_sheet.jpg: faces of the clips with their speaker, length and split below them, as one picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from joyvasa.thumbnails import SIDE, centred, jpeg, tiled

GAP = 6  # pixels between the cells
LINE = 14  # pixels of a line of letters
LETTERS = 21  # of a line, for which there is room
PAPER, INK = 250, (41, 36, 36)


def contact_sheet(thumbnails: Sequence[np.ndarray], labels: Sequence[Sequence[str]]) -> bytes:
    """Pictures of at most SIDE pixels, uint8 BGR, and the lines below each -> a JPEG file, wider than high, in rows
    from the top left. Raises ValueError for no picture at all, or another number of labels."""
    if not thumbnails or len(thumbnails) != len(labels):
        raise ValueError(f"{len(thumbnails)} pictures with {len(labels)} labels (expected as many, and at least one)")
    most = max(map(len, labels))
    pairs = zip(thumbnails, labels, strict=True)
    return jpeg(tiled([np.vstack([centred(image, PAPER), _label(lines, most)]) for image, lines in pairs], PAPER, GAP))


def _label(lines: Sequence[str], most: int) -> np.ndarray:
    """Room for so many lines, and these in it; what is too wide ends there."""
    label = np.full((LINE * most, SIDE, 3), PAPER, np.uint8)
    for row, line in enumerate(lines, 1):
        at = (0, LINE * row - 3)
        cv2.putText(label, drawable(line), at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)
    return label


def drawable(line: str) -> str:
    """As OpenCV's letters can write it: without accents, "?" for other scripts; the middle of a long one left out."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", line) if not unicodedata.combining(sign))
    letters = "".join(sign if " " <= sign <= "~" else "?" for sign in plain)
    half = (LETTERS - 2) // 2
    return letters if len(letters) <= LETTERS else f"{letters[:half]}..{letters[-half:]}"
