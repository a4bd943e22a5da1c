"""Laws of crops, reference pictures and films of validation clips."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager

import av
import cv2
import numpy as np
import pytest

from joyvasa.faces.crop import move_points
from preprocess.videos.crops import FOLLOWED, STILL, crops_of, path_of
from preprocess.videos.records import Unusable
from preprocess.videos.reference import MostFrontal, film_of, nearest, picture_of
from tests.preprocess.videos.motion_films import (
    HEIGHT,
    SIDE,
    WIDTH,
    Film,
    configured,
    extracting,
    noise,
    piece_of,
    track_of,
    uneven,
)

REFERENCE = configured("reference")
SMALL = configured("reference", crop={"size": 64})


def test_a_face_that_stays_is_cut_by_one_square():
    squares = track_of(40).square_T4 + np.random.default_rng(0).uniform(-4, 4, (40, 4))
    path, kind = path_of(squares, 0.25)
    assert kind == STILL and path.shape == squares.shape
    np.testing.assert_array_equal(path, np.tile(np.median(squares, axis=0), (40, 1)))


@pytest.mark.parametrize(("column", "way"), [(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)])
def test_a_face_that_leaves_the_still_square_is_followed(column, way):
    for beyond, kind in ((0.24, STILL), (0.26, FOLLOWED)):
        squares = track_of(41).square_T4.copy()
        squares[-1, column] += way * beyond * SIDE
        path, found = path_of(squares, 0.25)
        assert found == kind and reached(path, squares) <= 0.25


def reached(path, squares) -> float:
    """The most by which the face leaves the crop's middle or changes its size, in sides of the crop's square."""
    moved = np.linalg.norm(squares[:, :2] - path[:, :2], axis=1) / path[:, 2]
    return max(moved.max(), (np.abs(squares[:, 2] - path[:, 2]) / path[:, 2]).max())


def test_a_followed_crop_goes_as_slowly_as_keeps_the_face_inside():
    """A walk across the picture with a trembling head: the crop walks, and does not tremble."""
    rng, squares = np.random.default_rng(0), track_of(200).square_T4.copy()
    squares[:, 0] += np.linspace(0, 4 * SIDE, 200) + rng.uniform(-0.05, 0.05, 200) * SIDE
    path, kind = path_of(squares, 0.25)
    assert kind == FOLLOWED and reached(path, squares) <= 0.25
    shake, trembling = (np.abs(np.diff(each[:, 0], n=2)).mean() for each in (path, squares))
    assert shake < trembling / 50
    leap = squares.copy()
    leap[100:, 0] += 2 * SIDE  # no slow crop holds both sides of a leap
    path, kind = path_of(leap, 0.25)
    assert path is leap and kind == FOLLOWED


def test_crops_show_the_face_where_the_spec_says():
    spec, px = extracting().crop, 64
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    centre = np.array([70.0, 50.0])
    cv2.circle(frame, (70, 50), 3, (255, 0, 0), -1)
    (cut,) = crops_of([frame], np.array([[*centre, SIDE, 0.0]]), spec, px)
    rows, columns = np.nonzero(cut[..., 0] > 128)
    expected = px / 2 - np.array([spec.vx, spec.vy]) * px
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=0.6)
    assert cut.shape == (px, px, 3)


def most_frontal(motion_TC: np.ndarray, ratios_T3: np.ndarray | None) -> int:
    best = MostFrontal(ratios_T3)
    for number, motion_C in enumerate(motion_TC):
        best.offer(motion_C, np.full((1, 1, 3), number))
    assert best.frame[0, 0, 0] == best.number, "the frame belongs to the number"
    return best.number


def test_the_most_frontal_frame_is_the_first_of_several_and_has_its_eyes_open():
    motion = np.zeros((6, 70), np.float32)
    motion[:, 67:70] = [[9, 9, 9], [1, -1, 1], [2, 2, 2], [-1, 1, 1], [5, 5, 5], [0, 0, 0]]
    assert most_frontal(motion, None) == 5
    assert most_frontal(motion[:5], None) == 1
    ratios = np.array([[0.3, 0.3, 0], [0.0, 0.3, 0], [0.3, 0.31, 0], [0.1, 0.1, 0], [0.3, 0.3, 0], [0.01, 0.01, 0]])
    assert most_frontal(motion, ratios) == 2
    assert most_frontal(motion, np.zeros((6, 3))) == 5


def test_the_reference_picture_is_upright_and_its_transform_takes_the_frame_to_it():
    frame = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    eyes = np.array([[70.0, 52.0], [90.0, 62.0]])  # of a head that leans clockwise
    for eye in eyes:
        cv2.circle(frame, tuple(eye.astype(int).tolist()), 2, (255, 255, 255), -1)
    square = np.array([80.0, 60.0, SIDE, np.degrees(np.arctan2(10, 20))])
    picture = picture_of(frame, 2, square, 0.08, REFERENCE)
    left, right = move_points(eyes, np.array(picture.facts["transform"]).reshape(3, 3))
    assert left[1] == pytest.approx(right[1], abs=1e-6) and left[0] < right[0]
    for x, y in np.round([left, right]).astype(int):
        assert picture.pixels[y, x].min() > 200
    shown = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(shown, picture.pixels)
    assert picture.pixels.shape == (512, 512, 3) and picture.facts["size"] == 512 and picture.facts["frame"] == 2
    assert json.loads(json.dumps(picture.facts)) == picture.facts


def test_a_reference_picture_has_the_same_bytes_again():
    one, two = (picture_of(noise(5).frames[3], 3, track_of(1).square_T4[0], 0.1, REFERENCE).jpeg for _ in range(2))
    assert one == two


def test_a_moment_shows_the_nearest_frame():
    times = np.array([0.0, 0.04, 0.10, 0.5])
    at = np.array([-1.0, 0.0, 0.02, 0.021, 0.07, 0.08, 0.3, 0.31, 9.0])
    assert nearest(times, at).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert nearest(times[:1], at).tolist() == [0] * len(at)


def greys(count: int) -> Film:
    """Frame k is grey level 3 k."""
    return Film([np.full((HEIGHT, WIDTH, 3), 3 * each, np.uint8) for each in range(count)])


def test_a_validation_film_shows_every_moment_with_its_sound(tmp_path):
    times = uneven(60)
    piece, path = piece_of(times, 5, 55), tmp_path / "clip.mp4"
    audio = np.sin(np.arange(piece.frames * 640) / 5).astype(np.float32) / 2
    film_of(greys(60), piece, track_of(60), times, SMALL, extracting(), audio, path)
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert stream.average_rate == 25 and (stream.width, stream.height) == (64, 64)
        levels = [frame.to_ndarray(format="rgb24")[32, 32].mean() / 3 for frame in film.decode(stream)]
        film.seek(0)
        seconds = sum(frame.samples for frame in film.decode(audio=0)) / film.streams.audio[0].rate
    assert len(levels) == piece.frames
    expected = [np.abs(times - k / 25).argmin() for k in range(piece.first, piece.last)]
    np.testing.assert_allclose(levels, expected, atol=0.6)
    assert seconds == pytest.approx(piece.seconds, abs=0.1)


@contextmanager
def one_busy_core():
    """This thread may use one core alone, and another thread wants all of them."""
    allowed, stop = os.sched_getaffinity(0), threading.Event()

    def work():
        while not stop.is_set():
            sum(range(1000))

    busy = threading.Thread(target=work)
    busy.start()
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        stop.set()
        busy.join()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux says which cores a thread may use")
def test_a_validation_film_has_the_same_bytes_on_one_busy_core(tmp_path):
    times, audio = np.arange(20) / 25, np.random.default_rng(0).uniform(-0.5, 0.5, 20 * 640).astype(np.float32)
    how = piece_of(times), track_of(20), times, configured("reference", crop={"size": 128}), extracting(), audio
    film_of(noise(20), *how, tmp_path / "a.mp4")
    with one_busy_core():
        film_of(noise(20), *how, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_film_that_fails_leaves_no_file(tmp_path):
    times = np.arange(10) / 25
    with pytest.raises(Unusable, match="6 frames could be read"):
        film_of(noise(6), piece_of(times), track_of(10), times, SMALL, extracting(), np.zeros(6400), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
