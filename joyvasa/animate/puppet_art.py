"""The puppet's drawing board: smooth curves in three dimensions, a camera, and flat antialiased shapes.

Points are rows (x, y, near) in head units: the cheeks lie at x = -1 and 1, y points down, `near` towards the viewer.
Nearer points move more when the head turns, which is all the depth that a flat drawing needs.

Shape suffixes: N points, then 3 (x, y, near) or 2 (pixels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import torch

from joyvasa.motion import euler_to_matrix

Colour = tuple[int, int, int]

SHIFT = 4  # fractional bits of OpenCV's coordinates: a sixteenth of a pixel
DISTANCE = 9.0  # of the camera, in head units
PIVOT = np.array([0.0, 0.45, -0.2])  # about where a skull sits on its neck


def smooth(points: list[tuple[float, ...]] | np.ndarray, closed: bool = True, steps: int = 6) -> np.ndarray:
    """Catmull-Rom curve through (N, D) points, `steps` a segment, closed or from end to end."""
    knots = np.asarray(points, dtype=np.float64)
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    padded = np.concatenate([ends[0], knots, ends[1]])
    t = np.arange(steps)[:, None] / steps
    before, start, stop, after = (padded[k : len(padded) - 3 + k, None] for k in range(4))
    curve = 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    ).reshape(-1, knots.shape[1])
    return curve if closed else np.concatenate([curve, knots[-1:]])


def mirrored(half: list[tuple[float, ...]] | np.ndarray) -> np.ndarray:
    """Outline (N, 3) from its right half, listed from top to bottom, the first and last point on the middle line."""
    half = np.asarray(half, dtype=np.float64)
    return np.concatenate([half, half[-2:0:-1] * (-1, 1, 1)])


def flipped(points: np.ndarray) -> np.ndarray:
    return points * (-1, 1, 1)


def shifted(points: np.ndarray, x: float = 0.0, y: float = 0.0, near: float = 0.0) -> np.ndarray:
    return points + (x, y, near)


def dome(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How near the face's surface is at (x, y): an ellipsoid, 0 at the silhouette."""
    return 0.6 * np.sqrt(np.clip(1 - (np.asarray(x) / 1.08) ** 2 - ((np.asarray(y) - 0.05) / 1.4) ** 2, 0, None))


def on_face(xy: list[tuple[float, float]] | np.ndarray, lift: float = 0.02) -> np.ndarray:
    """Points (N, 2) laid on the face's surface, (N, 3)."""
    xy = np.asarray(xy, dtype=np.float64)
    return np.column_stack([xy, dome(xy[:, 0], xy[:, 1]) + lift])


def disc(x: float, y: float, radius: float, near: float, tall: float = 1.0) -> np.ndarray:
    """Ellipse (N, 3) about (x, y), `tall` times as high as wide."""
    return unit_circle() * (radius, radius * tall, 0) + (x, y, near)


@cache
def unit_circle() -> np.ndarray:
    angle = np.arange(28) * (2 * np.pi / 28)
    return np.column_stack([np.cos(angle), np.sin(angle), np.zeros(28)])


@cache
def swelling(points: int, peak: float) -> np.ndarray:
    """Half width (N, 1) of a brush stroke of width 1: widest at the fraction `peak` of its length, 0 at its ends."""
    return np.sin(np.pi * np.linspace(0, 1, points) ** (np.log(0.5) / np.log(peak)))[:, None] / 2


def ribbon(line: np.ndarray, width: float, peak: float = 0.5) -> np.ndarray:
    """Outline (2 N, 3) of a brush stroke along a line (N, 3): widest at the fraction `peak`, pointed at its ends."""
    direction = np.empty((len(line), 2))
    direction[1:-1] = line[2:, :2] - line[:-2, :2]
    direction[0], direction[-1] = line[1, :2] - line[0, :2], line[-1, :2] - line[-2, :2]
    length = np.maximum(np.sqrt((direction**2).sum(1, keepdims=True)), 1e-9)
    side = np.zeros_like(line)
    side[:, :2] = direction[:, ::-1] * (-1, 1) * (swelling(len(line), peak) * width / length)
    return np.concatenate([line + side, (line - side)[::-1]])


@dataclass(frozen=True)
class Camera:
    """Places head units on the canvas: rotation about the pivot, perspective, zoom, shift."""

    turn: np.ndarray  # (3, 3) for rows (x, y, near) about the pivot -> (x, y, away)
    unit_px: float
    pivot_px: np.ndarray  # (2,)

    @classmethod
    def looking_at(cls, pose_deg: np.ndarray, unit_px: float, centre_px: np.ndarray) -> Camera:
        """Pose is (pitch, yaw, roll): positive pitch looks down, positive yaw to the left of the picture."""
        rotation = euler_to_matrix(*torch.as_tensor(pose_deg, dtype=torch.float64)).numpy()
        return cls(np.diag([1.0, 1.0, -1.0]) @ rotation, unit_px, centre_px + PIVOT[:2] * unit_px)

    def place(self, points_N3: np.ndarray) -> np.ndarray:
        """(N, 3) head units -> (N, 2) canvas pixels."""
        turned = (points_N3 - PIVOT) @ self.turn
        return turned[:, :2] * (self.unit_px * DISTANCE / (DISTANCE + turned[:, 2:])) + self.pivot_px


@dataclass(frozen=True)
class Board:
    """A canvas uint8 (H, W, 3) under a camera. `corner` is where the canvas lies, in pixels, when it is a cut-out."""

    canvas: np.ndarray
    camera: Camera
    corner: tuple[int, int] = (0, 0)

    def fill(self, points_N3: np.ndarray, colour: Colour) -> None:
        self.fill_px(self.camera.place(points_N3), colour)

    def fill_px(self, points_N2: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.canvas, [self._fixed(points_N2)], colour, cv2.LINE_AA, SHIFT)

    def stroke(self, points_N3: np.ndarray, colour: Colour, width: float) -> None:
        """A line of even width, in head units, with round ends."""
        fixed = self._fixed(self.camera.place(points_N3))
        thickness = max(1, round(width * self.camera.unit_px))
        cv2.polylines(self.canvas, [fixed], False, colour, thickness, cv2.LINE_AA, SHIFT)

    def taper(self, line_N3: np.ndarray, colour: Colour, width: float, peak: float = 0.5) -> None:
        """A brush stroke (see `ribbon`)."""
        self.fill(ribbon(line_N3, width, peak), colour)

    def fill_all(self, outlines: Sequence[np.ndarray], colour: Colour) -> None:
        """Several outlines in one call; they must not overlap, for the overlap would stay empty."""
        ends = np.cumsum([len(outline) for outline in outlines])[:-1]
        fixed = self._fixed(self.camera.place(np.concatenate(outlines)))
        cv2.fillPoly(self.canvas, np.split(fixed, ends), colour, cv2.LINE_AA, SHIFT)

    def inside(self, outline_N2: np.ndarray, draw: Callable[[Board], None]) -> None:
        """Run `draw` on a board of which only what lies inside the outline (pixels) is kept."""
        height, width = self.canvas.shape[:2]
        local = outline_N2 - self.corner
        low = np.clip(np.floor(local.min(0)).astype(int), 0, (width, height))
        high = np.clip(np.ceil(local.max(0)).astype(int) + 1, 0, (width, height))
        if (high <= low).any():
            return
        window = self.canvas[low[1] : high[1], low[0] : high[0]]
        corner = (self.corner[0] + int(low[0]), self.corner[1] + int(low[1]))
        layer = replace(self, canvas=window.copy(), corner=corner)
        draw(layer)
        mask = np.zeros(window.shape[:2], np.uint8)
        cv2.fillPoly(mask, [layer._fixed(outline_N2)], 255, cv2.LINE_8, SHIFT)
        cv2.copyTo(layer.canvas, mask, window)

    def _fixed(self, points_N2: np.ndarray) -> np.ndarray:
        return np.rint((points_N2 - self.corner) * (1 << SHIFT)).astype(np.int32)
