"""One face followed through a video: detection, overlap from frame to frame, short gaps filled, jitter smoothed away.

Where the face is not seen for long it is gone (gaps.py), and nothing is to be painted there. Frames are taken one by
one and not kept. Smoothing looks as far ahead as back (zero phase): a running mean would leave the crop behind a moving
head. Shape suffixes: T frames, N landmarks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from joyvasa.faces.choose import choose_face
from joyvasa.faces.crop import face_square
from joyvasa.faces.face import Detector, Face, check_image
from joyvasa.faces.follow import Follower
from joyvasa.faces.gaps import find_gaps

THUMBNAIL = (48, 48)
CUT_LEVEL = 28.0  # mean grey levels between thumbnails: lively heads stayed below 21, cuts were above 34
FLAT = 6.0  # grey levels between the lightest and the darkest of a line: less is a bar beside or above a picture
SAME_SCENE = 0.55  # correlation of thumbnails: lively heads stayed above 0.62, cuts were below 0.52
SAME_FACE = 0.3  # overlap of a face with itself at the last detection
LOST_FRAMES = 50  # unseen for so long, the face is chosen anew
MEDIAN = 5  # detections: a single false box among them does not move the track
# How far a false box is from the median: shares of the square's side, and its logarithm. Shaken heads stay below 0.35.
FALSE_SHIFT, FALSE_GROWTH = 0.4, 0.2


@dataclass(eq=False)
class Segment:
    """Frames [start, stop) of one shot.

    sought: where the detector looked. found: frame -> face, where it was seen. too_small: the largest face that was
    left out for its size.
    """

    start: int
    stop: int
    found: dict[int, Face] = field(default_factory=dict)
    sought: set[int] = field(default_factory=set)
    too_small: Face | None = None


@dataclass(frozen=True, eq=False)
class Track:
    """What became of one face in a video.

    faces: one for every frame, with `square` set. segments: the shots, as ranges of frames. gaps: the frames in which
    the face is gone, none of which crosses a shot's end; their `faces` only say where a crop would be.
    sought, missed: frames in which the detector looked, and in which it did not see this face. filled: those of them
    that lie outside the gaps.
    """

    faces: list[Face]
    segments: tuple[range, ...]
    gaps: tuple[range, ...]
    sought: int
    missed: int
    filled: int

    @property
    def note(self) -> str:
        shots = f", {len(self.segments)} shots" if len(self.segments) > 1 else ""
        return f"{len(self.faces)} frames{shots}; face sought in {self.sought}, filled in for {self.filled}"


def track_faces(
    frames: Iterable[np.ndarray],
    detector: Detector,
    *,
    wanted: int | None,
    every: int,
    smoothing_frames: float,
    longest_gap: float,
    where: str,
) -> Track:
    """Follow one face through uint8 RGB (H, W, 3) frames of one size.

    Args:
        frames: of the video, in order.
        detector: finds the faces of one frame.
        wanted: which face at the start of each shot, counted from the left from 1; None: the largest.
        every: frames from one detection to the next.
        smoothing_frames: standard deviation of the Gaussian over time; 0: none.
        longest_gap: frames for which the face may be unseen, by the detections, and is filled in; where it is unseen
            for longer, and in shots without it, it is gone.
        where: the video's name, for errors.

    Returns:
        The track.

    Raises:
        ValueError: naming `where`, for a video without frames, and for one in which the face is never seen.
    """
    segments = follow(frames, detector, wanted=wanted, every=every, where=where)
    if not segments:
        raise ValueError(f"{where}: no frame (expected at least one)")
    if not any(segment.found for segment in segments):
        too_small = [segment.too_small for segment in segments if segment.too_small is not None]
        if too_small:
            choose_face([max(too_small, key=lambda face: face.area)], None, where)  # raises, saying how small
        lacking = "no face" if wanted is None else f"no {wanted} faces at once"
        raise ValueError(
            f"{where}: {lacking} seen in the video by {detector.name}; use a video in which the face looks towards "
            "the camera"
        )
    faces: list[Face] = []
    gaps: list[range] = []
    unplaced = 0  # frames at the video's start, in shots without the face, that take the first place it is seen at
    for segment in segments:
        length = segment.stop - segment.start
        missing = find_gaps(range(segment.start, segment.stop), segment.sought, segment.found, longest_gap)
        gaps += missing
        if segment.found:
            faces += fill(segment, missing, smoothing_frames)
        elif faces:
            faces += [faces[-1]] * length
        else:
            unplaced += length
    faces = [faces[0]] * unplaced + faces
    sought = sum(len(segment.sought) for segment in segments)
    missed = set().union(*(segment.sought - segment.found.keys() for segment in segments))
    filled = missed.difference(*gaps)
    shots = tuple(range(segment.start, segment.stop) for segment in segments)
    return Track(faces, shots, tuple(gaps), sought, len(missed), len(filled))


def follow(
    frames: Iterable[np.ndarray], detector: Detector, *, wanted: int | None, every: int, where: str
) -> list[Segment]:
    """What is seen of one face, shot by shot: in every `every`-th frame, and in the first and last of a shot.

    A frame in which it is not seen is followed by another attempt. Arguments and errors as `track_faces`.
    """
    if every < 1:
        raise ValueError(f"every={every} frames (expected at least 1)")
    segments: list[Segment] = []
    follower = Follower(wanted, same_face=SAME_FACE, lost_frames=LOST_FRAMES)
    due = 0
    for index, frame, opens, closes in in_shots(frames, where):
        if opens:
            segments.append(Segment(index, index))
            follower = Follower(wanted, same_face=SAME_FACE, lost_frames=LOST_FRAMES)
            due = index
        shot = segments[-1]
        shot.stop = index + 1
        if index >= due or closes:
            shot.sought.add(index)
            if follower.look(index, detector.detect(frame)):
                due = index + every
        if closes:
            shot.found = follower.sightings()
            shot.too_small = follower.too_small
    return segments


Moment = tuple[int, np.ndarray, bool, bool]  # index, frame, whether it opens a shot, whether it closes one


def in_shots(frames: Iterable[np.ndarray], where: str) -> Iterator[Moment]:
    """The moments of a film of uint8 RGB (H, W, 3) frames, as `Shots` tells them."""
    shots = Shots(where)
    for frame in frames:
        yield from shots.add(frame)
    yield from shots.end()


class Shots:
    """Where shots open and close, of frames that are given one by one.

    That a frame closes a shot shows by the next one: two frames are held.
    """

    def __init__(self, where: str) -> None:
        self._where, self._index = where, 0
        self._before: tuple[np.ndarray, np.ndarray, bool] | None = None

    def add(self, frame: np.ndarray) -> list[Moment]:
        """Raises ValueError for another kind of array than uint8 RGB (H, W, 3)."""
        check_image(frame, f"{self._where}, frame {self._index}")
        thumbnail, before = _thumbnail(frame), self._before
        opens = before is None or _is_cut(before[1], thumbnail)
        self._before, self._index = (frame, thumbnail, opens), self._index + 1
        return [] if before is None else [(self._index - 2, before[0], before[2], opens)]

    def end(self) -> list[Moment]:
        before, self._before = self._before, None
        return [] if before is None else [(self._index - 1, before[0], before[2], True)]


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    small = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _is_cut(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two thumbnails in a row are of different scenes; bars around a small picture hide nothing."""
    if np.abs(one - other).mean() > CUT_LEVEL:
        return True
    inside = np.ix_(*(np.maximum(np.ptp(one, axis=axis), np.ptp(other, axis=axis)) > FLAT for axis in (1, 0)))
    one, other = one[inside], other[inside]
    if one.size == 0 or np.abs(one - other).mean() <= CUT_LEVEL:
        return False
    one, other = (
        one - one.mean(),
        other - other.mean(),
    )  # before a plain wall the head is all there is, and may be lively
    return float((one * other).sum()) < SAME_SCENE * float(np.sqrt(np.square(one).sum() * np.square(other).sum()))


def fill(segment: Segment, gaps: Sequence[range], smoothing_frames: float) -> list[Face]:
    """A face for every frame of a segment: between detections on a straight line, before and after them standing still.

    Landmarks are filled in and not smoothed: a blink is shorter than any smoothing that helps the crop. The path is
    smoothed between the gaps alone: where the face comes back says nothing about how it left.
    """
    at, seen = list(segment.found), list(segment.found.values())
    rows_L8 = np.array([numbers(face) for face in seen])
    times_T = np.arange(segment.start, segment.stop)
    path_T8 = np.full((len(times_T), rows_L8.shape[1]), np.nan)
    for stretch in _stretches(segment, gaps):
        inside = [place for place, index in enumerate(at) if index in stretch]
        path = path_of(np.array(stretch), np.array(at)[inside], rows_L8[inside], smoothing_frames)
        path_T8[stretch.start - segment.start : stretch.stop - segment.start] = path
    known = ~np.isnan(path_T8[:, 0])
    path_T8 = between(times_T, times_T[known], path_T8[known])
    landmarks = _landmarks(times_T, at, seen)
    scores = between(times_T, at, np.array([[face.score] for face in seen]))[:, 0]
    return [
        _face(row, float(score), seen[0].detector, None if landmarks is None else landmarks[index])
        for index, (row, score) in enumerate(zip(path_T8, scores, strict=True))
    ]


def _stretches(segment: Segment, gaps: Sequence[range]) -> list[range]:
    """The parts of a segment that lie between its gaps."""
    starts = [segment.start, *(gap.stop for gap in gaps)]
    stops = [*(gap.start for gap in gaps), segment.stop]
    return [range(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def path_of(times_T: np.ndarray, at_L: np.ndarray, rows_L8: np.ndarray, smoothing_frames: float) -> np.ndarray:
    """`numbers` of what was seen at the times at_L -> (T, 8): single false ones taken out, filled in, smoothed."""
    rows = rows_L8.copy()
    rows[:, ROLL] = np.rad2deg(np.unwrap(np.deg2rad(rows[:, ROLL])))
    return smooth(between(times_T, at_L, _steady(rows)), smoothing_frames)


def _steady(rows_L8: np.ndarray) -> np.ndarray:
    """Medians of sides and roll, which change slowly, and of the places of false boxes; other places stay: a median
    would leave the square behind a head that shakes."""
    if len(rows_L8) < MEDIAN:
        return rows_L8
    medians = median_filter(rows_L8, size=(MEDIAN, 1), mode="nearest")
    off = rows_L8[:, SQUARE] - medians[:, SQUARE]
    shift = np.hypot(off[:, 0], off[:, 1]) / np.exp(medians[:, SQUARE][:, 2])
    true = (shift <= FALSE_SHIFT) & (np.abs(off[:, 2]) <= FALSE_GROWTH)
    medians[np.ix_(true, CENTRES)] = rows_L8[np.ix_(true, CENTRES)]
    return medians


def squares_of(path_T8: np.ndarray) -> np.ndarray:
    """A path -> (T, 4): centre x, y and side of the square, roll in degrees."""
    return np.column_stack([path_T8[:, SQUARE][:, :2], np.exp(path_T8[:, SQUARE][:, 2]), path_T8[:, ROLL]])


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
CENTRES = (0, 1, 4, 5)


def numbers(face: Face) -> list[float]:
    """The row of a face. Raises as `face_square`."""
    square = face_square(face)
    sides = np.log([face.box[2], face.box[3], square.side])
    return [*face.centre, sides[0], sides[1], *square.centre, sides[2], square.roll_deg]


def _face(row: np.ndarray, score: float, detector: str, landmarks: np.ndarray | None) -> Face:
    x, y = row[BOX][:2]
    width, height = np.exp(row[BOX][2:])
    centre_x, centre_y, side = (*row[SQUARE][:2], np.exp(row[SQUARE][2]))
    box = tuple(float(number) for number in (x - width / 2, y - height / 2, width, height))
    square = (float(centre_x), float(centre_y), float(side))
    return Face(box, float(row[ROLL]), score, detector, landmarks, square)


def between(times_T: np.ndarray, at_L: Sequence[float], rows: np.ndarray) -> np.ndarray:
    """Rows (L, C) known at the times at_L -> (T, C): on straight lines, held before the first and behind the last."""
    return np.stack([np.interp(times_T, at_L, column) for column in rows.T], axis=1)


def _landmarks(times_T: np.ndarray, at: list[int], seen: list[Face]) -> np.ndarray | None:
    """(T, N, 2), or None where a detection has none or another number."""
    if len({None if face.landmarks is None else len(face.landmarks) for face in seen}) > 1 or seen[0].landmarks is None:
        return None
    points = np.stack([face.landmarks for face in seen])
    return between(times_T, at, points.reshape(len(seen), -1)).reshape(len(times_T), -1, 2)
