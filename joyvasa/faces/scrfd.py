"""Faces and 106 landmarks by InsightFace's networks (SCRFD and 2d106det), from files on this machine alone.

The two files are opened one by one: the package's FaceAnalysis would open every network in the folder, the large
identity one too, and try a download where the folder is missing.
"""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from joyvasa.faces.crop import landmark_axis
from joyvasa.faces.face import Face, check_image
from joyvasa.onnx_files import checked_file, providers

ENTRY = "insightface"
FILES = ("det_10g.onnx", "2d106det.onnx")
TASKS = ("detection", "landmark_2d_106")
DET_SIZE = (640, 640)  # pinned: left alone, the package also looks at 128 x 128 and finds other faces
DET_THRESHOLD = 0.5  # the reference takes 0.1, at which animals pass for people


class ScrfdDetector:
    """Detector. score: SCRFD's own, DET_THRESHOLD to 1. Raises as `checked_file`, ValueError for other networks."""

    name = "insightface"

    def __init__(self) -> None:
        from insightface.model_zoo import get_model

        paths = [checked_file(ENTRY, name) for name in FILES]
        self._detection, self._landmarks = (get_model(str(path), providers=providers()) for path in paths)
        for path, model, task in zip(paths, (self._detection, self._landmarks), TASKS, strict=True):
            if getattr(model, "taskname", None) != task:
                raise ValueError(f"{path}: not a network for {task}; pull or import {ENTRY} again")
        self._detection.prepare(0, input_size=DET_SIZE, det_thresh=DET_THRESHOLD)
        self._landmarks.prepare(0)
        self.note = f"InsightFace's SCRFD at {DET_SIZE[0]}x{DET_SIZE[1]} with 106 landmarks, {providers()[0]}"

    def detect(self, image: np.ndarray) -> list[Face]:
        check_image(image, "insightface")
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        found, _ = self._detection.detect(bgr, max_num=0)
        faces = [self._face(bgr, row) for row in found]
        return sorted(faces, key=lambda face: -face.area)

    def _face(self, bgr: np.ndarray, row: np.ndarray) -> Face:
        """row: (5,) left, top, right, bottom, score."""
        x0, y0, x1, y1, score = (float(number) for number in row)
        points = self._landmarks.get(bgr, _Slot(bbox=row[:4]))
        down = landmark_axis(points, self.name)
        roll_deg = float(np.degrees(np.arctan2(-down[0], down[1])))
        return Face((x0, y0, x1 - x0, y1 - y0), roll_deg, score, self.name, np.asarray(points, dtype=np.float64))


class _Slot(SimpleNamespace):
    """What the package's networks take as a face: attributes, and items that they write their results into."""

    def __setitem__(self, key: str, value: object) -> None:
        setattr(self, key, value)
