"""The detector of a run: InsightFace where its files are there, else the cascades inside OpenCV.

Either gets LivePortrait's landmarks where that file is there.
"""

from __future__ import annotations

from joyvasa.faces.face import Detector
from joyvasa.faces.haar import HaarDetector

DETECTORS = ("auto", "insightface", "haar")


def open_detector(name: str) -> Detector:
    """Open one of DETECTORS; print its `name` and `note`, and record the name with the result.

    Raises ValueError for another name; FileNotFoundError with what to type when "insightface" is asked for and its
    files are absent, ValueError when files are damaged. "auto" falls back on "haar" for absent files alone and says
    so.
    """
    if name not in DETECTORS:
        raise ValueError(f"detector={name} (expected one of {', '.join(DETECTORS)})")
    detector = HaarDetector() if name == "haar" else _insightface(required=name == "insightface")
    from joyvasa.faces.dense import DenseDetector

    try:
        return DenseDetector(detector)
    except FileNotFoundError as error:
        detector.note += f"; 203 landmarks: {_command(error)}"
        return detector


def _insightface(*, required: bool) -> Detector:
    from joyvasa.faces.scrfd import ScrfdDetector

    try:
        return ScrfdDetector()
    except FileNotFoundError as error:
        if required:
            raise
        detector = HaarDetector()
        detector.note += f"; turned heads too: {_command(error)}"
        return detector


def _command(error: FileNotFoundError) -> str:
    """What the registry's sentence tells to type."""
    return str(error).split("`")[1]
