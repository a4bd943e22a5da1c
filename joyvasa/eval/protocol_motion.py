"""The protocol of motion scores: its parameters are the constants of the modules that compute them."""

from __future__ import annotations

from joyvasa.eval import beats, closeness, distribution, lips, reference, smoothness
from joyvasa.eval.protocol_fields import Beats, Motion
from joyvasa.motion import EYES, FPS, LIPS

BEATS = Beats(
    sigma_seconds=beats.SIGMA_SECONDS, max_lag=beats.MAX_LAG, smooth_frames=beats.SMOOTH_FRAMES, depth=beats.DEPTH,
    still=beats.STILL, hop=beats.HOP, bands=beats.BANDS, range_db=beats.RANGE_DB, rise_over=beats.LAG,
    smooth_hops=beats.SMOOTH_HOPS, rise=beats.RISE, apart_hops=beats.APART_HOPS, silent=beats.SILENT,
    chance_shifts=beats.CHANCE_SHIFTS,
)  # fmt: skip
MOTION = Motion(
    metric="motion", name="motion", revision=1, frame_rate=FPS, lips=tuple(map(int, LIPS)), eyes=tuple(map(int, EYES)),
    pose=tuple(map(int, reference.POSE)), components=reference.COMPONENTS,
    opening_percentiles=(reference.OPENING_LOW, reference.OPENING_HIGH), blink_percentile=reference.BLINK_PERCENTILE,
    max_shift=lips.MAX_SHIFT, min_sync_frames=lips.MIN_SYNC_FRAMES, still=lips.STILL,
    bilabials=tuple(sorted(lips.BILABIALS)), pauses=tuple(sorted(lips.PAUSES)), min_pause_frames=lips.MIN_PAUSE_FRAMES,
    tolerance=lips.TOLERANCE, pause_margin=lips.PAUSE_MARGIN, merge_gap=lips.MERGE_GAP, level=lips.LEVEL,
    prominence=lips.PROMINENCE, min_range=lips.MIN_RANGE, window=distribution.WINDOW, hop=distribution.HOP,
    min_windows=distribution.MIN_WINDOWS, jerk_order=smoothness.JERK_ORDER, join_reach=smoothness.JOIN_REACH,
    least_jerk=smoothness.LEAST_JERK, closeness=closeness.FORM, beats=BEATS,
)  # fmt: skip
