"""contact_sheet.jpg: faces of the clips with their speaker, length and split below them, as one picture."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from joyvasa.thumbnails import SIDE, jpeg

GAP = 6  # pixels between the cells
LINE = 14  # pixels of a line of letters
LETTERS = 21  # of a line, for which there is room
PAPER, INK = 250, (41, 36, 36)


def contact_sheet(thumbnails: Sequence[np.ndarray], labels: Sequence[Sequence[str]]) -> bytes:
    """Pictures of at most SIDE pixels, uint8 BGR, and the lines below each -> a JPEG file, wider than high, in rows
    from the top left. Raises ValueError for no picture at all, or another number of labels."""
    if not thumbnails or len(thumbnails) != len(labels):
        raise ValueError(f"{len(thumbnails)} pictures with {len(labels)} labels (expected as many, and at least one)")
    columns = math.ceil(math.sqrt(len(thumbnails) * 4 / 3))
    rows = math.ceil(len(thumbnails) / columns)
    high, wide = SIDE + LINE * max(map(len, labels)) + GAP, SIDE + GAP
    sheet = np.full((rows * high + GAP, columns * wide + GAP, 3), PAPER, np.uint8)
    for place, (image, lines) in enumerate(zip(thumbnails, labels, strict=True)):
        height, width = image.shape[:2]
        top, left = GAP + place // columns * high, GAP + place % columns * wide
        down, right = top + (SIDE - height) // 2, left + (SIDE - width) // 2
        sheet[down : down + height, right : right + width] = image
        label = np.full((LINE * len(lines), SIDE, 3), PAPER, np.uint8)  # of its own: what is too wide ends there
        for row, line in enumerate(lines, 1):
            at = (0, LINE * row - 3)
            cv2.putText(label, drawable(line), at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)
        sheet[top + SIDE : top + SIDE + len(label), left : left + SIDE] = label
    return jpeg(sheet)


def drawable(line: str) -> str:
    """As OpenCV's letters can write it: without accents, "?" for other scripts; the middle of a long one left out."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", line) if not unicodedata.combining(sign))
    letters = "".join(sign if " " <= sign <= "~" else "?" for sign in plain)
    half = (LETTERS - 2) // 2
    return letters if len(letters) <= LETTERS else f"{letters[:half]}..{letters[-half:]}"
