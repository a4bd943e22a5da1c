"""The puppet: a drawn face, person or cat, that shows a motion without any weights to download.

It is a preview of the motion, not of a portrait, and says so in its corner. Mouth, eyes, brows and pose follow the
official space (see joyvasa/motion.py); how a face is drawn is in puppet_person.py and puppet_cat.py.

Shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from joyvasa.animate.puppet_art import Board, Camera
from joyvasa.animate.puppet_cat import Cat
from joyvasa.animate.puppet_parts import Expression, Face
from joyvasa.animate.puppet_person import Person
from joyvasa.animate.renderer import PreparedPortrait
from joyvasa.motion import (
    BROWS,
    EYELIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    PITCH,
    ROLL,
    SCALE,
    TRANSLATION,
    UPPER_LIP,
    YAW,
    check_motion,
    lip_opening,
)

PROTRUSION = 17
FACES: dict[str, type[Face]] = {"person": Person, "cat": Cat}
SUPERSAMPLE = 2
SHUT_PERCENTILE = 2
LID_TRAVEL = 0.015  # keypoint units from a resting to a shut eye

# Head units that a keypoint unit moves the drawing. Implicit keypoints move less than the skin they drive.
GAIN = {"lips": 5.5, "corners": 7.5, "width": 12.0, "pout": 10.0, "jaw": 6.0, "brows": 8.0, "gaze": 14.0}

CENTRE = (0.5, 0.47)  # of the head, and its unit, as fractions of the picture
UNIT = 0.232
BODY_FOLLOWS = 0.15  # share of the head's turn and of its shift that the shoulders take
TEXT_COLOUR, PILL_COLOUR, PILL_ALPHA = (255, 255, 255), (38, 44, 52), 0.72


# Beyond these a drawn face breaks; real motion stays within but for an extreme frame here and there.
LOWEST = Expression(-0.3, -0.3, -0.16, -0.12, -0.1, -0.12, -0.5, -0.5, -0.09, -0.16, -35, -50, -50, 0.5, -0.8, -0.8)
HIGHEST = Expression(0.25, 0.7, 0.16, 0.12, 0.1, 0.12, 1.0, 1.0, 0.09, 0.16, 35, 50, 50, 1.8, 0.8, 0.8)


@dataclass(frozen=True)
class PuppetPortrait:
    """species: "person" or "cat". size: pixels of a side. label: the word in the corner ("" for none).

    neutral: a motion vector (C,) of the resting face with closed lips, or None to estimate it from each motion.
    Give one (see `estimate_neutral`) where two motions are to be compared, or where the mouth may never close.
    """

    species: str = "person"
    size: int = 256
    label: str = "preview"
    neutral: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class PreparedPuppet(PreparedPortrait):
    """The face, its background on the supersampled canvas, and the corner's label."""

    face: Face
    backdrop: np.ndarray
    label: str
    neutral: np.ndarray | None


class PuppetRenderer:
    """Follows the Renderer protocol. A 256 x 256 frame takes about 3 ms on one core."""

    def prepare(self, portrait: PuppetPortrait) -> PreparedPuppet:
        """Raises ValueError for an unknown species, a size below 32 or a neutral of another shape."""
        if portrait.species not in FACES:
            raise ValueError(f"puppet species {portrait.species!r} (expected one of {sorted(FACES)})")
        if portrait.size < 32:
            raise ValueError(f"puppet of {portrait.size} pixels (expected at least 32)")
        neutral = portrait.neutral
        if neutral is not None:
            neutral = check_motion(np.asarray(neutral)[None], "the puppet's neutral")[0]
        face = FACES[portrait.species]()
        backdrop = face.backdrop(portrait.size * SUPERSAMPLE)
        return PreparedPuppet(portrait.size, portrait.size, face, backdrop, portrait.label, neutral)

    def render(self, prepared: PreparedPuppet, motion_TC: np.ndarray) -> Iterator[np.ndarray]:
        """Yield T frames uint8 (H, W, 3). Raises ValueError at once for a motion of the wrong shape or with NaN."""
        motion_TC = check_motion(motion_TC, "puppet")
        neutral = estimate_neutral(motion_TC) if prepared.neutral is None else prepared.neutral
        expressions = read_expressions(motion_TC, neutral)
        return (draw(prepared, Expression(*row)) for row in expressions.tolist())


def estimate_neutral(motion_TC: np.ndarray) -> np.ndarray:
    """The resting face (C,) of a motion (T, C), for a speaker of whom nothing else is known.

    Every channel is its median over time, but the lips are those of the frame whose opening is nearest to its 2nd
    percentile (taken for shut; a motion that never closes its mouth looks shut where it is smallest), and the mouth
    corners, which may smile throughout, rest at 0.
    """
    neutral = np.median(motion_TC, axis=0)
    opening = lip_opening(motion_TC)
    shut = motion_TC[np.abs(opening - np.percentile(opening, SHUT_PERCENTILE)).argmin()]
    for keypoint in (UPPER_LIP, LOWER_LIP):
        neutral[3 * keypoint + 1] = shut[3 * keypoint + 1]
    neutral[[3 * MOUTH_CORNERS, 3 * MOUTH_CORNERS + 1]] = 0
    return neutral


def read_expressions(motion_TC: np.ndarray, neutral_C: np.ndarray) -> np.ndarray:
    """Motion (T, C) less its neutral (C,) -> (T, fields of Expression)."""
    change = motion_TC - neutral_C

    def axis(keypoint: int, name: str) -> np.ndarray:
        return change[:, 3 * keypoint + "xyz".index(name)]

    right, left = EYELIDS
    shift = change[:, TRANSLATION]
    columns = Expression(
        upper=-GAIN["lips"] * axis(UPPER_LIP, "y"),
        lower=GAIN["lips"] * axis(LOWER_LIP, "y"),
        smile=-GAIN["corners"] * axis(MOUTH_CORNERS, "y"),
        width=GAIN["width"] * axis(MOUTH_CORNERS, "x"),
        pout=GAIN["pout"] * axis(PROTRUSION, "z"),
        jaw=GAIN["jaw"] * axis(LOWER_LIP, "x"),
        shut_right=axis(right, "y") / LID_TRAVEL,
        shut_left=axis(left, "y") / LID_TRAVEL,
        gaze=GAIN["gaze"] * (axis(right, "x") + axis(left, "x")) / 2,
        brow=GAIN["brows"] * (axis(BROWS[0], "y") - axis(BROWS[1], "y")),
        pitch=change[:, PITCH],
        yaw=change[:, YAW],
        roll=change[:, ROLL],
        zoom=motion_TC[:, SCALE][:, 0] / neutral_C[SCALE][0] if neutral_C[SCALE][0] > 0 else np.ones(len(change)),
        shift_x=shift[:, 0],
        shift_y=shift[:, 1],
    )
    return np.clip(np.stack(columns, axis=1), LOWEST, HIGHEST)


def draw(prepared: PreparedPuppet, look: Expression) -> np.ndarray:
    """One frame, uint8 RGB (H, W, 3)."""
    canvas = prepared.backdrop.copy()
    side = canvas.shape[0]
    unit_px, centre_px = UNIT * side * look.zoom, np.array(CENTRE) * side
    shift_px = np.array([look.shift_x, look.shift_y]) * side / 2
    pose = np.array([look.pitch, look.yaw, look.roll])
    head = Camera.looking_at(pose, unit_px, centre_px + shift_px)
    body = Camera.looking_at(pose * BODY_FOLLOWS, unit_px, centre_px + shift_px * BODY_FOLLOWS)
    prepared.face.draw(Board(canvas, head), Board(canvas, body), look)
    frame = cv2.resize(canvas, (prepared.width, prepared.height), interpolation=cv2.INTER_AREA)
    if prepared.label:
        stamp(frame, prepared.label)
    return frame


def stamp(frame: np.ndarray, text: str, at_top: bool = False) -> None:
    """Write `text` on a dark pill in the lower (or upper) left corner of a frame uint8 (H, W, 3), in place."""
    height, width = frame.shape[:2]
    alpha, ink = pill(text, max(9, height // 20))
    margin = height // 32
    rows, columns = min(len(alpha), height - margin), min(alpha.shape[1], width - margin)
    top = margin if at_top else height - margin - rows
    window = frame[top : top + rows, margin : margin + columns]
    alpha, ink = alpha[: len(window), :columns], ink[: len(window), :columns]
    window[:] = np.rint(window * (1 - alpha) + ink * alpha).astype(np.uint8)


@cache
def pill(text: str, height_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(alpha (H, W, 1), colour (H, W, 3)) of a word on a rounded ground, text `height_px` high."""
    letters = text_mask(text, height_px).astype(np.float32)[..., None] / 255
    pad = height_px // 2
    letters = np.pad(letters, ((pad // 2, pad // 2), (pad, pad), (0, 0)))
    height, width = letters.shape[:2]
    ground = np.zeros((height * 4, width * 4), np.uint8)
    radius = height * 2
    cv2.line(ground, (radius, radius), (width * 4 - radius, radius), 255, 2 * radius - 2)
    ground = cv2.resize(ground, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    colour = letters * np.array(TEXT_COLOUR) + (1 - letters) * np.array(PILL_COLOUR)
    return np.maximum(ground * PILL_ALPHA, letters), colour


@cache
def text_mask(text: str, height_px: int) -> np.ndarray:
    """Coverage uint8 (H, W) of a line of text, phonetic letters included: matplotlib carries DejaVu Sans."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", height_px)
    ascent, descent = font.getmetrics()
    mask = font.getmask(text, mode="L", anchor="ls")
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    canvas = np.zeros((ascent + descent, right + 1), np.uint8)
    pixels = np.array(mask, dtype=np.uint8).reshape(mask.size[::-1])
    top, left = ascent + top, max(left, 0)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels[: len(canvas) - top]
    return canvas
