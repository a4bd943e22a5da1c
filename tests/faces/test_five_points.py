"""Boxes and five points come in pixels of the picture; the network comes from the store alone."""

import hashlib

import numpy as np
import pytest

from joyvasa import weight_store, weights
from joyvasa.faces.five_points import ScrfdPoints
from tests.faces.test_detect import PICTURE, POINTS, landmarks106, scrfd


@pytest.fixture
def store(monkeypatch, tmp_path):
    """store(write) puts a small network in det_10g.onnx's place."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))

    def put(write):
        entry = weights.get("insightface")
        weight_store.folder(entry).mkdir(exist_ok=True)
        staged = weight_store.folder(entry) / "staged.onnx"
        write(staged)
        sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
        file = entry.file("det_10g.onnx")
        weight_store.admit(entry, file, staged, sha256=sha256, source="test", status="unverified")

    return put


def test_a_face_has_its_box_and_points_at_any_size_of_picture(store):
    store(scrfd)
    detector = ScrfdPoints()
    for picture, scale in ((PICTURE, 1.0), (PICTURE[:320, :320].copy(), 0.5)):
        (seen,) = detector.find(picture)
        assert seen.face.box == pytest.approx(scale * np.array([200, 160, 160, 200]), abs=0.01)
        assert seen.face.score == pytest.approx(0.9) and seen.face.detector == detector.name
        np.testing.assert_allclose(seen.points_52, scale * POINTS, atol=0.01)


def test_without_its_file_the_command_is_said_and_another_network_is_refused(store):
    with pytest.raises(FileNotFoundError, match=r"det_10g.onnx \(absent\); type `python -m joyvasa.weights pull"):
        ScrfdPoints()
    store(landmarks106)
    with pytest.raises(ValueError, match="det_10g.onnx: not a network for detection"):
        ScrfdPoints()
