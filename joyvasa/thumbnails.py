"""Small pictures for a report: which rows are shown, and how large.

A picture is a JPEG file in memory, its path, or what reads it: of thousands of clips only those shown are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

SIDE = 128  # pixels of a small picture's longer side
GAP = 4  # pixels between the pictures of a sheet
QUALITY = 80
GREY = 128

Picture = bytes | Path | Callable[[], bytes]
Row = TypeVar("Row")


def evenly(rows: Sequence[Row], most: int) -> list[Row]:
    """At most `most` of the rows, evenly spaced, in their order."""
    count = min(most, len(rows))
    return [rows[(2 * place + 1) * len(rows) // (2 * count)] for place in range(count)]


def spread(rows: Sequence[Row], most: int, speaker_of: Callable[[Row], str]) -> list[Row]:
    """At most `most` rows, as many different speakers as there is room for, each about as often; by speaker.

    More speakers than room: evenly spaced ones by name. Fewer: each in turn gives one more, evenly spaced.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(speaker_of(row), []).append(row)
    chosen = evenly(sorted(groups), most)
    quota = dict.fromkeys(chosen, 0)
    room = min(most, sum(len(groups[name]) for name in chosen))
    while room:
        for name in chosen:
            if room and quota[name] < len(groups[name]):
                quota[name] += 1
                room -= 1
    return [row for name in chosen for row in evenly(groups[name], quota[name])]


def thumbnail(picture: Picture, where: str) -> np.ndarray:
    """A picture brought to at most SIDE pixels by averaging areas, never enlarged -> uint8 BGR (H, W, 3).

    Raises FileNotFoundError, or ValueError naming `where` for what is no picture.
    """
    read = picture.read_bytes if isinstance(picture, Path) else picture
    data = read if isinstance(read, bytes) else read()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ValueError(f"{where}: {len(data):,} bytes that are no picture (expected a JPEG file)")
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def jpeg(image: np.ndarray) -> bytes:
    """uint8 BGR (H, W, 3) -> a JPEG file, the same bytes each time."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def contact_sheet(thumbnails: Sequence[np.ndarray]) -> bytes:
    """Pictures of at most SIDE pixels, uint8 BGR -> one JPEG file, wider than high, in rows from the top left.

    Raises ValueError for no picture at all.
    """
    return jpeg(tiled([centred(image, GREY) for image in thumbnails], GREY, GAP))


def centred(image: np.ndarray, paper: int) -> np.ndarray:
    """A picture of at most SIDE pixels, uint8 BGR, in the middle of a square (SIDE, SIDE, 3) of this grey."""
    height, width = image.shape[:2]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    cell = np.full((SIDE, SIDE, 3), paper, np.uint8)
    cell[top : top + height, left : left + width] = image
    return cell


def tiled(cells: Sequence[np.ndarray], paper: int, gap: int) -> np.ndarray:
    """Pictures of one size, uint8 BGR, in rows from the top left on paper of this grey, so many pixels apart.

    Raises ValueError for no picture at all.
    """
    if not cells:
        raise ValueError("a contact sheet of no pictures (expected at least one)")
    columns = math.ceil(math.sqrt(len(cells) * 4 / 3))
    rows = math.ceil(len(cells) / columns)
    height, width = cells[0].shape[:2]
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), paper, np.uint8)
    for place, cell in enumerate(cells):
        top, left = gap + place // columns * (height + gap), gap + place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet
