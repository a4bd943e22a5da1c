"""Boxes and five points of every face in a picture by SCRFD: what following a face and ArcFace's alignment need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from joyvasa.faces.face import Face, check_image
from joyvasa.faces.scrfd import DET_SIZE, DET_THRESHOLD, ENTRY, FILES, TASKS
from joyvasa.onnx_files import checked_file, providers


@dataclass(frozen=True, eq=False)
class PointedFace:
    """points_52: pixels; eyes, tip of the nose, corners of the mouth, the left ones in the picture first."""

    face: Face
    points_52: np.ndarray


class PointDetector(Protocol):
    """Finds faces with five points. `name` goes into the record of a result."""

    name: str

    def find(self, image: np.ndarray) -> list[PointedFace]:
        """Faces of a uint8 RGB (H, W, 3) picture, large to small; an empty list where there is none."""
        ...


class ScrfdPoints:
    """PointDetector: InsightFace's det_10g.onnx alone. Raises as `ScrfdDetector`."""

    name = "insightface"

    def __init__(self) -> None:
        from insightface.model_zoo import get_model

        path = checked_file(ENTRY, FILES[0])
        self._network = get_model(str(path), providers=providers())
        if getattr(self._network, "taskname", None) != TASKS[0]:
            raise ValueError(f"{path}: not a network for {TASKS[0]}; pull or import {ENTRY} again")
        self._network.prepare(0, input_size=DET_SIZE, det_thresh=DET_THRESHOLD)

    def find(self, image: np.ndarray) -> list[PointedFace]:
        check_image(image, self.name)
        rows, points = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), max_num=0)
        found = [
            PointedFace(self._face(row), np.asarray(points_52, dtype=np.float64))
            for row, points_52 in zip(rows, points if len(rows) else [], strict=True)
        ]
        return sorted(found, key=lambda each: -each.face.area)

    def _face(self, row: np.ndarray) -> Face:
        """row: (5,) left, top, right, bottom, score. How the head leans is in the points."""
        left, top, right, bottom, score = (float(number) for number in row)
        return Face((left, top, right - left, bottom - top), 0.0, score, self.name)
