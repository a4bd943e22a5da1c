"""Charts of the report as inline SVG: intervals of a column, distance by offset, offsets.

A row looks the same in all of them: systems have colours and round dots, controls are grey, and each has a dash and a
shape of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from joyvasa.chart import number, ticks
from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.results import SHARE, Column, Film, Results
from joyvasa.eval.films.words import figure, heading, told
from joyvasa.markup import plain, text

COLOURS = 6  # of systems, and as many kinds of controls; then they come again
# Dots of controls around (0, 0): the last three are the first three, hollow.
SQUARE, DIAMOND, TRIANGLE = "M-4-4h8v8h-8z", "M0-5.2l5.2 5.2-5.2 5.2-5.2-5.2z", "M0-5l5.2 9h-10.4z"
SHAPES = {f"g{place}": (SQUARE, DIAMOND, TRIANGLE)[place % 3] for place in range(COLOURS)}
NAME, LABEL, RIGHT, TOP, LINE, BOTTOM = 22, 136, 14, 28, 19, 22  # letters of a row's name; pixels
WIDTH, WIDE, TALL, BAND = 368, 560, 300, 34
FARTHEST = 15  # frames of offset that are drawn apart; more are counted at the ends


def kinds(results: Results) -> dict[str, str]:
    """The class of each row's colour."""
    found = {row: f"c{place % COLOURS}" for place, row in enumerate(results.systems)}
    return found | {row: f"g{place % COLOURS}" for place, row in enumerate(results.controls)}


def key_of(rows: Sequence[str], kind: Mapping[str, str]) -> str:
    """Which line is whose."""

    def line(row: str) -> str:
        drawn = f'<line x1="0" x2="38" y1="6" y2="6" class="curve {kind[row]}"/>{_dot(19, 6, kind[row])}'
        return f'<li><svg width="38" height="12" aria-hidden="true">{drawn}</svg> {text(row, 40)}</li>'

    return f'<ul class="key">{"".join(map(line, rows))}</ul>'


def _dot(x: float, y: float, kind: str) -> str:
    if kind in SHAPES:
        return f'<path d="{SHAPES[kind]}" transform="translate({x} {y})" class="dot {kind}"/>'
    return f'<circle cx="{x}" cy="{y}" r="4" class="dot {kind}"/>'


class _Scale:
    """Values to pixels; what lies beyond is drawn at the edge."""

    def __init__(self, values: Sequence[float], start_px: float, end_px: float, pad: float = 0.06):
        low, high = min(values), max(values)
        room = (high - low) * pad or abs(high) * 0.1 or 1.0
        self.low, self.high, self.start_px, self.end_px = low - room, high + room, start_px, end_px

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start_px + share * (self.end_px - self.start_px), 1)

    def marks(self, count: int) -> list[float]:
        return [round(mark, 10) for mark in ticks(self.low, self.high, count)]


def _svg(width: int, height: int, name: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class="chart" role="img" aria-label="{plain(name)}" {size}>{"".join(parts)}</svg>'


def _title(name: str) -> str:
    return f'<text x="10" y="16" class="title">{plain(name)}</text>'


def _row_name(row: str, at: float) -> str:
    return f'<text x="{LABEL - 8}" y="{at}" class="y"><title>{plain(row)}</title>{plain(row, NAME)}</text>'


def intervals(column: Column, scores: Mapping[str, Score], kind: Mapping[str, str]) -> str:
    """A line for each row with a value: a dot, its interval as a bar. Nothing where there are not two to compare."""
    scores = {row: score for row, score in scores.items() if not math.isnan(score.value)}
    ends = [end for score in scores.values() for end in (score.value, score.low, score.high) if math.isfinite(end)]
    if not ends or len(scores) < 2:
        return ""
    height = TOP + LINE * len(scores) + BOTTOM
    x = _Scale([0.0, 1.0] if column.unit == SHARE else ends, LABEL, WIDTH - RIGHT)
    parts = [_title(heading(column)), *_upright(x, TOP, height - BOTTOM, 5)]
    if column.better == "zero" and x.low < 0 < x.high:
        parts.append(f'<line x1="{x(0)}" x2="{x(0)}" y1="{TOP}" y2="{height - BOTTOM}" class="bound"/>')
    for place, (row, score) in enumerate(scores.items()):
        at = TOP + LINE * (place + 0.5)
        parts.append(_row_name(row, at + 3.5))
        parts.append(_interval(score, x, at, kind[row]))
    return _svg(WIDTH, height, f"{column.key}: intervals", parts)


def _interval(score: Score, x: _Scale, at: float, kind: str) -> str:
    value, interval = told(score)
    hint = f"<title>{value} {interval} n {score.n:,}</title>"
    if math.isinf(score.value):
        edge, anchor = (x.end_px, "end") if score.value > 0 else (x.start_px, "start")
        return f'<text x="{edge}" y="{at + 3.5}" text-anchor="{anchor}" class="inf">{hint}{figure(score.value)}</text>'
    bar = ""
    if not (math.isnan(score.low) or math.isnan(score.high)):
        low, high = x(score.low), x(score.high)
        bar = f'<line x1="{low}" x2="{high}" y1="{at}" y2="{at}" class="bar {kind}"/>'
    return f"<g>{hint}{bar}{_dot(x(score.value), at, kind)}</g>"


def _upright(x: _Scale, top: float, bottom: float, count: int) -> list[str]:
    parts = []
    for mark in x.marks(count):
        parts.append(f'<line x1="{x(mark)}" x2="{x(mark)}" y1="{top}" y2="{bottom}" class="grid"/>')
        parts.append(f'<text x="{x(mark)}" y="{bottom + 15}" class="x">{number(mark)}</text>')
    return parts


def mean_curves(films: Sequence[Film], name: str, rows: Sequence[str]) -> dict[str, list[float]]:
    """row -> mean over its films of the distance at each shift; of films whose curve has the usual length."""
    held: dict[str, list[Sequence[float]]] = {}
    for film in films:
        if film.curves.get(name):
            held.setdefault(film.row, []).append(film.curves[name])
    lengths = Counter(len(curve) for curves in held.values() for curve in curves)
    usual = lengths.most_common(1)[0][0] if lengths else 0
    found = {}
    for row in rows:
        curves = [curve for curve in held.get(row, ()) if len(curve) == usual]
        means = [_mean(values) for values in zip(*curves, strict=True)]
        if any(map(math.isfinite, means)):
            found[row] = means
    return found


def _mean(values: Sequence[float]) -> float:
    """Of the finite ones: short films have no distance at far shifts."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def curve_chart(name: str, curves: Mapping[str, Sequence[float]], kind: Mapping[str, str]) -> str:
    """Mean distance by offset (frames), a line a row: it dips where the offset is. An offset is a shift with the other
    sign (`joyvasa.eval.sync`)."""
    reach = len(next(iter(curves.values()))) // 2
    x = _Scale([-reach, reach], 46, WIDE - RIGHT, pad=0.02)
    y = _Scale([value for curve in curves.values() for value in curve if math.isfinite(value)], TALL - 40, TOP)
    parts = [_title("mean distance by offset"), *_upright(x, TOP, TALL - 40, 7)]
    for mark in y.marks(5):
        parts.append(f'<line x1="46" x2="{WIDE - RIGHT}" y1="{y(mark)}" y2="{y(mark)}" class="grid"/>')
        parts.append(f'<text x="40" y="{y(mark) + 3.5}" class="y">{number(mark)}</text>')
    for row, curve in curves.items():
        finite = [(reach - place, value) for place, value in enumerate(curve) if math.isfinite(value)]
        points = " ".join(f"{x(offset)},{y(value)}" for offset, value in finite)
        parts.append(f'<polyline points="{points}" class="curve {kind[row]}"><title>{plain(row)}</title></polyline>')
    parts.append(f'<text x="{WIDE - RIGHT}" y="{TALL - 8}" class="last">frames</text>')
    return _svg(WIDE, TALL, f"{name}: distance by offset", parts)


def offset_chart(column: Column, films: Sequence[Film], rows: Sequence[str], kind: Mapping[str, str]) -> str:
    """How often each offset came up, a band a row; nothing where no film has one."""
    counts: dict[str, Counter[int]] = {row: Counter() for row in rows}
    for film in films:
        value = film.values.get(column.key, math.nan)
        if film.row in counts and math.isfinite(value):
            counts[film.row][min(max(round(value), -FARTHEST), FARTHEST)] += 1
    held = {row: count for row, count in counts.items() if count}
    if not held:
        return ""
    reach = max(3, max(abs(offset) for count in held.values() for offset in count))
    x, height = _Scale([-reach - 0.5, reach + 0.5], LABEL, WIDE - RIGHT, pad=0), TOP + BAND * len(held) + BOTTOM
    parts = [_title("offsets of the films (frames)"), *_upright(x, TOP, height - BOTTOM, 7)]
    step = x(1) - x(0)
    for place, (row, count) in enumerate(held.items()):
        bottom = TOP + BAND * (place + 1)
        parts.append(_row_name(row, bottom - BAND / 2 + 5))
        parts.append(f'<line x1="{LABEL}" x2="{WIDE - RIGHT}" y1="{bottom}" y2="{bottom}" class="grid"/>')
        for offset, films_there in sorted(count.items()):
            tall = max(1.5, round(films_there / max(count.values()) * (BAND - 6), 1))
            size = f'x="{x(offset) - step * 0.4:.1f}" y="{bottom - tall:.1f}" width="{step * 0.8:.1f}" height="{tall}"'
            hint = f"<title>{plain(row)}: {films_there:,} of {count.total():,} at {offset}</title>"
            parts.append(f'<rect {size} class="mass {kind[row]}">{hint}</rect>')
    return _svg(WIDE, height, f"{column.key}: offsets", parts)
