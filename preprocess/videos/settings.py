"""The settings of source=videos, one record a stage; their numbers are in conf/source/videos.yaml and conf/filters."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from joyvasa.faces.crop import CropSpec

LEAST_SIDE = 64  # pixels: smaller frames hold no face


def _check(record: Any, group: str, **bounds: tuple[float, float]) -> None:
    """Raises ValueError where a field that is a number holds none, or one outside its bounds (0 to infinity)."""
    for field in fields(record):
        value, whole = getattr(record, field.name), field.type.startswith("int")
        if field.type.split()[0] not in ("int", "float") or (value is None and "None" in field.type):
            continue
        low, high = bounds.get(field.name, (0.0, math.inf))
        kind = int if whole else (int, float)
        if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
            expected = f"{'a whole number' if whole else 'a number'} from {low:g}" + (
                "" if high == math.inf else f" to {high:g}"
            )
            raise ValueError(f"{group}.{field.name}={value!r} (expected {expected})")


SHARE = (0.0, 1.0)
LEAST = 1e-6  # for what must be more than 0


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """fps_limit: above it every other frame is taken (of 60, 30; of 120, every fourth). max_side: pixels; larger frames
    are made smaller. decord_mb: the largest film, as decoded frames, that decord reads; it holds all of a film that is
    read slowly. span_seconds: a longer film is worked on in spans."""

    fps_limit: float
    max_side: int
    decord_mb: int
    span_seconds: float

    def __post_init__(self) -> None:
        _check(self, "source.settings.decoding")
        if self.fps_limit <= 0 or self.max_side < LEAST_SIDE or self.span_seconds <= 0:
            raise ValueError(f"{self} (expected rates and seconds above 0, max_side of {LEAST_SIDE} or more)")


@dataclass(frozen=True, kw_only=True)
class Following:
    """detector: as joyvasa.faces.detect. detect_seconds: from one look to the next. lost_seconds: unseen for longer,
    the track ends. smoothing_seconds: deviation of the Gaussian over the square's path. rival: area of another face, as
    a share of the followed one's, from which it counts."""

    detector: str
    detect_seconds: float
    lost_seconds: float
    smoothing_seconds: float
    rival: float

    def __post_init__(self) -> None:
        _check(self, "source.settings.following", rival=(LEAST, math.inf))


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Thresholds. A piece is min_seconds to max_seconds long; a longer track is cut in equal parts.

    min_fps: kept frames a second; the last frame of a track counts for 1 / min_fps seconds at most. min_face_px:
    shorter side of the face's box. min_sharpness: see sharpness.py. max_rivals, max_missed: shares of the looks.
    min_loudness_db: of the loudest tenth, below full scale. max_clipped: share of samples at the peak. min_speech:
    share of the time. max_yaw_deg, max_pitch_deg: of 95 % of the frames. max_jitter: see filters.jitter.
    sync: a sync expert that says whether lips and voice belong together, see sync.py; None: nobody is asked.
    max_sync_lag: frames. min_sync_confidence: on the scale of that expert.
    """

    min_seconds: float
    max_seconds: float
    min_fps: float
    min_face_px: float
    min_sharpness: float
    max_rivals: float
    max_missed: float
    min_loudness_db: float
    max_clipped: float
    min_speech: float
    max_yaw_deg: float
    max_pitch_deg: float
    max_jitter: float
    sync: str | None
    max_sync_lag: int
    min_sync_confidence: float

    def __post_init__(self) -> None:
        shares = dict.fromkeys(("max_missed", "max_clipped", "min_speech"), SHARE)
        _check(self, "filters", min_loudness_db=(-math.inf, 0.0), **shares)
        if not 0 < self.min_seconds <= self.max_seconds:
            raise ValueError(
                f"filters.min_seconds={self.min_seconds}, filters.max_seconds={self.max_seconds} "
                "(expected 0 < min_seconds <= max_seconds)"
            )
        if not self.min_fps > 0:
            raise ValueError(f"filters.min_fps={self.min_fps} (expected more than 0)")


@dataclass(frozen=True, kw_only=True)
class Extracting:
    """weights: of M, as joyvasa.models.liveportrait.load takes them. precision: auto, or by name. crop: what M
    sees of a frame (its size is M's own). still: the crop stands still through a piece in which the face's centre stays
    within this share of the square's side; else it follows the smoothed path. batch_size: frames at once;
    None: what suits the device."""

    weights: str
    species: str
    precision: str
    batch_size: int | None
    crop: CropSpec
    still: float

    def __post_init__(self) -> None:
        _check(self, "source.settings.extracting", batch_size=(1, math.inf))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The picture of the render/ group: the cut around the face in the most frontal frame, and its JPEG quality; film:
    whether validation clips get one, of that crop, and its constant rate factor."""

    crop: CropSpec
    quality: int
    film: bool
    crf: int

    def __post_init__(self) -> None:
        _check(self, "source.settings.reference", quality=(1, 100), crf=(0, 51))


@dataclass(frozen=True, kw_only=True)
class Settings:
    decoding: Decoding
    following: Following
    filters: Filters
    extracting: Extracting
    reference: Reference


def fingerprint(*parts: Any) -> str:
    """16 letters that change with any number in these records (dataclasses, dictionaries, strings)."""
    plain = [part if isinstance(part, (str, dict, list)) else asdict(part) for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
