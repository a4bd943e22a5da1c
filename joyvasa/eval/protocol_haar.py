"""How OpenCV's cascades see faces and what becomes of their boxes, in words that hold every number of both."""

from __future__ import annotations

from joyvasa.eval.lip_track import WIDER_HEIGHT, WIDER_LIFT, WIDER_WIDTH
from joyvasa.faces import haar
from joyvasa.faces.crop import face_square
from joyvasa.faces.face import Face

SEARCH = (
    f"steps of {haar.SCALE_STEP:g}, {haar.NEIGHBOURS} neighbours, {haar.SMALLEST_WINDOW_PX} pixels at {haar.WORKING_PX}"
    f" and {haar.FINER_PX} until one has {haar.LARGE_PX}, tilts {haar.TILTS_DEG}, two of three witnesses by overlap "
    f"{haar.SAME_FACE:g}, eyes at {haar.EYES_PX} pixels, {haar.EYE_DISTANCE} apart, within {haar.MOST_ROLL_DEG} degrees"
)


def held(width: float, height: float) -> str:
    """The square that a box holds, as `faces.crop` reads it."""
    square = face_square(Face((0.0, 0.0, width, height), 0.0, 1.0, haar.HaarDetector.name))
    return f"{square.side:g} at {square.centre[0]:g}, {square.centre[1]:g}"


BOXES = (
    f"{SEARCH}; of boxes of 1 x 2 and 2 x 1 the squares {held(1, 2)} and {held(2, 1)}, "
    f"x {WIDER_WIDTH} x {WIDER_HEIGHT}, lifted by {WIDER_LIFT}"
)
