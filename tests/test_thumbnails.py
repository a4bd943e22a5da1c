"""Small pictures: each speaker before any twice, shapes kept, the sheet holds them all."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from joyvasa.thumbnails import SIDE, contact_sheet, evenly, spread, thumbnail


@pytest.fixture(scope="module")
def picture() -> bytes:
    image = np.linspace(0, 255, 300 * 200 * 3).astype(np.uint8).reshape(200, 300, 3)
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_the_sheet_shows_each_speaker_before_any_twice():
    rows = [(f"speaker {n % 5}", n) for n in range(100)] + [("rare", 100)]
    for most in (3, 6, 7, 48, 101, 500):
        shown = spread(rows, most, lambda row: row[0])
        counts = Counter(speaker for speaker, _ in shown)
        assert len(shown) == len(set(shown)) == min(most, 101) and len(counts) == min(most, 6)
        counts.pop("rare", None)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert evenly(range(100), 5) == [10, 30, 50, 70, 90] and evenly([1, 2], 5) == [1, 2] and evenly([], 5) == []


def test_small_pictures_keep_their_shape_and_the_sheet_holds_them_all(picture):
    small = thumbnail(picture, "a")
    assert small.shape == (round(SIDE * 2 / 3), SIDE, 3)
    for count in (1, 2, 7, 48):
        sheet = cv2.imdecode(np.frombuffer(contact_sheet([small] * count), np.uint8), cv2.IMREAD_COLOR)
        assert sheet.shape[0] <= sheet.shape[1] + SIDE and sheet.size >= count * small.size
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
