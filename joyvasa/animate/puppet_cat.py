"""The puppet as a cat: flat colours, drawn back to front. Measures are head units (see puppet_art.py)."""

from __future__ import annotations

import numpy as np

from joyvasa.animate.puppet_art import Board, disc, dome, flipped, mirrored, on_face, ribbon, shifted, smooth
from joyvasa.animate.puppet_parts import ACROSS, VAULT, Expression, backdrop, drop_jaw, lids, mouth_curves, ring


class Cat:
    """A ginger tabby with a bell."""

    FUR, FUR_SHADE, STRIPE = (238, 170, 104), (218, 144, 82), (196, 116, 62)
    CREAM, CREAM_SHADE = (253, 239, 219), (236, 213, 186)
    EAR, NOSE, NOSE_DARK, LINE, MOUTH = (240, 168, 158), (222, 122, 122), (178, 84, 88), (104, 58, 40), (112, 36, 46)
    TONGUE, TEETH, RIM = (226, 120, 124), (255, 252, 246), (78, 44, 34)
    IRIS, IRIS_DARK, PUPIL, WHITE = (172, 200, 98), (112, 152, 70), (26, 26, 28), (255, 255, 252)
    COLLAR, COLLAR_DARK, BELL, BELL_DARK = (58, 134, 142), (42, 106, 116), (246, 200, 84), (206, 152, 50)

    # fmt: off
    head = smooth(mirrored([(0, -0.99, 0.05), (0.4, -0.93, 0.05), (0.76, -0.72, 0), (1.0, -0.32, 0),
        (1.1, 0.1, 0), (1.12, 0.42, 0), (1.24, 0.66, -0.02), (1.04, 0.74, 0.02), (0.92, 0.92, 0.05),
        (0.68, 0.94, 0.1), (0.4, 1.08, 0.18), (0, 1.1, 0.2)]))
    ear = smooth([(0.26, -0.7, -0.02), (0.4, -1.05, -0.05), (0.68, -1.42, -0.1), (0.86, -1.5, -0.12),
        (0.97, -1.36, -0.12), (1.06, -0.9, -0.1), (1.04, -0.3, -0.05), (0.6, -0.5, 0)])
    ear_inner = smooth([(0.48, -0.82, -0.02), (0.62, -1.12, -0.06), (0.82, -1.32, -0.1), (0.9, -1.24, -0.1),
        (0.96, -0.86, -0.08), (0.9, -0.6, -0.05)])
    tuft = smooth([(0.44, -0.62, 0), (0.56, -0.98, -0.03), (0.64, -0.8, -0.03), (0.76, -1.0, -0.03),
        (0.8, -0.72, -0.03), (0.92, -0.8, -0.03), (0.9, -0.4, 0)], steps=4)
    stripes = [[(0, -1.02), (0, -0.78), (0, -0.5)], [(0.2, -1.0), (0.2, -0.76), (0.13, -0.54)], [(0.4, -0.96),
        (0.42, -0.74), (0.33, -0.56)], [(1.1, 0.12), (0.92, 0.16), (0.78, 0.12)], [(1.12, 0.36), (0.94, 0.36),
        (0.8, 0.3)]]
    stripes = [ribbon(smooth(on_face(line), False), 0.11, peak=0.4) for line in stripes]
    stripes += [flipped(line) for line in stripes[1:]]
    muzzle = smooth(on_face(mirrored([(0, 0.2, 0), (0.2, 0.24, 0), (0.42, 0.4, 0), (0.54, 0.6, 0),
        (0.42, 0.8, 0), (0.3, 0.96, 0), (0, 1.02, 0)])[:, :2], 0.06))
    blaze = smooth(on_face(mirrored([(0, -0.36, 0), (0.06, -0.1, 0), (0.12, 0.16, 0), (0.2, 0.36, 0),
        (0, 0.4, 0)])[:, :2], 0.05))
    nose = smooth(mirrored([(0, 0.29, 0.84), (0.11, 0.3, 0.8), (0.13, 0.36, 0.78), (0.05, 0.45, 0.8),
        (0, 0.47, 0.82)]), steps=4)
    whiskers = [np.array([(0.4, 0.52 + 0.1 * k, 0.7), (0.85, 0.44 + 0.13 * k, 0.6), (1.34, 0.36 + 0.2 * k
        + 0.04 * k * k, 0.35)]) for k in range(3)]
    whiskers = [ribbon(smooth(line, False), 0.035, peak=0.3) for line in whiskers]
    whiskers += [flipped(line) for line in whiskers]
    dots = [disc(x, y, 0.022, 0.66) for x, y in ((0.2, 0.56), (0.29, 0.52), (0.27, 0.62))]
    dots += [flipped(dot) for dot in dots]
    body = smooth(mirrored([(0, 0.8, 0), (0.5, 0.84, -0.1), (0.66, 1.2, -0.15), (0.92, 1.6, -0.2),
        (1.12, 2.2, -0.2), (1.2, 3.2, -0.2), (0.6, 4, 0), (0, 4, 0)]))
    chest = smooth(mirrored([(0, 1.36, 0.1), (0.38, 1.32, 0.05), (0.5, 1.7, 0), (0.4, 2.2, 0.05),
        (0.24, 3.2, 0.1), (0, 3.3, 0.1)]))
    collar = smooth([(-0.68, 1.14, -0.2), (-0.4, 1.32, 0.05), (0, 1.38, 0.15), (0.4, 1.32, 0.05),
        (0.68, 1.14, -0.2)], False)
    # fmt: on

    def backdrop(self, side_px: int) -> np.ndarray:
        return backdrop(side_px, (222, 222, 236), (188, 188, 214), (238, 236, 244))

    def draw(self, head: Board, body: Board, look: Expression) -> None:
        self._body(head, body, look)
        for side in (1, -1):
            mirror = np.array([side, 1, 1])
            head.fill(self.ear * mirror, self.FUR_SHADE)
            head.fill(self.ear_inner * mirror, self.EAR)
            head.fill(self.tuft * mirror, self.CREAM_SHADE)
        self._fur(head, look)
        self._eye(head, look, 1, look.shut_right)
        self._eye(head, look, -1, look.shut_left)
        self._mouth(head, look)
        for side in (1, -1):
            self._brow(head, look, side)
        for whisker in self.whiskers:
            head.fill(shifted(whisker, y=-0.5 * look.smile), self.WHITE)

    def _body(self, head: Board, body: Board, look: Expression) -> None:
        torso = body.camera.place(self.body)
        body.fill_px(torso, self.FUR_SHADE)
        body.fill(self.chest, self.CREAM)
        chin = head.camera.place(shifted(drop_jaw(self.head, look.lower, 0.5, 1.05), y=0.14))
        body.inside(torso, lambda board: board.fill_px(chin, self.STRIPE))
        body.stroke(shifted(self.collar, y=0.05), self.COLLAR_DARK, 0.15)
        body.stroke(self.collar, self.COLLAR, 0.14)
        body.fill(disc(0, 1.56, 0.15, 0.2), self.BELL_DARK)
        body.fill(disc(-0.01, 1.55, 0.135, 0.2), self.BELL)
        body.stroke(np.array([(-0.12, 1.58, 0.2), (0.12, 1.58, 0.2)]), self.BELL_DARK, 0.03)
        body.fill(disc(0, 1.63, 0.03, 0.2), self.LINE)

    def _fur(self, head: Board, look: Expression) -> None:
        px = head.camera.place(drop_jaw(self.head, look.lower, 0.5, 1.05))
        head.fill_px(px, self.FUR_SHADE)

        def light(board: Board) -> None:
            board.fill_px(px + np.array([-0.075, -0.05]) * board.camera.unit_px, self.FUR)
            board.fill_all(self.stripes, self.STRIPE)
            board.fill(self.blaze, self.CREAM)
            board.fill(drop_jaw(self.muzzle, look.lower, 0.5, 1.0), self.CREAM)

        head.inside(px, light)

    def _eye(self, head: Board, look: Expression, side: int, shut: float) -> None:
        x, half = 0.47 * side, 0.255
        upper, lower = lids(x, 0.02, half, 0.235, 0.2, shut, 0.06 * side)
        socket = ring(*lids(x, 0.02, half * 1.1, 0.27, 0.235, 0.0, 0.06 * side))
        head.fill(socket, self.FUR_SHADE)
        opening = head.camera.place(ring(upper, lower))

        def ball(board: Board) -> None:
            near = float(dome(0.47, 0.0)) + 0.03
            gaze = x + look.gaze
            board.fill_px(opening, self.IRIS_DARK)
            board.fill(disc(x + 0.3 * look.gaze, 0.06, 0.2, near, 1.0), self.IRIS)
            board.fill(disc(gaze, 0.0, 0.085, near, 2.0), self.PUPIL)
            board.fill(disc(gaze + 0.06, -0.08, 0.045, near), self.WHITE)
            board.fill(disc(gaze - 0.05, 0.08, 0.02, near), self.WHITE)

        if (lower[:, 1] - upper[:, 1]).max() > 0.02:
            head.inside(opening, ball)
        head.taper(lower, self.RIM, 0.03)
        lash = upper if side > 0 else upper[::-1]
        flick = lash[-1] + (0.06 * side, -0.03, -0.03)
        head.taper(np.concatenate([lash, flick[None]]), self.RIM, 0.075, peak=0.6)

    def _brow(self, head: Board, look: Expression, side: int) -> None:
        x = np.array([0.26, 0.4, 0.56, 0.7])
        y = np.array([-0.33, -0.41, -0.42, -0.34]) - 1.2 * look.brow
        head.taper(smooth(on_face(np.column_stack([x, y]), 0.05), False) * (side, 1, 1), self.STRIPE, 0.09, peak=0.4)

    def _mouth(self, head: Board, look: Expression) -> None:
        ripple = 0.085 * np.abs(np.sin(np.pi * ACROSS)) - 0.03 * VAULT
        upper, lower = mouth_curves(look, 0.62, 0.36, ripple)
        upper[:, 2] += 0.1
        lower[:, 2] += 0.08
        chin = lower + np.outer(0.15 * VAULT**0.8, (0, 1, 0))
        head.taper(chin[4:-4], self.CREAM_SHADE, 0.05)
        gap = lower[:, 1] - upper[:, 1]
        if gap.max() > 0.01:
            inner = head.camera.place(ring(upper, lower))
            head.fill_px(inner, self.MOUTH)
            head.inside(inner, lambda board: self._inside_mouth(board, upper, lower, gap))
            head.taper(lower, self.LINE, 0.035)
        head.taper(upper, self.LINE, 0.05)
        middle = upper[len(upper) // 2]
        head.stroke(np.array([(0, 0.45, 0.8), middle]), self.LINE, 0.035)
        head.fill(self.nose, self.NOSE)
        head.taper(self.nose[[6, 8, 10, 12]], self.NOSE_DARK, 0.03)
        head.fill_all(self.dots, self.CREAM_SHADE)

    def _inside_mouth(self, board: Board, upper: np.ndarray, lower: np.ndarray, gap: np.ndarray) -> None:
        centre, deepest = lower[len(lower) // 2], gap.max()
        if deepest > 0.1:
            half = (upper[-1, 0] - upper[0, 0]) / 2
            tall = min(deepest, 0.45) / half
            board.fill(disc(centre[0], centre[1] + 0.03, half * 0.55, centre[2] - 0.1, tall), self.TONGUE)
        fang = min(0.16, 0.5 * deepest)
        for k in (6, -7) if fang > 0.04 else ():
            root = upper[k]
            board.fill(root + np.array([(-0.05, -0.02, 0), (0.05, -0.02, 0), (0, fang, 0)]), self.TEETH)
