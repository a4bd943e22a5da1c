"""Faces followed as SyncNet's authors do it: one path for every face of a shot, known a few frames behind the film.

Source: `track_shot` and `crop_video` of joonson/syncnet_python (run_pipeline.py); bytedance/LatentSync
(eval/syncnet_detect.py) does the same with a shorter `min_track`. There all boxes of a film are found first. Here a
path grows with the film and gives the same numbers: boxes in gaps lie on straight lines between detections; centres and
half the longer side go through a running median, zeros beyond the path's ends.

Boxes are (left, top, right, bottom) in pixels, x right, y down. K frames of the running median.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from joyvasa.faces.crop import face_square
from joyvasa.faces.face import Detector, Face
from joyvasa.motion import SAMPLES_PER_FRAME

Box = tuple[float, float, float, float]
Look = Callable[[np.ndarray], Sequence[Box]]

# Of the square from brows to chin: what a box of WIDER FACE's annotators frames, from the hairline. S3FD and SCRFD both
# learned from them, so SCRFD's boxes stay; the numbers are those by which joyvasa.faces.crop reads SCRFD's.
WIDER_WIDTH, WIDER_HEIGHT, WIDER_LIFT = 1.0, 1 / 0.77, 0.115
SMALLEST_BOX_PX = 1.0


@dataclass(frozen=True, kw_only=True)
class LipRule:
    """Every number of the tracks and their crops.

    overlap: intersection over union above which a box goes on with a path. gap_frames: the most from one detection of
    a path to its next. min_track: detections a track needs more than. smallest_px: mean width or height of its boxes,
    the larger, that it needs more than. median_frames: of the running median, odd. padding: of the crop, in half sides:
    twice below, once at either side, none above. border: grey level outside the picture. side: pixels of the crop.
    """

    overlap: float
    gap_frames: int
    min_track: int
    smallest_px: float
    median_frames: int
    padding: float
    border: int
    side: int

    def __post_init__(self) -> None:
        if self.median_frames % 2 == 0 or self.min_track < self.median_frames // 2:
            raise ValueError(
                f"a median of {self.median_frames} frames and min_track {self.min_track} (expected an odd number, and "
                f"at least {self.median_frames // 2}): the median of a shorter track would be of the zeros around it"
            )


# run_pipeline.py of syncnet_python, its arguments' defaults; 0.5 and 13 stand in the code.
SYNCNET_RULE = LipRule(
    overlap=0.5, gap_frames=25, min_track=100, smallest_px=100, median_frames=13, padding=0.4, border=110, side=224
)
LATENTSYNC_RULE = replace(SYNCNET_RULE, min_track=50)  # eval_sync_conf.py


@dataclass(frozen=True)
class Place:
    """Where the crop of one frame lies: centre x, y and half the side of the face, in pixels, smoothed."""

    track: int
    frame: int
    x: float
    y: float
    half: float


@dataclass(frozen=True)
class LipTrack:
    """A face in the frames [start, stop) of one shot, the `number`th that began in the film, from 0.

    face_px: mean width or height of its boxes, the larger. refused: why the rule leaves it out, or None.
    """

    number: int
    start: int
    stop: int
    detections: int
    face_px: float
    refused: str | None

    @property
    def samples(self) -> range:
        """The samples of its sound at 16 kHz; the sound may end before."""
        return range(self.start * SAMPLES_PER_FRAME, self.stop * SAMPLES_PER_FRAME)


def detector_boxes(detector: Detector, least_score: float) -> Look:
    """What finds the boxes of a frame, as `s3fd_box` reads them; faces of a lower score are left out.

    Scores of different detectors do not compare: the published 0.9 is S3FD's. Faces come large to small, S3FD's by
    their score; the order tells only which track has which number.
    """
    return lambda image: [s3fd_box(face) for face in detector.detect(image) if face.score >= least_score]


def s3fd_box(face: Face) -> Box:
    """The box that S3FD would draw, (left, top, right, bottom): hairline to chin.

    SCRFD's ("insightface") as it is; those of "haar" and of a user ("box") by the square that they are known to hold.
    Landmarks are not used: crops would jump where they are missing. Raises ValueError for another detector.
    """
    x, y, width, height = face.box
    if face.detector != "insightface":
        square = face_square(replace(face, landmarks=None, square=None, roll_deg=0.0))
        width, height = WIDER_WIDTH * square.side, WIDER_HEIGHT * square.side
        x, y = square.centre[0] - width / 2, square.centre[1] - (WIDER_LIFT + 0.5) * height
    return float(x), float(y), float(x + width), float(y + height)


def box_overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    common = wide * high
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common)


def no_track(tracks: Sequence[LipTrack]) -> str | None:
    """Why a film has no track that counts, for its row in a report; None where it has one."""
    if not tracks:
        return "no face seen"
    longest = max(tracks, key=lambda track: track.detections)
    return longest.refused if all(track.refused for track in tracks) else None


class LipTracker:
    """All paths of a film. Boxes are given frame by frame; places and finished tracks come back, in order.

    Every path, from the oldest on, takes the first box that overlaps its last one; the boxes left over begin paths.
    One path holds the rows of K frames, whatever its length.
    """

    def __init__(self, rule: LipRule) -> None:
        self._rule, self._open, self._count = rule, [], 0

    @property
    def needed(self) -> int | None:
        """The first frame whose place is still to come; None: none is."""
        return min((path.next_frame for path in self._open), default=None)

    def add(self, frame: int, boxes: Sequence[Box]) -> list[Place | LipTrack]:
        """The boxes seen in `frame`, which lies behind all frames given before. Raises ValueError for a bad box."""
        left = [_checked(box, frame) for box in boxes]
        found: list[Place | LipTrack] = []
        for path in list(self._open):
            if frame - path.last_frame > self._rule.gap_frames:
                self._open.remove(path)
                found += path.end()
                continue
            mine = next((box for box in left if box_overlap(box, path.last_box) > self._rule.overlap), None)
            if mine is not None:
                left.remove(mine)
                found += path.add(frame, mine)
        for box in left:
            self._open.append(_Path(self._count, frame, box, self._rule))
            self._count += 1
        return found

    def cut(self) -> list[Place | LipTrack]:
        """The shot, or the film, is over: all paths end."""
        ended, self._open = self._open, []
        return [each for path in ended for each in path.end()]


class _Path:
    def __init__(self, number: int, frame: int, box: Box, rule: LipRule) -> None:
        self.number, self.start, self.next_frame = number, frame, frame
        self.last_frame, self.last_box = frame, box
        self._rule, self._detections = rule, 1
        self._rows = np.vstack([np.zeros((rule.median_frames // 2, 3)), _rows(np.array([box]))])
        self._size_sum = _sizes(np.array([box])).sum(0)

    def add(self, frame: int, box: Box) -> list[Place]:
        between = np.arange(self.last_frame + 1, frame + 1)
        ends = zip(self.last_box, box, strict=True)
        boxes_T4 = np.stack([np.interp(between, [self.last_frame, frame], pair) for pair in ends], axis=1)
        self.last_frame, self.last_box = frame, box
        self._detections += 1
        self._size_sum = self._size_sum + _sizes(boxes_T4).sum(0)
        return self._settled(_rows(boxes_T4))

    def end(self) -> list[Place | LipTrack]:
        frames, rule = self.last_frame + 1 - self.start, self._rule
        face_px = float(self._size_sum.max() / frames)
        refused = None
        if self._detections <= rule.min_track:
            refused = f"a face in {self._detections} frames (expected more than {rule.min_track})"
        elif face_px <= rule.smallest_px:
            refused = f"a face of {face_px:.0f} pixels (expected more than {rule.smallest_px:g})"
        track = LipTrack(self.number, self.start, self.start + frames, self._detections, face_px, refused)
        return [track] if refused else [*self._settled(np.zeros((rule.median_frames // 2, 3))), track]

    def _settled(self, new_T3: np.ndarray) -> list[Place]:
        self._rows = np.vstack([self._rows, new_T3])
        medians = running_medians(self._rows, self._rule.median_frames)
        places = [Place(self.number, self.next_frame + at, *map(float, row)) for at, row in enumerate(medians)]
        self._rows = self._rows[len(medians) :]
        self.next_frame += len(medians)
        return places


def smoothed_rows(boxes_T4: np.ndarray, median_frames: int) -> np.ndarray:
    """Boxes of all frames -> centre x, y and half the longer side (T, 3), smoothed as scipy.signal.medfilt does."""
    half = median_frames // 2
    return running_medians(np.pad(_rows(boxes_T4), ((half, half), (0, 0))), median_frames)


def running_medians(rows_T3: np.ndarray, frames: int) -> np.ndarray:
    """Medians of every `frames` rows in a row, (T - frames + 1, 3); none where there are fewer."""
    if len(rows_T3) < frames:
        return rows_T3[:0]
    return np.median(np.lib.stride_tricks.sliding_window_view(rows_T3, frames, axis=0), axis=-1)


def _rows(boxes_T4: np.ndarray) -> np.ndarray:
    left, top, right, bottom = boxes_T4.T
    return np.stack([(left + right) / 2, (top + bottom) / 2, np.maximum(bottom - top, right - left) / 2], axis=1)


def _sizes(boxes_T4: np.ndarray) -> np.ndarray:
    return boxes_T4[:, 2:] - boxes_T4[:, :2]


def _checked(box: Sequence[float], frame: int) -> Box:
    left, top, right, bottom = (float(number) for number in box)
    if not min(right - left, bottom - top) >= SMALLEST_BOX_PX or not np.isfinite([left, top, right, bottom]).all():
        raise ValueError(
            f"frame {frame}: box {tuple(box)} (expected left, top, right, bottom in pixels, at least "
            f"{SMALLEST_BOX_PX:g} each way); mend what looks for faces"
        )
    return left, top, right, bottom
