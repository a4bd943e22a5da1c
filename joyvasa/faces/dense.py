"""LivePortrait's 203 landmarks, for the face that any detector found (src/utils/human_landmark_runner.py).

They give the roll, a better square than a box does, and the ratios by which eyes and lips are open.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from joyvasa.faces.crop import CropSpec, crop, crop_transform, face_square, invert, move_points
from joyvasa.faces.face import Detector, Face
from joyvasa.faces.ratios import LANDMARKS
from joyvasa.io.files import named_in_utf8
from joyvasa.onnx_files import checked_file, providers

ENTRY, FILE = "liveportrait", "landmark.onnx"
INPUT = CropSpec(scale=1.5, vx=0.0, vy=-0.1, size=224, rotate=True)
POINTS_OUTPUT = 2  # of the network's outputs: coordinates as shares of the input's side


class DenseDetector:
    """Detector that adds the landmarks to another's faces. Raises as `checked_file`, ValueError for another network."""

    def __init__(self, inner: Detector) -> None:
        import onnxruntime

        path = checked_file(ENTRY, FILE)
        with named_in_utf8(path) as name:
            self._session = onnxruntime.InferenceSession(str(name), providers=providers())
        outputs = self._session.get_outputs()
        if len(outputs) <= POINTS_OUTPUT or outputs[POINTS_OUTPUT].shape[-1] != 2 * LANDMARKS:
            raise ValueError(f"{path}: not LivePortrait's landmark network; pull or import {ENTRY} again")
        self._input = self._session.get_inputs()[0].name
        self._inner = inner
        self.name = f"{inner.name}+{LANDMARKS}"
        self.note = f"{inner.note}; {LANDMARKS} landmarks by LivePortrait's network"

    def detect(self, image: np.ndarray) -> list[Face]:
        return [self.refine(image, face) for face in self._inner.detect(image)]

    def refine(self, image: np.ndarray, face: Face) -> Face:
        """The face with 203 landmarks.

        A face that had landmarks keeps its square, as the reference cuts photos by InsightFace's 106 points. One that
        had a box alone is looked at twice: the box is too rough for the network.
        """
        if face.landmarks is not None:
            square = face_square(face)
            kept = (float(square.centre[0]), float(square.centre[1]), square.side)
            return replace(face, landmarks=self._points(image, face), square=kept, roll_deg=square.roll_deg)
        for _ in range(2):
            face = replace(face, landmarks=self._points(image, face))
        return replace(face, roll_deg=face_square(face).roll_deg)

    def _points(self, image: np.ndarray, face: Face) -> np.ndarray:
        to_input = crop_transform(face, INPUT)
        pixels = crop(image, to_input, INPUT.size).astype(np.float32) / 255
        outputs = self._session.run(None, {self._input: pixels.transpose(2, 0, 1)[None]})
        points = outputs[POINTS_OUTPUT][0].reshape(LANDMARKS, 2) * INPUT.size
        return move_points(points, invert(to_input))
