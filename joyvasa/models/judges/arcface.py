"""Who a face is: InsightFace's identity network (ArcFace, w600k_r50), from a file on this machine alone.

B pictures of one size or of many.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from joyvasa.onnx_files import checked_file, providers

ENTRY, FILE = "insightface", "w600k_r50.onnx"
TASK = "recognition"
SIDE = 112  # pixels of what the network sees
NEAREST = 1e-6  # pixels: points closer together show no face


class ArcFace:
    """Embeds faces. Two of one person have a cosine near 1, of two people near 0.

    Raises FileNotFoundError with the command that fetches the file, ValueError for a changed file or another network.
    """

    name = "arcface-w600k_r50"

    def __init__(self) -> None:
        from insightface.model_zoo import get_model

        path = checked_file(ENTRY, FILE)
        self._network = get_model(str(path), providers=providers())
        shape = getattr(self._network, "input_size", None)
        if getattr(self._network, "taskname", None) != TASK or shape != (SIDE, SIDE):
            raise ValueError(f"{path}: not a network for {TASK} at {SIDE} x {SIDE}; pull or import {ENTRY} again")

    def embed(self, images: Sequence[np.ndarray], points_B52: np.ndarray) -> np.ndarray:
        """uint8 RGB (H, W, 3) pictures and the face's points in their pixels -> (B, 512) float32 of length 1.

        Points: left eye, right eye, tip of the nose, left and right corner of the mouth; left as in the picture.
        Raises ValueError for pictures without points or points that all coincide.
        """
        points_B52 = np.asarray(points_B52, dtype=np.float64)
        if points_B52.shape != (len(images), 5, 2):
            raise ValueError(f"points of shape {points_B52.shape} (expected {(len(images), 5, 2)})")
        if not len(images):
            return np.empty((0, self._network.output_shape[-1]), np.float32)
        aligned = [align(image, points_52) for image, points_52 in zip(images, points_B52, strict=True)]
        said_BC = self._network.get_feat([cv2.cvtColor(each, cv2.COLOR_RGB2BGR) for each in aligned])
        length_B1 = np.linalg.norm(said_BC, axis=1, keepdims=True)
        return (said_BC / np.maximum(length_B1, np.finfo(np.float32).tiny)).astype(np.float32)


def align(image: np.ndarray, points_52: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (112, 112, 3): turned, scaled and shifted so that the points fall best onto ArcFace's.

    As insightface.utils.face_align.norm_crop, which goes through a deprecated function of scikit-image and answers
    points that coincide with NaN; here they raise ValueError.
    """
    from insightface.utils.face_align import arcface_dst

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"picture is {image.dtype} {image.shape} (expected uint8 RGB (H, W, 3))")
    matrix_23 = similarity(np.asarray(points_52, dtype=np.float64), arcface_dst.astype(np.float64))
    return cv2.warpAffine(image, matrix_23, (SIDE, SIDE), borderValue=0.0)


def similarity(from_N2: np.ndarray, to_N2: np.ndarray) -> np.ndarray:
    """The turn, scale and shift (2, 3) that takes points to points with least squares; no mirror.

    In complex numbers it is z -> a z + b, and the best a, b are those of a line through points.
    """
    start, goal = from_N2 @ [1, 1j], to_N2 @ [1, 1j]
    spread = start - start.mean()
    power = float((np.abs(spread) ** 2).sum())
    if not NEAREST**2 < power < np.inf:
        raise ValueError(f"points {from_N2.tolist()} (expected five that differ: eyes, nose, corners of the mouth)")
    a = (spread.conj() * (goal - goal.mean())).sum() / power
    b = goal.mean() - a * start.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
