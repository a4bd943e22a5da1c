"""Pictures to look at: the drawn person and cat, whom the cascades take for real."""

import cv2
import numpy as np
import pytest

from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer
from joyvasa.motion import CHANNELS


def drawn(species):
    renderer = PuppetRenderer()
    prepared = renderer.prepare(PuppetPortrait(species, 320, label=""))
    return next(renderer.render(prepared, np.zeros((1, CHANNELS), np.float32)))


@pytest.fixture(scope="session")
def person():
    """uint8 (320, 320, 3)."""
    return drawn("person")


@pytest.fixture(scope="session")
def cat():
    """uint8 (320, 320, 3)."""
    return drawn("cat")


@pytest.fixture(scope="session")
def place(person):
    """place(canvas_shape, x, y, side, roll_deg=0): a picture of the person with its upper left corner there."""

    def put(height, width, x, y, side, roll_deg=0.0):
        scale = side / person.shape[0]
        turn = cv2.getRotationMatrix2D((160, 160), -roll_deg, scale)  # OpenCV counts the other way round
        turn[:, 2] += np.array([x, y]) + side / 2 - 160
        size = (width, height)
        return cv2.warpAffine(person, turn, size, flags=cv2.INTER_AREA, borderValue=(200, 205, 210))

    return put
