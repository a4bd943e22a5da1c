"""A curve as inline SVG: no library, no network, small enough that a page holds dozens."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]  # step, value

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 190, 46, 10, 26, 22  # pixels: the picture, and around the axes
MOST_POINTS = 400  # drawn; of more, the least and the greatest of each interval of steps
SMOOTHED_FROM, SMOOTHED_OVER = 60, 25  # curves of so many points get a running mean, over this part of them
LOGARITHMIC_FROM = 30.0  # ratio of the greatest to the least value from which the axis is logarithmic


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` points of a curve, its extremes among them."""
    if len(points) <= most:
        return list(points)
    per = math.ceil(2 * len(points) / most)
    kept = set()
    for first in range(0, len(points), per):
        numbers = range(first, min(first + per, len(points)))
        kept |= {min(numbers, key=lambda i: points[i][1]), max(numbers, key=lambda i: points[i][1])}
    return [points[number] for number in sorted(kept)]


def smooth(points: Sequence[Point]) -> list[Point]:
    """Exponential running mean, begun without bias."""
    decay = 1 - min(1.0, SMOOTHED_OVER / len(points))
    out, total, weight = [], 0.0, 0.0
    for step, value in points:
        total, weight = decay * total + (1 - decay) * value, decay * weight + (1 - decay)
        out.append((step, total / weight))
    return out


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two bounds, about `count` of them."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Short: 12.3k, 0.0123, 3e-05."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 10_000:
        return f"{value / 1e6:.4g}M" if abs(value) >= 1e6 else f"{value / 1e3:.4g}k"
    return f"{value:.4g}"


class _Axis:
    """Bounds of the values and of the pixels they are drawn between."""

    def __init__(self, values: Sequence[float], start_px: float, end_px: float, logarithmic: bool = False):
        self.logarithmic = logarithmic
        low, high = (self._scale(bound) for bound in (min(values), max(values)))
        pad = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
        self.low, self.high, self.start_px, self.end_px = low - pad, high + pad, start_px, end_px

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def __call__(self, value: float) -> float:
        share = (self._scale(value) - self.low) / (self.high - self.low)
        return round(self.start_px + share * (self.end_px - self.start_px), 1)

    def marks(self) -> list[float]:
        if not self.logarithmic:
            return ticks(self.low, self.high)
        exponents = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [factor * 10.0**exponent for exponent in exponents for factor in (1, 3)]
        inside = [mark for mark in marks if self.low <= math.log10(mark) <= self.high]
        return inside[:: math.ceil(len(inside) / 5)]


def line_chart(
    name: str, points: Sequence[Point], last_step: float, *, best: Point | None = None, noisy: bool = False
) -> str:
    """One curve over the steps 0 to `last_step`, with its last value; `best` is marked, and a long `noisy` one is
    drawn with its running mean. Values that are not finite are left out and counted in the title."""
    finite = [point for point in points if math.isfinite(point[1])]
    left_out = len(points) - len(finite)
    title = escape(name) + (f" · {left_out} not finite" if left_out else "")
    if not finite:
        return _svg(f'<text x="{LEFT}" y="15" class="title">{title}</text>', name, [])
    values = [value for _, value in finite]
    logarithmic = min(values) > 0 and max(values) / min(values) > LOGARITHMIC_FROM
    x = _Axis([0, last_step], LEFT, WIDTH - RIGHT)
    y = _Axis(values, HEIGHT - BOTTOM, TOP, logarithmic)
    drawn, smoothed = thin(finite), noisy and len(finite) >= SMOOTHED_FROM
    parts = _grid(x, y)
    parts.append(_line(drawn, x, y, "raw" if smoothed else "line"))
    if smoothed:
        parts.append(_line(thin(smooth(finite)), x, y, "line"))
    if len(finite) <= 40:
        parts += [f'<circle cx="{x(step)}" cy="{y(value)}" r="2" class="dot"/>' for step, value in finite]
    if best:
        parts.append(f'<circle cx="{x(best[0])}" cy="{y(best[1])}" r="4" class="best"/>')
    last = f"{number(values[-1])}" + (" · log" if logarithmic else "")
    parts.append(f'<text x="{LEFT}" y="15" class="title">{title}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="15" class="last">{last}</text>')
    readable = [[x(step), y(value), number(step), number(value)] for step, value in drawn]
    return _svg("".join(parts), name, readable)


def _svg(content: str, name: str, readable: list) -> str:
    data = escape(json.dumps(readable, separators=(",", ":")), quote=True)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg class="chart" role="img" aria-label="{escape(name)}" {size} data-points="{data}">{content}</svg>'


def _line(points: Sequence[Point], x: _Axis, y: _Axis, kind: str) -> str:
    path = " ".join(f"{x(step)},{y(value)}" for step, value in points)
    return f'<polyline points="{path}" class="{kind}"/>'


def _grid(x: _Axis, y: _Axis) -> list[str]:
    parts = []
    for mark in y.marks():
        at = y(mark)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 3.5}" class="mark y">{number(mark)}</text>')
    for mark in x.marks():
        if mark >= 0 and mark == int(mark):
            parts.append(f'<text x="{x(mark)}" y="{HEIGHT - 6}" class="mark x">{number(mark)}</text>')
    return parts
