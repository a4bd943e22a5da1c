"""The puppet as a person: flat colours, drawn back to front. Measures are head units (see puppet_art.py)."""

from __future__ import annotations

import numpy as np

from joyvasa.animate.puppet_art import Board, disc, dome, flipped, mirrored, on_face, ribbon, shifted, smooth
from joyvasa.animate.puppet_parts import ACROSS, VAULT, Expression, backdrop, drop_jaw, lids, mouth_curves, ring


class Person:
    """A young woman with a bob, in a round-necked pullover."""

    HAIR, HAIR_LIGHT, HAIR_DARK = (74, 50, 46), (104, 71, 61), (56, 37, 36)
    SKIN, SKIN_SHADE, SKIN_DEEP, BLUSH = (246, 207, 178), (231, 179, 149), (214, 154, 126), (241, 180, 156)
    LIP_UPPER, LIP_LOWER, LIP_LIGHT, MOUTH = (190, 88, 92), (212, 112, 112), (228, 142, 136), (92, 30, 42)
    TEETH, TONGUE = (252, 247, 240), (208, 102, 108)
    WHITE, IRIS, IRIS_DARK, PUPIL = (253, 251, 248), (96, 138, 128), (58, 92, 90), (24, 26, 32)
    GOLD = (240, 196, 96)
    CLOTH, CLOTH_SHADE, CLOTH_LIGHT = (218, 112, 82), (190, 90, 68), (229, 130, 98)

    # fmt: off
    face = smooth(mirrored([(0, -1.14, 0), (0.46, -1.08, 0), (0.79, -0.8, 0), (0.92, -0.35, 0.02),
        (0.925, 0.1, 0.04), (0.87, 0.46, 0.08), (0.7, 0.8, 0.14), (0.38, 1.07, 0.22), (0, 1.15, 0.25)]))
    ear = smooth([(0.84, -0.14, -0.05), (0.98, -0.2, -0.06), (1.08, -0.06, -0.08), (1.05, 0.14, -0.08),
        (0.97, 0.33, -0.06), (0.86, 0.32, -0.05)])
    ear_fold = smooth([(0.93, -0.08, -0.04), (1.01, -0.06, -0.05), (1.0, 0.08, -0.05), (0.94, 0.16, -0.04)], False)
    earring = disc(0.99, 0.39, 0.055, -0.05)
    back_hair = smooth(mirrored([(0, -1.44, -0.2), (0.62, -1.32, -0.25), (1.02, -0.92, -0.3),
        (1.2, -0.3, -0.35), (1.24, 0.3, -0.35), (1.2, 0.84, -0.3), (1.0, 1.2, -0.25), (0.74, 1.22, -0.3),
        (0.5, 1.0, -0.4), (0, 0.9, -0.4)]))
    hairline = [(0.91, -0.2), (0.82, -0.46), (0.64, -0.76), (0.4, -1.0), (0.2, -0.8), (-0.12, -0.6),
        (-0.46, -0.46), (-0.76, -0.3), (-0.91, -0.14)]
    crown_knots = [(-0.955, -0.02, 0.02), (-1.05, -0.3, 0), (-1.05, -0.66, 0), (-0.86, -1.1, 0), (-0.42, -1.4, 0),
        (0.08, -1.48, 0), (0.56, -1.36, 0), (0.92, -1.02, 0), (1.06, -0.6, 0), (1.05, -0.28, 0),
        (0.955, -0.02, 0.02)]
    crown = smooth(crown_knots)
    fringe = smooth(np.concatenate([crown_knots, on_face(hairline, 0.0)]))
    gloss = smooth(on_face([(-0.86, -0.62), (-0.62, -0.92), (-0.26, -1.12), (0.1, -1.2), (-0.2, -1.0),
        (-0.52, -0.8)]))
    strands = [ribbon(smooth(on_face(points), False), 0.035) for points in (
        [(0.36, -1.02), (0.04, -0.94), (-0.4, -0.7), (-0.78, -0.4)],
        [(0.4, -1.06), (0.66, -0.92), (0.88, -0.56), (0.97, -0.2)])]
    neck_top = np.array([(-0.4, 0.7, -0.15), (0.4, 0.7, -0.15)])
    neck_foot = np.array([(0.42, 1.42, -0.1), (0.62, 1.72, -0.1), (-0.62, 1.72, -0.1), (-0.42, 1.42, -0.1)])
    torso = smooth(mirrored([(0, 1.74, 0), (0.36, 1.66, 0), (0.5, 1.46, -0.05), (0.9, 1.6, -0.1),
        (1.42, 1.8, -0.15), (1.74, 2.2, -0.2), (1.9, 3.2, -0.2), (1.0, 4.0, 0), (0, 4.0, 0)]))
    collar = smooth([(-0.5, 1.46, -0.05), (-0.34, 1.66, 0.05), (0, 1.76, 0.1), (0.34, 1.66, 0.05),
        (0.5, 1.46, -0.05)], False)
    sleeve = smooth([(1.0, 2.06, 0), (1.08, 2.4, 0), (1.12, 3.0, 0)], False)
    nose_shade = smooth(on_face([(0.05, 0.0), (0.09, 0.2), (0.17, 0.36), (0.12, 0.44), (0, 0.46),
        (0.02, 0.36)], 0.1))
    nose_shade[:, 2] += np.clip(nose_shade[:, 1], 0, 0.4) * 0.5
    nose_base = smooth([(-0.13, 0.39, 0.74), (-0.08, 0.445, 0.8), (0, 0.46, 0.88), (0.08, 0.445, 0.8),
        (0.13, 0.39, 0.74)], False)
    cheek = on_face(disc(0.54, 0.44, 0.19, 0)[:, :2] * (1, 0.72) + (0, 0.12), 0.01)
    # fmt: on

    def backdrop(self, side_px: int) -> np.ndarray:
        return backdrop(side_px, (214, 228, 230), (176, 200, 206), (232, 239, 236))

    def draw(self, head: Board, body: Board, look: Expression) -> None:
        head.fill(self.back_hair, self.HAIR_DARK)
        head.fill(self.crown, self.HAIR)
        self._body(head, body, look)
        for side in (1, -1):
            head.fill(self.ear * (side, 1, 1), self.SKIN_SHADE)
            head.taper(self.ear_fold * (side, 1, 1), self.SKIN_DEEP, 0.05)
            head.fill(self.earring * (side, 1, 1), self.GOLD)
        self._skin(head, look)
        self._mouth(head, look)
        head.fill(self.nose_shade, self.SKIN_SHADE)
        head.taper(self.nose_base, self.SKIN_DEEP, 0.045)
        self._eye(head, look, 1, look.shut_right)
        self._eye(head, look, -1, look.shut_left)
        head.fill(self.fringe, self.HAIR)
        head.fill(self.gloss, self.HAIR_LIGHT)
        head.fill_all(self.strands, self.HAIR_DARK)
        self._brow(head, look, 1)
        self._brow(head, look, -1)

    def _body(self, head: Board, body: Board, look: Expression) -> None:
        neck = np.concatenate([head.camera.place(self.neck_top), body.camera.place(self.neck_foot)])
        head.fill_px(neck, self.SKIN_SHADE)
        chin = head.camera.place(shifted(drop_jaw(self.face, look.lower, 0.4, 1.0), y=0.2))
        head.inside(neck, lambda board: board.fill_px(chin, self.SKIN_DEEP))
        torso = body.camera.place(self.torso)
        body.fill_px(torso, self.CLOTH)
        body.stroke(self.collar, self.CLOTH_LIGHT, 0.13)
        body.stroke(shifted(self.collar, y=0.085), self.CLOTH_SHADE, 0.025)
        for sleeve in (self.sleeve, flipped(self.sleeve)):
            body.taper(sleeve, self.CLOTH_SHADE, 0.05)

    def _skin(self, head: Board, look: Expression) -> None:
        outline = drop_jaw(self.face, look.lower, 0.4, 1.0)
        px = head.camera.place(outline)
        unit = head.camera.unit_px
        head.fill_px(px, self.SKIN_SHADE)

        def light(board: Board) -> None:
            board.fill_px(px + np.array([-0.085, -0.05]) * unit, self.SKIN)
            board.fill(self.cheek, self.BLUSH)
            board.fill(flipped(self.cheek), self.BLUSH)
            board.fill(shifted(self.fringe, y=0.08), self.SKIN_SHADE)

        head.inside(px, light)

    def _eye(self, head: Board, look: Expression, side: int, shut: float) -> None:
        x, half = 0.4 * side, 0.225
        upper, lower = lids(x, 0.06, half, 0.17, 0.095, shut, 0.025 * side)
        crease = lids(x, 0.02, half * 1.04, 0.215, 0.09, 0.3 * max(shut, 0), 0.025 * side)[0]
        head.fill(ring(crease, upper), self.SKIN_SHADE)
        opening = head.camera.place(ring(upper, lower))

        def ball(board: Board) -> None:
            board.fill_px(opening, self.WHITE)
            near = float(dome(0.4, 0.0)) + 0.03
            gaze = x + look.gaze
            board.fill(disc(gaze, 0.025, 0.142, near, 1.08), self.IRIS_DARK)
            board.fill(disc(gaze, 0.035, 0.121, near, 1.08), self.IRIS)
            board.fill(disc(gaze, 0.03, 0.065, near, 1.08), self.PUPIL)
            board.fill(disc(gaze + 0.045, -0.03, 0.032, near), self.WHITE)

        if (lower[:, 1] - upper[:, 1]).max() > 0.02:
            head.inside(opening, ball)
        lash = upper if side > 0 else upper[::-1]  # from the nose outwards
        flick = lash[-1] + (0.06 * side, -0.035 * (1 - max(shut, 0)) + 0.02, -0.03)
        head.taper(np.concatenate([lash, flick[None]]), self.PUPIL, 0.075, peak=0.62)
        if shut < 0.7:
            head.taper(lower, self.SKIN_DEEP, 0.02)

    def _brow(self, head: Board, look: Expression, side: int) -> None:
        x = np.array([0.17, 0.3, 0.46, 0.66])
        y = np.array([-0.27, -0.325, -0.335, -0.25]) - look.brow * np.array([0.9, 1.0, 1.0, 0.7])
        line = smooth(on_face(np.column_stack([x, y]), 0.05), False)
        head.taper(line * (side, 1, 1), self.HAIR_DARK, 0.085, peak=0.35)

    def _mouth(self, head: Board, look: Expression) -> None:
        ripple = 0.009 * np.cos(3 * np.pi * ACROSS) * VAULT - 0.028 * np.abs(ACROSS) ** 3
        upper, lower = mouth_curves(look, 0.7, 0.33, ripple)
        bow = (1 - np.abs(ACROSS) ** 2.2) * (1 - 0.22 * np.exp(-((ACROSS / 0.17) ** 2)))
        plump = 0.5 * max(look.pout, 0) - 0.25 * look.width
        top = shifted(upper, near=0.02) - np.outer((0.095 + plump) * bow, (0, 1, 0))
        bottom = lower + np.outer((0.125 + plump) * VAULT**0.85, (0, 1, 0))
        head.taper(shifted(bottom[5:-5], y=0.075), self.SKIN_SHADE, 0.06)
        head.fill(ring(lower, bottom), self.LIP_LOWER)
        light = lower + np.outer((0.06 + plump / 2) * VAULT, (0, 1, 0))
        head.taper(light[6:-6], self.LIP_LIGHT, 0.05)
        head.fill(ring(top, upper), self.LIP_UPPER)
        gap = lower[:, 1] - upper[:, 1]
        if gap.max() > 0.01:
            inner = head.camera.place(ring(upper, lower))
            head.fill_px(inner, self.MOUTH)
            head.inside(inner, lambda board: self._inside_mouth(board, upper, lower, gap))
        head.taper(upper, self.MOUTH, 0.035)

    def _inside_mouth(self, board: Board, upper: np.ndarray, lower: np.ndarray, gap: np.ndarray) -> None:
        centre, deepest = lower[len(lower) // 2], gap.max()
        half = (upper[-1, 0] - upper[0, 0]) / 2
        if deepest > 0.12:
            tall = min(deepest, 0.4) / half
            board.fill(disc(centre[0], centre[1] + 0.02, half * 0.62, centre[2] - 0.15, tall), self.TONGUE)
        teeth = np.outer(np.minimum(0.42 * gap, 0.35 * half), (0, 1, 0)).clip(max=0.105)
        board.fill(ring(upper, upper + teeth), self.TEETH)
