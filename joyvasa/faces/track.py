"""One face followed through a video: detection, overlap from frame to frame, gaps filled, jitter smoothed away.

Frames are taken one by one and not kept. Smoothing looks as far ahead as back (zero phase): a running mean would leave
the crop behind a moving head. Shape suffixes: T frames, N landmarks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from joyvasa.faces.choose import choose_face
from joyvasa.faces.crop import FaceSquare, face_square
from joyvasa.faces.face import Detector, Face, check_image, overlap

THUMBNAIL = (48, 48)
CUT_LEVEL = 28.0  # mean grey levels between thumbnails: lively heads stayed below 21, cuts were above 37
SAME_FACE = 0.3  # overlap of a face with itself at the last detection
LOST_FRAMES = 50  # unseen for so long, the face is chosen anew
MEDIAN = 5  # detections: a single false box among them does not move the track


@dataclass(eq=False)
class Segment:
    """Frames [start, stop) of one shot. sought: where the detector looked. found: frame -> face, where it was seen."""

    start: int
    stop: int
    found: dict[int, Face] = field(default_factory=dict)
    sought: set[int] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Track:
    """faces: one for every frame, with `square` set. segments: the shots, as ranges of frames.

    sought, missed: frames in which the detector looked, and in which it did not see this face (filled in).
    """

    faces: list[Face]
    segments: tuple[range, ...]
    sought: int
    missed: int

    @property
    def note(self) -> str:
        shots = f", {len(self.segments)} shots" if len(self.segments) > 1 else ""
        return f"{len(self.faces)} frames{shots}; face sought in {self.sought}, filled in for {self.missed}"


def track_faces(
    frames: Iterable[np.ndarray],
    detector: Detector,
    *,
    wanted: int | None,
    every: int,
    smoothing_frames: float,
    where: str,
) -> Track:
    """Follow one face through uint8 RGB (H, W, 3) frames of one size.

    wanted: which face at the start of each shot, counted from the left from 1; None: the largest. every: frames from
    one detection to the next. smoothing_frames: standard deviation of the Gaussian over time; 0: none.
    Raises ValueError, naming `where`, for a video without frames, and for a shot in which the face is never seen.
    """
    segments = follow(frames, detector, wanted=wanted, every=every, where=where)
    if not segments:
        raise ValueError(f"{where}: no frame (expected at least one)")
    faces: list[Face] = []
    for segment in segments:
        if not segment.found:
            shot = f"frames {segment.start} to {segment.stop - 1}" if len(segments) > 1 else "the video"
            lacking = "no face" if wanted is None else f"no {wanted} faces at once"
            raise ValueError(
                f"{where}: {lacking} seen in {shot} by {detector.name}; cut such shots out, or use a video in which "
                "the face looks towards the camera"
            )
        faces += fill(segment, smoothing_frames)
    sought = sum(len(each.sought) for each in segments)
    missed = sought - sum(len(each.found) for each in segments)
    return Track(faces, tuple(range(each.start, each.stop) for each in segments), sought, missed)


def follow(
    frames: Iterable[np.ndarray], detector: Detector, *, wanted: int | None, every: int, where: str
) -> list[Segment]:
    """What is seen of one face, shot by shot: in every `every`-th frame, and in the first and last of a shot.

    A frame in which it is not seen is followed by another attempt. Arguments and errors as `track_faces`.
    """
    if every < 1:
        raise ValueError(f"every={every} frames (expected at least 1)")
    segments: list[Segment] = []
    before, due = None, 0  # the frame before, with its thumbnail: that it was a shot's last shows one frame later
    look = partial(_look, detector, wanted, where)
    for index, frame in enumerate(frames):
        check_image(frame, f"{where}, frame {index}")
        thumbnail = _thumbnail(frame)
        if before is None or np.abs(thumbnail - before[1]).mean() > CUT_LEVEL:
            if segments:
                look(segments[-1], before[0], index - 1)
            segments.append(Segment(index, index))
            due = index
        segments[-1].stop = index + 1
        before = frame, thumbnail
        if index >= due and look(segments[-1], frame, index):
            due = index + every
    if segments:
        look(segments[-1], before[0], segments[-1].stop - 1)
    return segments


def _look(detector: Detector, wanted: int | None, where: str, shot: Segment, frame: np.ndarray, index: int) -> bool:
    """Seek the face in a frame of the shot, unless that was done; whether it is there."""
    if index not in shot.sought:
        shot.sought.add(index)
        face = _same(detector.detect(frame), shot.found, index, wanted, f"{where}, frame {index}")
        if face is not None:
            shot.found[index] = face
    return index in shot.found


def _same(seen: list[Face], found: dict[int, Face], index: int, wanted: int | None, where: str) -> Face | None:
    """Which of the faces seen is the one followed; None where it is not among them."""
    last = next(reversed(found), None)
    if last is None or index - last > LOST_FRAMES:
        return choose_face(seen, wanted, where) if len(seen) >= (wanted or 1) else None
    if not seen:
        return None
    nearest = max(seen, key=lambda face: overlap(face, found[last]))
    return nearest if overlap(nearest, found[last]) >= SAME_FACE else None


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    small = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def fill(segment: Segment, smoothing_frames: float) -> list[Face]:
    """A face for every frame of a segment: between detections on a straight line, before and after them standing still.

    Landmarks are filled in and not smoothed: a blink is shorter than any smoothing that helps the crop.
    """
    at, seen = list(segment.found), list(segment.found.values())
    times_T = np.arange(segment.start, segment.stop)
    rows = np.array([_numbers(face, face_square(face)) for face in seen])
    rows[:, ROLL] = np.rad2deg(np.unwrap(np.deg2rad(rows[:, ROLL])))
    if len(rows) >= MEDIAN:
        rows = median_filter(rows, size=(MEDIAN, 1), mode="nearest")
    tracks = smooth(_between(times_T, at, rows), smoothing_frames)
    landmarks = _landmarks(times_T, at, seen)
    scores = _between(times_T, at, np.array([[face.score] for face in seen]))[:, 0]
    return [
        _face(row, float(score), seen[0].detector, None if landmarks is None else landmarks[index])
        for index, (row, score) in enumerate(zip(tracks, scores, strict=True))
    ]


def smooth(values: np.ndarray, frames: float) -> np.ndarray:
    """Gaussian over time (axis 0), without lag; straight lines stay what they are, up to the ends."""
    if frames <= 0 or len(values) < 2:
        return values
    pad = min(len(values) - 1, int(np.ceil(4 * frames)))
    head = 2 * values[:1] - values[pad:0:-1]
    tail = 2 * values[-1:] - values[-2 : -pad - 2 : -1]
    padded = np.concatenate([head, values, tail])
    return gaussian_filter1d(padded, frames, axis=0, mode="nearest")[pad : pad + len(values)]


# Of a row: middle of the box, logarithms of its sides, middle and logarithm of the side of the square, roll.
BOX, SQUARE, ROLL = slice(0, 4), slice(4, 7), 7


def _numbers(face: Face, square: FaceSquare) -> list[float]:
    sides = np.log([face.box[2], face.box[3], square.side])
    return [*face.centre, sides[0], sides[1], *square.centre, sides[2], square.roll_deg]


def _face(row: np.ndarray, score: float, detector: str, landmarks: np.ndarray | None) -> Face:
    x, y = row[BOX][:2]
    width, height = np.exp(row[BOX][2:])
    centre_x, centre_y, side = (*row[SQUARE][:2], np.exp(row[SQUARE][2]))
    box = tuple(float(number) for number in (x - width / 2, y - height / 2, width, height))
    square = (float(centre_x), float(centre_y), float(side))
    return Face(box, float(row[ROLL]), score, detector, landmarks, square)


def _between(times_T: np.ndarray, at: list[int], rows: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(times_T, at, column) for column in rows.T], axis=1)


def _landmarks(times_T: np.ndarray, at: list[int], seen: list[Face]) -> np.ndarray | None:
    """(T, N, 2), or None where a detection has none or another number."""
    if len({None if face.landmarks is None else len(face.landmarks) for face in seen}) > 1 or seen[0].landmarks is None:
        return None
    points = np.stack([face.landmarks for face in seen])
    return _between(times_T, at, points.reshape(len(seen), -1)).reshape(len(times_T), -1, 2)
