"""Faces are put where ArcFace looks for them; its file comes from the store alone: a small network stands for it."""

import hashlib

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from joyvasa import weight_store, weights
from joyvasa.models.judges.arcface import FILE, SIDE, ArcFace, align, similarity

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def network(path, side=SIDE):
    """Means over an 8 x 8 grid of the input's three channels, and nothing else: (B, 192)."""
    nodes = [
        helper.make_node("AveragePool", ["data"], ["pooled"], kernel_shape=[side // 8] * 2, strides=[side // 8] * 2),
        helper.make_node("Reshape", ["pooled", "shape"], ["said"]),
    ]
    shape = numpy_helper.from_array(np.array([-1, 192], np.int64), "shape")
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, ("B", 3, side, side))
    said = helper.make_tensor_value_info("said", TensorProto.FLOAT, ("B", 192))
    graph = helper.make_graph(nodes, "stub", [given], [said], [shape])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


@pytest.fixture
def store(monkeypatch, tmp_path):
    """store(side) puts the stub into an empty store, as let in by hand."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))

    def put(side=SIDE):
        entry = weights.get("insightface")
        weight_store.folder(entry).mkdir(exist_ok=True)
        staged = weight_store.folder(entry) / "staged.onnx"
        network(staged, side)
        sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
        weight_store.admit(entry, entry.file(FILE), staged, sha256=sha256, source="test", status="unverified")

    return put


@pytest.fixture
def scene():
    """uint8 RGB (400, 500, 3), smooth, and five points of an upright face in it, 2.2 times the template's size."""
    noise = np.random.default_rng(0).uniform(0, 255, (10, 12, 3)).astype(np.float32)
    picture = np.clip(cv2.resize(noise, (500, 400), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    return picture, TEMPLATE * 2.2 + [120, 60]


def moved(scene, turn_deg, scale, shift):
    picture, points = scene
    matrix = cv2.getRotationMatrix2D((250, 200), turn_deg, scale)
    matrix[:, 2] += shift
    return cv2.warpAffine(picture, matrix, (500, 400), flags=cv2.INTER_CUBIC), points @ matrix[:, :2].T + matrix[:, 2]


def test_a_similarity_is_found_again():
    angle = np.radians(33)
    matrix = 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(TEMPLATE, TEMPLATE @ matrix.T + [5, -9])
    np.testing.assert_allclose(found, np.column_stack([matrix, [5, -9]]), atol=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_alignment_is_insightfaces(scene):
    from insightface.utils.face_align import estimate_norm, norm_crop

    points = scene[1] + np.random.default_rng(1).normal(0, 4, (5, 2))
    np.testing.assert_allclose(similarity(points, TEMPLATE), estimate_norm(points.astype(np.float32)), atol=1e-3)
    difference = align(scene[0], points).astype(int) - norm_crop(scene[0], points.astype(np.float32))
    assert np.abs(difference).max() <= 2


def test_embeddings_have_length_one_and_follow_the_face_not_the_picture(store, scene):
    store()
    network = ArcFace()
    turned = moved(scene, 20, 0.9, (12, -7))
    other = (255 - scene[0], scene[1])
    images, points = zip(scene, turned, other, strict=True)
    said = network.embed(images, np.stack(points))
    assert said.shape == (3, 192) and said.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(said, axis=1), 1, rtol=1e-5)
    assert said[0] @ said[1] > 0.995 > 0.5 > said[0] @ said[2]
    np.testing.assert_allclose(network.embed(images[:1], points[0][None]), said[:1], atol=1e-6)


def test_the_network_sees_red_first_between_minus_one_and_one(store):
    store()
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[..., 0] = 255
    said = ArcFace().embed([picture], TEMPLATE[None])[0].reshape(3, 64)
    assert (said[0] > 0).all() and (said[1:] < 0).all() and np.allclose(np.abs(said), said[0, 0], rtol=1e-4)


def test_what_is_no_face_is_refused(store, scene):
    store()
    network = ArcFace()
    with pytest.raises(ValueError, match="expected five that differ"):
        network.embed([scene[0]], np.full((1, 5, 2), 7.0))
    with pytest.raises(ValueError, match="expected five that differ"):
        network.embed([scene[0]], np.full((1, 5, 2), np.nan))
    with pytest.raises(ValueError, match=r"points of shape .2, 5, 2. .expected .1, 5, 2."):
        network.embed([scene[0]], np.zeros((2, 5, 2)))
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        network.embed([scene[0][..., 0]], scene[1][None])
    assert network.embed([], np.empty((0, 5, 2))).shape == (0, 192)


def test_without_its_file_the_command_is_said_and_nothing_is_fetched(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"w600k_r50.onnx \(absent\); type `python -m joyvasa.weights pull"):
        ArcFace()
    assert list(tmp_path.iterdir()) == []


def test_a_network_for_something_else_is_refused(store):
    store(side=192)
    with pytest.raises(ValueError, match="w600k_r50.onnx: not a network for recognition at 112 x 112"):
        ArcFace()
