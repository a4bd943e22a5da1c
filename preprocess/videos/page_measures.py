"""The report's histograms: what the filters looked at, beside their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from joyvasa.chart import Bound, histogram, number
from preprocess.videos.page_facts import ClipRow, PageFacts, RejectRow

STYLE = """
.measure{width:340px;max-width:100%}.measure p{color:var(--bound);font-size:12px;margin:0}
@media(max-width:520px){.measure{width:100%}}
"""


@dataclass(frozen=True)
class Measure:
    """A histogram: name of the measure, what is written over it, the fields of Filters that bound it. apart: the
    least span of the axis: values that hardly differ, magnified to the whole of it, would look spread."""

    name: str
    title: str
    apart: float
    low: str | None = None
    high: str | None = None


MEASURES = (
    Measure("seconds", "length · seconds", 1, "min_seconds", "max_seconds"),
    Measure("face_px", "face, shorter side · pixels", 20, low="min_face_px"),
    Measure("sharpness", "sharpness of the face", 0.1, low="min_sharpness"),
    Measure("fps", "pictures a second", 2, low="min_fps"),
    Measure("loudness_db", "loudness · dB", 6, low="min_loudness_db"),
    Measure("speech", "share of the time with speech", 0.1, low="min_speech"),
    Measure("yaw_deg", "yaw, 95th percentile · degrees", 5, high="max_yaw_deg"),
    Measure("pitch_deg", "pitch, 95th percentile · degrees", 5, high="max_pitch_deg"),
    Measure("jitter", "jitter of the motion", 0.1, high="max_jitter"),
    Measure("sync_lag", "lips and voice apart · frames", 2, high="max_sync_lag"),
    Measure("sync_confidence", "confidence that they belong together", 0.1, low="min_sync_confidence"),
)


def histograms(facts: PageFacts) -> str:
    """HTML of all measures that a row has, each with its thresholds below it; empty where none has any."""
    charts = "".join(_chart(measure, facts) for measure in MEASURES)
    if not charts:
        return ""
    key = '<li><i class="k0"></i>written</li><li><i class="lost"></i>left out, where it was measured</li>'
    told = "<li>dashed: the filter's threshold, an arrow where it lies beyond the axis</li>"
    return f'<div class="charts">{charts}</div><ul class="key">{key}{told}</ul>'


def _chart(measure: Measure, facts: PageFacts) -> str:
    groups = [("written", _values(facts.clips, measure)), ("left out", _values(facts.rejected, measure))]
    if not any(values for _, values in groups):
        return ""
    sides = (("at least", measure.low), ("at most", measure.high))
    bounds = [(side, getattr(facts.filters, name)) for side, name in sides if name]
    limits = [Bound(at, "") for _, at in bounds]
    drawn = histogram(measure.title, groups, limits, least_span=measure.apart)
    told = ", ".join(f"{side} {number(at)}" for side, at in bounds)
    return f'<div class="measure">{drawn}<p>{told}</p></div>'


def _values(rows: Sequence[ClipRow] | Sequence[RejectRow], measure: Measure) -> list[float]:
    if measure.name == "seconds":
        return [row.seconds for row in rows if isinstance(row, ClipRow) or row.piece]
    return [row.measures[measure.name] for row in rows if measure.name in row.measures]
