"""Following one face at a time, from look to look, and what becomes of it: tracks.

Shape suffixes: T frames, L looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from joyvasa.faces.crop import face_square
from joyvasa.faces.face import Face, overlap
from joyvasa.faces.ratios import LANDMARKS, eye_ratio, lip_ratio
from joyvasa.faces.track import SAME_FACE, between, numbers, path_of, squares_of
from preprocess.videos.records import FaceTrack
from preprocess.videos.settings import Following
from preprocess.videos.sharpness import sharpness

HALF = 0.5  # of the looks around one


@dataclass(eq=False)
class _Sighting:
    """One face while it is followed: what each look gave since it was first seen. Frames are counted in the span."""

    face: Face
    looks: list[int] = field(default_factory=list)
    rival: list[bool] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    ratios: list[np.ndarray | None] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    outgrown: int | None = None  # first of the looks in a row at which another face was much larger

    def look(self, index: int, frame: np.ndarray, faces: list[Face], rival: float) -> None:
        """Note a look at kept frame `index`, in which `faces` were seen."""
        same = max(faces, key=lambda face: overlap(face, self.face), default=None)
        if same is not None and overlap(same, self.face) < SAME_FACE:
            same = None
        if same is not None:
            self.face = same
            square = face_square(same)
            self.seen.append(index)
            self.rows.append(np.array(numbers(same)))
            self.ratios.append(_ratios(same))
            self.sharpness.append(sharpness(frame, np.array([*square.centre, square.side])))
        others = max((face.area for face in faces if face is not same), default=0.0) / self.face.area
        self.looks.append(index)
        self.rival.append(others >= rival)
        self.outgrown = None if others <= 1 / rival else index if self.outgrown is None else self.outgrown


class Scout:
    """Follows one face at a time through a span; frames are counted in the span, tracks in the film."""

    def __init__(self, times_T: np.ndarray, start: int, following: Following):
        self.times_T, self.start, self.following = times_T, start, following
        interval = float(np.median(np.diff(times_T))) if len(times_T) > 1 else 1.0
        self.smoothing_frames = following.smoothing_seconds / interval
        self.step = following.detect_seconds - interval / 2  # so that 0.08 s are two frames at 25 and at 30 a second
        self.tracks: list[FaceTrack] = []
        self.sighting: _Sighting | None = None
        self.shot, self.looked, self.fresh = 0, -np.inf, True

    def enter(self, index: int) -> None:
        """A shot begins."""
        self.shot, self.looked, self.fresh = index, -np.inf, True

    def is_due(self, index: int) -> bool:
        return self.times_T[index] - self.looked >= self.step

    def look(self, index: int, frame: np.ndarray, faces: list[Face]) -> None:
        self.looked = self.times_T[index]
        if self.sighting is not None:
            self.sighting.look(index, frame, faces, self.following.rival)
            self._end_if_lost(index)
        if self.sighting is None and faces:
            self.sighting = _Sighting(max(faces, key=lambda face: face.area))
            self.sighting.look(index, frame, faces, self.following.rival)

    def leave(self, index: int) -> None:
        """Frame `index` closes a shot: the face is taken to stay where it was seen a moment ago."""
        if self.sighting is not None:
            self._end(index + 1)

    def _end_if_lost(self, index: int) -> None:
        sighting, now, patience = self.sighting, self.times_T[index], self.following.lost_seconds
        if now - self.times_T[sighting.seen[-1]] > patience:
            self._end(sighting.seen[-1] + 1)
        elif sighting.outgrown is not None and now - self.times_T[sighting.outgrown] > patience:
            self._end(sighting.outgrown)

    def _end(self, stop: int) -> None:
        """Make tracks of the sighting up to frame `stop`; the first of a shot may begin before the face was seen."""
        sighting, self.sighting = self.sighting, None
        start, first = sighting.seen[0], self.times_T[sighting.seen[0]]
        if self.fresh and first - self.times_T[self.shot] <= self.following.lost_seconds:
            start = self.shot
        self.fresh = False
        for part in _parts(sighting, self.times_T, self.following.lost_seconds, start, stop):
            track = self._track(sighting, *part)
            if track is not None:
                self.tracks.append(track)

    def _track(self, sighting: _Sighting, start: int, stop: int) -> FaceTrack | None:
        """Frames [start, stop) of a sighting; None where the face was not seen in any of them."""
        seen_L, looks_L = np.array(sighting.seen), np.array(sighting.looks)
        inside_L = (seen_L >= start) & (seen_L < stop)
        sought_L = (looks_L >= start) & (looks_L < stop)
        if not inside_L.any():
            return None
        times_T, at_L = self.times_T[start:stop], self.times_T[seen_L]
        path_T8 = path_of(times_T, at_L[inside_L], np.array(sighting.rows)[inside_L], self.smoothing_frames)
        dense = all(ratios is not None for ratios in sighting.ratios)
        values_LC = np.column_stack([sighting.sharpness, *([np.array(sighting.ratios)] if dense else [])])
        filled_TC = between(times_T, at_L[inside_L], values_LC[inside_L]).astype(np.float32)
        return FaceTrack(
            start=self.start + start,
            stop=self.start + stop,
            square_T4=squares_of(path_T8).astype(np.float32),
            sharpness_T=filled_TC[:, 0],
            ratios_T3=filled_TC[:, 1:] if dense else None,
            sought=int(sought_L.sum()),
            missed=int(sought_L.sum() - inside_L.sum()),
            face_px=float(np.median([min(np.exp(row[2:4])) for row in np.array(sighting.rows)[inside_L]])),
            rivals=float(np.array(sighting.rival)[sought_L].mean()),
        )


def _parts(sighting: _Sighting, times_T: np.ndarray, seconds: float, start: int, stop: int) -> list[tuple[int, int]]:
    """[start, stop) cut where a rival comes or goes: where half of the looks within `seconds` begin or end to see one.

    Half, because a detector misses a face now and then, and sees one where there is none.
    """
    looks_L, rival_L = np.array(sighting.looks), np.array(sighting.rival, dtype=float)
    at_L = times_T[looks_L]
    low_L, high_L = np.searchsorted(at_L, at_L - seconds), np.searchsorted(at_L, at_L + seconds, side="right")
    total_L = np.concatenate([[0.0], np.cumsum(rival_L)])
    company_L = (total_L[high_L] - total_L[low_L]) > HALF * (high_L - low_L)
    turns = [int(look) for look in looks_L[1:][company_L[1:] != company_L[:-1]] if start < look < stop]
    edges = [start, *turns, stop]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _ratios(face: Face) -> np.ndarray | None:
    """(left eye, right eye, lips), where the face has dense landmarks."""
    if face.landmarks is None or len(face.landmarks) != LANDMARKS:
        return None
    return np.concatenate([eye_ratio(face.landmarks), lip_ratio(face.landmarks)])
