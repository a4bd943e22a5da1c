"""A reference picture becomes numbers by the face that is seen in it, or nothing."""

import cv2
import numpy as np
import pytest

from joyvasa.faces import five_points
from joyvasa.faces.face import Face
from joyvasa.models.judges import arcface
from preprocess.videos.embedding import FaceEmbedder, KeptEmbedder

POINTS = np.array([(20, 20), (40, 20), (30, 30), (22, 40), (38, 40)], float)


class Detector:
    """Sees a face in bright pictures."""

    def find(self, image):
        face = Face((10.0, 10.0, 40.0, 40.0), 0.0, 0.9, "stand-in")
        return [five_points.PointedFace(face, POINTS)] if image.mean() > 100 else []


class Network:
    """Says the mean colour."""

    def embed(self, images, points_B52):
        assert points_B52.shape == (len(images), 5, 2)
        return np.stack([image.mean(axis=(0, 1)) for image in images])


def jpeg(colour):
    picture = np.full((64, 64, 3), colour[::-1], np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


def test_the_face_is_sought_in_the_picture_and_red_stays_red(monkeypatch):
    monkeypatch.setattr(five_points, "ScrfdPoints", Detector)
    monkeypatch.setattr(arcface, "ArcFace", Network)
    embed = FaceEmbedder()
    np.testing.assert_allclose(embed(jpeg((250, 150, 20))), (250, 150, 20), atol=4)
    assert embed(jpeg((9, 9, 9))) is None
    with pytest.raises(ValueError, match="3 bytes are no picture"):
        embed(b"abc")


def test_without_the_networks_the_command_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="type `python -m joyvasa.weights pull insightface`"):
        FaceEmbedder()


def test_a_picture_is_looked_at_once(tmp_path):
    asked = []

    def embed(picture):
        asked.append(picture)
        return None if picture == b"nobody" else np.arange(3, dtype=np.float32)

    for _ in range(2):
        kept = KeptEmbedder(embed, tmp_path)
        assert kept(b"nobody") is None and kept(b"somebody").tolist() == [0, 1, 2]
    assert asked == [b"nobody", b"somebody"]


@pytest.mark.parametrize("left", [0, 5, 100, -4])
def test_an_answer_that_a_crash_cut_off_is_asked_for_again(tmp_path, left):
    asked = []

    def embed(picture):
        asked.append(picture)
        return np.arange(3, dtype=np.float32)

    KeptEmbedder(embed, tmp_path)(b"somebody")
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    for _ in range(2):
        assert KeptEmbedder(embed, tmp_path)(b"somebody").tolist() == [0, 1, 2]
    assert len(asked) == 2 and file.read_bytes() == whole
