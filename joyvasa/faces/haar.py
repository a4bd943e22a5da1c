"""Faces by the Haar cascades inside OpenCV: no download, frontal faces of people, also painted and carved ones.

One cascade alone also fires on fur and folds, so a face needs two witnesses: both face cascades, or one of them and a
pair of eyes. The eyes give the roll.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from joyvasa.faces.face import Face, check_image, overlap

SCALE_STEP = 1.1
NEIGHBOURS = 5  # at 4 a dog passes for a person
SMALLEST_WINDOW_PX = 60
WORKING_PX = (512, 640)  # the longer side at which faces are sought
FINER_PX = (1280, 1920)  # and further, in pictures of at least that size
LARGE_PX = 2 * SMALLEST_WINDOW_PX  # a face of that size at WORKING_PX: the picture is one of it
TILTS_DEG = (0, -15, 15)  # the cascades know heads up to about 15 degrees from upright
SAME_FACE = 0.4  # overlap from which two boxes are one face
EYES_PX = 240  # the width to which a face is brought before eyes are sought
MOST_ROLL_DEG = 30

# Of the face's width: how far apart eyes are. Boxes hold a little more than the face.
EYE_DISTANCE = (0.25, 0.62)


def cascade(name: str) -> cv2.CascadeClassifier:
    """A cascade of OpenCV's own. Raises FileNotFoundError where this OpenCV has none."""
    path = Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this OpenCV ({cv2.__version__}) has no such cascade; install opencv-python<5")
    return cv2.CascadeClassifier(str(path))


def boxes(classifier: cv2.CascadeClassifier, grey: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(x, y, w, h) of what a cascade sees."""
    smallest = (SMALLEST_WINDOW_PX, SMALLEST_WINDOW_PX)
    found = classifier.detectMultiScale(grey, SCALE_STEP, NEIGHBOURS, minSize=smallest)
    return [tuple(int(number) for number in box) for box in found]


def resized(grey: np.ndarray, longer_px: float) -> tuple[np.ndarray, float]:
    """The picture with its longer side brought to `longer_px`, and what pixels there have to be divided by."""
    scale = longer_px / max(grey.shape)
    if scale == 1:
        return grey, 1.0
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
    return cv2.resize(grey, size, interpolation=how), scale


class HaarDetector:
    """Detector. score: the share of the three witnesses (two face cascades, a pair of eyes) that saw the face.

    For one thread at a time: OpenCV's classifiers keep what they work on.
    """

    name = "haar"
    note = "Haar cascades built into OpenCV: frontal faces, no landmarks"

    def __init__(self) -> None:
        self._faces = cascade("frontalface_default"), cascade("frontalface_alt2")
        self._eyes = cascade("eye_tree_eyeglasses"), cascade("eye")  # the first errs less

    def detect(self, image: np.ndarray) -> list[Face]:
        """Faces large to small. A picture is enlarged or reduced to WORKING_PX first; where that shows none, or small
        ones alone, as in a group, it is searched on at FINER_PX."""
        check_image(image, "haar")
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        longer = max(grey.shape)
        coarse, scale = resized(grey, min(max(longer, WORKING_PX[0]), WORKING_PX[1]))
        faces: list[Face] = []
        for tilt_deg in TILTS_DEG:
            faces = faces or self._tilted(coarse, tilt_deg, scale)
        for finer_px in FINER_PX:
            if finer_px > longer or any(min(face.box[2:]) * scale >= LARGE_PX for face in faces):
                break
            finer, finer_scale = resized(grey, finer_px)
            faces = max(faces, self._tilted(finer, 0, finer_scale), key=len)
        return sorted(faces, key=lambda face: -face.area)

    def _tilted(self, grey: np.ndarray, tilt_deg: float, scale: float) -> list[Face]:
        """Faces that are upright once the picture is turned by -tilt_deg, in the pixels of the picture given."""
        height, width = grey.shape
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), tilt_deg, 1.0)
        back = cv2.invertAffineTransform(turn)
        found = self._upright(cv2.warpAffine(grey, turn, (width, height)) if tilt_deg else grey)
        faces = []
        for face in found:
            x, y = back[:, :2] @ face.centre + back[:, 2]
            w, h = face.box[2:]
            box = tuple(float(number) / scale for number in (x - w / 2, y - h / 2, w, h))
            faces.append(Face(box, face.roll_deg + tilt_deg, face.score, self.name))
        return faces

    def _upright(self, grey: np.ndarray) -> list[Face]:
        """Faces with two witnesses; where several overlap, the one with more of them."""
        first, second = ([Face(box, 0.0, 0.0, self.name) for box in boxes(each, grey)] for each in self._faces)
        agreed = [any(overlap(face, other) >= SAME_FACE for other in second) for face in first]
        alone = [face for face in second if all(overlap(face, other) < SAME_FACE for other in first)]
        candidates = []
        for face, cascades in (*zip(first, agreed, strict=True), *((face, False) for face in alone)):
            roll_deg = self._roll(grey, face.box)
            witnesses = 1 + cascades + (roll_deg is not None)
            if witnesses >= 2:
                candidates.append(Face(face.box, roll_deg or 0.0, witnesses / 3, self.name))
        faces: list[Face] = []
        for face in sorted(candidates, key=lambda each: -each.score):
            if all(overlap(face, other) < SAME_FACE / 2 for other in faces):
                faces.append(face)
        return faces

    def _roll(self, grey: np.ndarray, box: tuple[float, float, float, float]) -> float | None:
        """Degrees that the eyes in the upper part of the box lean clockwise; None where no pair is found."""
        x, y, width, height = (int(number) for number in box)
        upper, _ = resized(grey[y : y + int(0.6 * height), x : x + width], EYES_PX)
        for classifier in self._eyes:
            found = classifier.detectMultiScale(upper, SCALE_STEP, 3, minSize=(30, 30), maxSize=(90, 90))
            eyes = [(ex + size / 2, ey + size / 2, size) for ex, ey, size, _ in found]
            pairs = [(left, right) for left in eyes for right in eyes if _pair(left, right)]
            if pairs:
                (x0, y0, _), (x1, y1, _) = max(pairs, key=lambda pair: pair[0][2] + pair[1][2])
                return float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
        return None


def _pair(left: tuple[float, float, float], right: tuple[float, float, float]) -> bool:
    """Whether two (x, y, size) in a face EYES_PX wide can be its eyes."""
    across, down = right[0] - left[0], right[1] - left[1]
    sides = left[0] < EYES_PX / 2 < right[0]
    apart = EYE_DISTANCE[0] * EYES_PX <= across <= EYE_DISTANCE[1] * EYES_PX
    level = abs(down) <= np.tan(np.radians(MOST_ROLL_DEG)) * across
    return sides and apart and level and max(left[2], right[2]) < 2 * min(left[2], right[2])
