"""Which detector is opened, and that networks come from the store alone: small ONNX files stand for the real ones."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from joyvasa import weight_store, weights
from joyvasa.faces.crop import face_square
from joyvasa.faces.detect import open_detector
from joyvasa.faces.face import Face

BOX = (200.0, 160.0, 360.0, 360.0)  # left, top, right, bottom, in a picture of 640 x 640
POINTS = np.array([(240, 230), (320, 230), (280, 270), (250, 310), (310, 310)], float)  # eyes, nose, mouth


def save(path, inputs, outputs):
    """A network whose outputs are constants, plus 0 times its input so that the input is one."""
    nodes, declared = [], []
    for name, value in outputs.items():
        constant = helper.make_tensor(f"{name}_value", TensorProto.FLOAT, value.shape, value.ravel())
        nodes.append(helper.make_node("Constant", [], [name], value=constant))
        declared.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    name, shape = inputs
    graph = helper.make_graph(nodes, "stub", [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)], declared)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


def scrfd(path):
    """Nine outputs: score, box and points at strides 8, 16, 32, two anchors a place. One face, at BOX, by stride 32."""
    outputs = {}
    for stride in (8, 16, 32):
        places = 2 * (640 // stride) ** 2
        outputs |= {f"score{stride}": np.zeros((places, 1)), f"box{stride}": np.zeros((places, 4))}
        outputs |= {f"points{stride}": np.zeros((places, 10))}
    row, column = 8, 9
    anchor = 2 * (row * 20 + column)
    centre = np.array([column, row]) * 32.0
    outputs["score32"][anchor] = 0.9
    outputs["box32"][anchor] = [*(centre - BOX[:2]) / 32, *(np.array(BOX[2:]) - centre) / 32]
    outputs["points32"][anchor] = ((POINTS - centre) / 32).ravel()
    order = [f"{kind}{stride}" for kind in ("score", "box", "points") for stride in (8, 16, 32)]
    save(path, ("input.1", (1, 3, "h", "w")), {name: outputs[name].astype(np.float32) for name in order})


def landmarks106(path):
    """An upright face that fills the middle of the network's input, in its units (-1 to 1)."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (106, 2))
    points[0], points[1] = (-0.5, -0.5), (0.5, 0.5)
    points[[33, 35, 40, 39]], points[[87, 89, 94, 93]], points[[52, 61]] = (-0.2, -0.2), (0.2, -0.2), (0, 0.3)
    save(path, ("data", (1, 3, 192, 192)), {"fc1": points.reshape(1, 212).astype(np.float32)})


def landmarks203(path):
    """An upright face that fills the middle half of the network's input."""
    points = np.random.default_rng(1).uniform(0.25, 0.75, (203, 2))
    eyes, mouth = ([0, 6, 12, 18], [24, 30, 36, 42]), [48, 66]
    points[eyes[0]], points[eyes[1]], points[mouth] = (0.4, 0.4), (0.6, 0.4), (0.5, 0.65)
    points[2], points[3] = (0.25, 0.25), (0.75, 0.75)
    shapes = {"a": np.zeros((1, 2)), "b": np.zeros((1, 2)), "c": points.reshape(1, 406)}
    save(path, ("input", (1, 3, 224, 224)), {name: value.astype(np.float32) for name, value in shapes.items()})


WRITERS = {
    ("insightface", "det_10g.onnx"): scrfd,
    ("insightface", "2d106det.onnx"): landmarks106,
    ("liveportrait", "landmark.onnx"): landmarks203,
}


@pytest.fixture
def store(monkeypatch, tmp_path):
    """store(entry, ...) puts the stubs of these entries into an empty store, as let in by hand."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))

    def put(*entries):
        for (name, filename), write in WRITERS.items():
            if name not in entries:
                continue
            entry = weights.get(name)
            weight_store.folder(entry).mkdir(exist_ok=True)
            staged = weight_store.folder(entry) / "staged.onnx"
            write(staged)
            sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
            weight_store.admit(entry, entry.file(filename), staged, sha256=sha256, source="test", status="unverified")

    return put


PICTURE = np.zeros((640, 640, 3), np.uint8)


def test_without_files_auto_is_haar_and_says_what_would_be_better(store):
    detector = open_detector("auto")
    assert detector.name == "haar"
    assert "python -m joyvasa.weights pull insightface" in detector.note
    assert "python -m joyvasa.weights pull liveportrait" in detector.note


def test_insightface_without_files_is_our_error_and_no_download(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"det_10g.onnx \(absent\); type `python -m joyvasa.weights pull"):
        open_detector("insightface")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_detector_lists_the_known():
    with pytest.raises(ValueError, match="detector=dlib .expected one of auto, insightface, haar"):
        open_detector("dlib")


def test_insightface_gives_boxes_and_landmarks_in_pixels_of_the_picture(store):
    store("insightface")
    detector = open_detector("auto")
    assert detector.name == "insightface" and "640x640" in detector.note
    (face,) = detector.detect(PICTURE)
    assert face.box == pytest.approx((200, 160, 160, 200), abs=0.01)
    assert face.score == pytest.approx(0.9)
    assert face.landmarks.shape == (106, 2) and face.roll_deg == pytest.approx(0, abs=0.01)
    square = face_square(face)  # half of an input that is 1.5 times as wide as the box's longer side
    assert square.side == pytest.approx(0.5 * 1.5 * 200, rel=0.01)
    assert square.centre == pytest.approx((280, 260), abs=1)


def test_a_picture_half_as_large_has_the_face_at_half_the_size(store):
    store("insightface")
    (face,) = open_detector("insightface").detect(PICTURE[:320, :320].copy())
    assert face.box == pytest.approx((100, 80, 80, 100), abs=0.01)


def test_203_landmarks_are_added_and_the_square_of_the_106_is_kept(store):
    store("insightface")
    (before,) = open_detector("insightface").detect(PICTURE)
    store("liveportrait")
    detector = open_detector("insightface")
    assert detector.name == "insightface+203"
    (face,) = detector.detect(PICTURE)
    assert face.landmarks.shape == (203, 2) and face.box == before.box
    assert face_square(face).side == pytest.approx(face_square(before).side)
    np.testing.assert_allclose(face_square(face).centre, face_square(before).centre)


def test_a_box_becomes_a_square_by_the_landmarks_within_it(store, place):
    store("liveportrait")
    detector = open_detector("haar")
    assert detector.name == "haar+203"
    (face,) = detector.detect(place(400, 400, 40, 40, 320))
    assert face.landmarks.shape == (203, 2) and face.detector == "haar"
    asked = Face((100.0, 100.0, 80.0, 80.0), 0.0, 1.0, "box")
    # The stub's face fills half of 1.5 times the square it was asked about, twice, and lies below its middle.
    refined = detector.refine(PICTURE, asked)
    assert face_square(refined).side == pytest.approx(80 * 0.75**2, rel=0.01)
    assert refined.roll_deg == pytest.approx(0, abs=0.01)


def test_a_file_that_changed_on_the_disk_is_refused(store):
    store("insightface")
    path = weights.file("insightface", "det_10g.onnx")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="det_10g.onnx: sha256 .*delete the file and type `python -m joyvasa.weights"):
        open_detector("auto")


def test_a_network_for_something_else_is_refused(store):
    store("insightface", "liveportrait")
    entry = weights.get("liveportrait")
    staged = weight_store.folder(entry) / "staged.onnx"
    landmarks106(staged)
    sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
    weight_store.admit(entry, entry.file("landmark.onnx"), staged, sha256=sha256, source="test", status="unverified")
    with pytest.raises(ValueError, match="landmark.onnx: not LivePortrait's landmark network"):
        open_detector("haar")
