"""Curves and histograms as inline SVG: no library, no network, small enough that a page holds dozens."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]  # step, value

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 190, 46, 10, 26, 22  # pixels: the picture, and around the axes
MOST_POINTS = 400  # drawn; of more, the least and the greatest of each interval of steps
SMOOTHED_FROM, SMOOTHED_OVER = 60, 25  # curves of so many points get a running mean, over this part of them
LOGARITHMIC_FROM = 30.0  # ratio of the greatest to the least value from which the axis is logarithmic
BINS = 24  # of a histogram, at least half as many; their edges are round numbers
TAIL = 0.005  # share of the values at either end that does not widen a histogram: they are in its outermost bars


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


@dataclass(frozen=True)
class Bound:
    """A threshold drawn into a histogram: where, and what is written beside it."""

    value: float
    label: str


def histogram(
    name: str, groups: Sequence[tuple[str, Sequence[float]]], bounds: Sequence[Bound] = (), *, least_span: float = 0.0
) -> str:
    """How often each value came up. groups: (what they are called, values), drawn one on top of the other in bars of
    the classes bar0, bar1, ...; values that are not finite are left out and counted beside the others.

    A bound too far from all values to be drawn in scale stands at the edge with an arrow. least_span: of the axis, so
    that values which hardly differ are not magnified to the whole of it.
    """
    finite = [[value for value in values if math.isfinite(value)] for _, values in groups]
    left_out = sum(len(values) for _, values in groups) - sum(map(len, finite))
    told = f"{sum(map(len, finite)):,}" + (f" · {left_out:,} not finite" if left_out else "")
    parts = [f'<text x="{LEFT}" y="15" class="title">{escape(name)}</text>']
    parts.append(f'<text x="{WIDTH - RIGHT}" y="15" class="last">{told}</text>')
    if not any(finite):
        return _svg("".join(parts), name, [])
    every_value = [value for values in finite for value in values]
    low, width, bins = _bins(every_value, [bound.value for bound in bounds], least_span)
    counts = [_counted(values, low, width, bins) for values in finite]
    tallest = max(map(sum, zip(*counts, strict=True)))
    parts += _frame(low, width, bins, tallest) + _bars([called for called, _ in groups], counts, low, width, tallest)
    parts += [_bound(bound, row, low, low + bins * width) for row, bound in enumerate(bounds)]
    return _svg("".join(parts), name, [])


def _bins(values: Sequence[float], bounds: Sequence[float], least_span: float) -> tuple[float, float, int]:
    """Start, width and number of bars, edges at multiples of the width. Bounds are within, unless they would press the
    values into a few bars: those farther away than three times the values' span are not."""
    ordered = sorted(values)
    tail = math.floor(len(ordered) * TAIL)
    low, high = ordered[tail], ordered[-1 - tail]
    # Of values that hardly differ, where they lie among the bounds is all there is to see.
    reach = math.inf if high - low <= least_span else 3 * (high - low)
    near = [bound for bound in bounds if low - reach <= bound <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    if low < high < low + least_span:  # of equal values one bar says all there is to see
        middle = (low + high) / 2
        low = middle - least_span / 2
        high = middle + least_span / 2
    marks = ticks(low, low + (high - low or abs(high) or 1.0), BINS)
    width = marks[1] - marks[0]
    first = math.floor(low / width + 1e-9)
    return first * width, width, max(1, math.ceil(high / width - 1e-9) - first)


def _counted(values: Sequence[float], low: float, width: float, bins: int) -> list[int]:
    counts = [0] * bins
    for value in values:
        counts[min(max(math.floor((value - low) / width + 1e-9), 0), bins - 1)] += 1
    return counts


def _across(value: float, low: float, high: float) -> float:
    return round(LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT), 1)


def _bars(called: Sequence[str], counts: Sequence[Sequence[int]], low: float, width: float, tallest: int) -> list[str]:
    bins, parts = len(counts[0]), []
    for place in range(bins):
        left, right = (_across(place + side, 0, bins) for side in (0, 1))
        edges = f"{number(low + place * width)} to {number(low + (place + 1) * width)}"
        told = ", ".join(f"{row[place]:,} {name}" for name, row in zip(called, counts, strict=True))
        bottom = HEIGHT - BOTTOM
        for group, row in enumerate(counts):
            if row[place]:
                # A bar of one among thousands is still seen.
                height = max(1.0, round(row[place] / tallest * (HEIGHT - BOTTOM - TOP), 1))
                bottom = round(bottom - height, 1)
                size = f'x="{left}" y="{bottom}" width="{round(max(right - left - 1, 1), 1)}" height="{height}"'
                parts.append(f'<rect {size} class="bar{group}"><title>{edges}: {escape(told)}</title></rect>')
    return parts


def _frame(low: float, width: float, bins: int, tallest: int) -> list[str]:
    parts = []
    for mark in (mark for mark in ticks(0, tallest, 4) if mark == int(mark)):
        at = round(HEIGHT - BOTTOM - mark / tallest * (HEIGHT - BOTTOM - TOP), 1)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 3.5}" class="mark y">{number(mark)}</text>')
    for mark in ticks(low, low + bins * width):
        at = _across(mark, low, low + bins * width)
        kind = "mark x" if at < WIDTH - 2 * RIGHT else "mark y"  # at the edge, a centred number would be cut
        parts.append(f'<text x="{at}" y="{HEIGHT - 6}" class="{kind}">{number(round(mark, 10))}</text>')
    return parts


def _bound(bound: Bound, row: int, low: float, high: float) -> str:
    """A dashed line with its label on the side that has room, each label in a row of its own."""
    near = (high - low) * 1e-6  # the edges are rounded
    arrow = " ←" if bound.value < low - near else " →" if bound.value > high + near else ""
    at = _across(min(max(bound.value, low), high), low, high)
    room = at < (LEFT + WIDTH) / 2
    place = f'x="{at + (4 if room else -4)}" y="{TOP + 9 + 13 * row}" text-anchor="{"start" if room else "end"}"'
    line = f'<line x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="bound"/>'
    return f'{line}<text {place} class="bound">{escape(bound.label)}{arrow}</text>'
