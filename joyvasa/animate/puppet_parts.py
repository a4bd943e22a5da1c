"""What the puppet's faces share: the expression they show, and how mouths, eyes, jaws and backdrops are shaped.

Measures are head units (see puppet_art.py); right is the right of the picture.

Shape suffixes: N points.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import cv2
import numpy as np

from joyvasa.animate.puppet_art import Board, Colour, dome, on_face

JAW_FOLLOWS = 0.62  # share of the lower lip's drop that the chin takes
ACROSS = np.linspace(-1, 1, 23)  # along a mouth or an eye, from corner to corner
VAULT = 1 - ACROSS**2


class Expression(NamedTuple):
    """One frame of the puppet, in head units unless said otherwise; a resting face with closed lips is all zeros."""

    upper: float  # how far the upper lip is raised
    lower: float  # how far the lower lip and the jaw have dropped
    smile: float  # how far the mouth corners are raised
    width: float  # how much wider each half of the mouth is
    pout: float  # how far the lips come forward
    jaw: float  # sideways
    shut_right: float  # 0 resting, 1 shut, negative wide open; right of the picture
    shut_left: float
    gaze: float  # to the right of the picture
    brow: float  # raised
    pitch: float  # degrees; positive looks down
    yaw: float  # degrees; positive looks to the left of the picture
    roll: float  # degrees; positive leans clockwise
    zoom: float  # 1 at rest
    shift_x: float  # fractions of half the picture
    shift_y: float


class Face(Protocol):
    def backdrop(self, side_px: int) -> np.ndarray:
        """uint8 RGB (side, side, 3): all that never moves."""

    def draw(self, head: Board, body: Board, look: Expression) -> None:
        """Draw the figure on two boards of one canvas, one turning with the head and one with the shoulders."""


def backdrop(side_px: int, top: Colour, bottom: Colour, halo: Colour) -> np.ndarray:
    """A vertical gradient with a soft round light behind the head."""
    down = np.linspace(0, 1, side_px)[:, None, None]
    picture = np.broadcast_to((1 - down) * np.array(top) + down * np.array(bottom), (side_px, side_px, 3))
    glow = np.zeros((side_px, side_px), np.float32)
    cv2.circle(glow, (side_px // 2, round(side_px * 0.47)), round(side_px * 0.4), 1.0, -1, cv2.LINE_AA)
    shade = np.zeros_like(glow)
    cv2.ellipse(
        shade,
        (round(side_px * 0.53), round(side_px * 0.56)),
        (round(side_px * 0.3), round(side_px * 0.36)),
        0,
        0,
        360,
        1.0,
        -1,
    )
    shade = cv2.GaussianBlur(shade, (0, 0), side_px * 0.045)[..., None] * 0.22
    picture = picture * (1 - glow[..., None]) + np.array(halo) * glow[..., None]
    return np.rint(picture * (1 - shade)).astype(np.uint8)


def drop_jaw(outline: np.ndarray, drop: float, start: float, stop: float) -> np.ndarray:
    """Move what lies below `start` down, fully below `stop`."""
    weight = np.clip((outline[:, 1] - start) / (stop - start), 0, 1)
    moved = outline.copy()
    moved[:, 1] += weight**2 * (3 - 2 * weight) * max(drop, 0.0) * JAW_FOLLOWS
    return moved


def lids(x: float, y: float, half: float, up: float, low: float, shut: float, tilt: float) -> tuple[np.ndarray, ...]:
    """Upper and lower rim of an eye (N, 3) for shut in (-0.5 ... 1); `tilt` raises the corner at +x."""
    wide = max(-shut, 0.0)
    shut = max(shut, 0.0)
    rim = VAULT**0.62
    lean = -tilt * ACROSS
    upper = y + lean + rim * (-up * (1 + 0.45 * wide) * (1 - shut) + low * 0.75 * shut)
    lower = y + lean + VAULT**0.8 * low * (1 - 0.22 * shut)
    upper = np.minimum(upper, lower)
    xs = x + half * ACROSS
    return on_face(np.column_stack([xs, upper]), 0.04), on_face(np.column_stack([xs, lower]), 0.04)


def mouth_curves(look: Expression, y: float, half: float, ripple: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner rims of the lips (N, 3), upper and lower, which coincide when shut; `ripple` is the line at rest."""
    gap = max(look.upper + look.lower, 0.0)
    middle = (look.lower - look.upper) / 2
    half = np.clip(half + look.width - 0.9 * look.pout - 0.06 * gap, 0.5 * half, 1.4 * half)
    rest = y + ripple * (1 - min(gap * 2.5, 0.6)) - look.smile * np.abs(ACROSS) ** 2.1 + 0.35 * look.smile * VAULT
    upper = rest + (middle - gap / 2) * VAULT**0.7
    lower = rest + (middle + gap / 2) * VAULT**0.55
    near = 1.2 * look.pout * VAULT + 0.05
    x_upper = half * ACROSS + 0.3 * look.jaw * VAULT
    x_lower = half * ACROSS + look.jaw * VAULT
    return (
        np.column_stack([x_upper, upper, dome(x_upper, y) + near]),
        np.column_stack([x_lower, lower, dome(x_lower, y) + near]),
    )


def ring(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.concatenate([upper, lower[::-1]])
