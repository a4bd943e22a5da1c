"""Laws of extraction: every crop once and in order, only M is built, motion by its times, threads that end."""

from __future__ import annotations

import hashlib
import queue
import threading
import weakref
from dataclasses import replace
from itertools import count, islice
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException

import preprocess.videos.motion as module
from joyvasa.motion import CHANNELS, KEYPOINTS, PITCH, ROTATION, YAW, interpolate
from preprocess.videos.motion import Extractor, canonical_of, identity_of, move_piece, precision_of, prefetch
from preprocess.videos.records import Unusable
from tests.preprocess.videos.motion_films import Film, clocks, configured, extracting, noise, piece_of, track_of, uneven
from tests.waiting import HANGS_SECONDS, WatchedQueue

REFERENCE = configured("reference")


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(extracting(batch_size=4), "cpu")


def crops(extractor: Extractor, number: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return list(draw.integers(0, 255, (number, extractor.input_px, extractor.input_px, 3), dtype=np.uint8))


class Reader:
    """Stands for M: the first channel is the time that a frame of `clocks` shows, the angles are asked for."""

    def __init__(self, angles_T3: np.ndarray | None = None):
        self.extracting, self.input_px, self.angles_T3 = extracting(), 64, angles_T3

    def extract(self, crops):
        for number, crop in enumerate(crops):
            motion = np.zeros((1, CHANNELS), np.float32)
            high, middle, low = crop[len(crop) // 2, len(crop) // 2].astype(int)
            motion[0, 0] = ((high << 16) + (middle << 8) + low) / 1000
            if self.angles_T3 is not None:
                motion[0, ROTATION] = self.angles_T3[number]
            yield np.zeros((1, KEYPOINTS, 3), np.float32), motion


@pytest.mark.parametrize("number", [1, 4, 9])
def test_every_crop_is_extracted_once_in_order_in_whole_batches(extractor, number):
    pictures = crops(extractor, number)
    batches = list(extractor.extract(iter(pictures)))
    assert [len(motion) for _, motion in batches] == [4] * (number // 4) + [number % 4] * (number % 4 > 0)
    for row, picture in enumerate(pictures):
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        canonical, motion = extractor.networks.motion(image)
        np.testing.assert_allclose(batches[row // 4][0][row % 4], canonical[0], atol=1e-6)
        np.testing.assert_allclose(batches[row // 4][1][row % 4], motion[0], atol=1e-4)


def test_no_crop_gives_no_batch_and_the_same_crops_the_same_bits(extractor):
    assert list(extractor.extract(iter([]))) == []
    one, two = (b"".join(m.tobytes() for _, m in extractor.extract(crops(extractor, 7))) for _ in range(2))
    assert one == two


def test_only_m_is_built(extractor):
    assert list(extractor.networks.networks) == ["M"]


def test_half_precision_is_near_and_its_heads_are_not_rounded(extractor):
    half = Extractor(extracting(batch_size=4, precision="bfloat16"), "cpu")
    (canonical, motion), (exact_canonical, exact) = (
        next(each.extract(crops(extractor, 4))) for each in (half, extractor)
    )
    assert 0 < np.abs(motion - exact).max() < 0.5, "degrees"
    assert np.abs(canonical - exact_canonical).max() < 0.01
    rounded = torch.from_numpy(canonical).bfloat16().float().numpy()
    assert (rounded != canonical).mean() > 0.9


def test_precision_follows_the_device_and_wrong_settings_are_named():
    assert precision_of(extracting(precision="auto"), "cpu") == "float32"
    assert precision_of(extracting(precision="float16"), "cpu") == "float16"
    with pytest.raises(ValueError, match="extracting.precision=int8: choose auto"):
        precision_of(extracting(precision="int8"), "cpu")
    with pytest.raises(InstantiationException) as error:
        extracting(batch_size=0)
    assert "extracting.batch_size=0" in str(error.value.__cause__)


def test_the_identity_is_known_without_loading_and_changes_with_what_the_numbers_depend_on(extractor, monkeypatch):
    monkeypatch.setattr(module, "load", lambda *_, **__: pytest.fail("M was loaded"))
    known = identity_of(extracting(batch_size=4), "cpu")
    assert known == extractor.identity
    assert known["untrained"] and known["sha256"] is None and known["precision"] == "float32"
    for change in ({"weights": "random:1:small"}, {"batch_size": 2}, {"precision": "bfloat16"}, {"species": "animal"}):
        assert identity_of(extracting(**{"batch_size": 4} | change), "cpu") != known


def test_a_size_of_the_crop_that_nothing_would_follow_is_an_error():
    crop = extracting().crop
    with pytest.raises(ValueError, match="extracting.crop.size=512: M sees 256 pixels"):
        identity_of(extracting(crop=replace(crop, size=512)), "cpu")
    assert identity_of(extracting(crop=replace(crop, scale=2.0)), "cpu") == identity_of(extracting(), "cpu")


def test_the_identity_of_files_is_their_hash_and_missing_ones_are_named(tmp_path):
    file = tmp_path / "liveportrait" / "base_models" / "motion_extractor.pth"
    with pytest.raises(FileNotFoundError, match="motion_extractor.pth.*weights pull liveportrait"):
        identity_of(extracting(weights=str(tmp_path)), "cpu")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    found = identity_of(extracting(weights=str(tmp_path)), "cpu")
    assert found["sha256"] == hashlib.sha256(b"weights").hexdigest() and not found["untrained"]
    elsewhere = tmp_path / "copy"
    (tmp_path / "liveportrait").rename(elsewhere)
    assert identity_of(extracting(weights=str(elsewhere)), "cpu") == found


def test_what_is_fetched_ahead_is_the_same_in_the_same_order_and_not_much(monkeypatch):
    made, full = 0, threading.Event()
    watched = SimpleNamespace(Queue=lambda depth: WatchedQueue(depth, full), Full=queue.Full)
    monkeypatch.setattr("preprocess.videos.motion.queue", watched)

    def items():
        nonlocal made
        while made < 100:
            made += 1
            yield made

    reader = prefetch(items(), 5)
    assert next(reader) == 1
    assert full.wait(HANGS_SECONDS)
    assert made in (1 + 5, 1 + 5 + 1), "the queue, and the one that waits for room"
    assert list(reader) == list(range(2, 101))


def test_a_fault_in_making_comes_after_what_was_made_before_it():
    def items():
        yield from range(3)
        raise Unusable("damaged", "broken at 1.0 s")

    reader = prefetch(items(), 8)
    assert list(islice(reader, 3)) == [0, 1, 2]
    with pytest.raises(Unusable, match="broken at 1.0 s"):
        next(reader)


def test_a_reader_that_stops_ends_the_thread():
    before = threading.active_count()
    reader = prefetch(count(), 2)
    assert next(reader) == 0 and threading.active_count() == before + 1
    reader.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30, None])
def test_motion_is_that_of_its_time_at_every_rate(fps):
    times = uneven(70) if fps is None else np.arange(70) / fps
    piece = piece_of(times, 3, 65)
    moved = move_piece(clocks(times), piece, track_of(70), times, Reader(), REFERENCE)
    assert moved.motion_NC.shape == (piece.frames, CHANNELS) and moved.motion_NC.dtype == np.float32
    expected = np.arange(piece.first, piece.last) / 25
    np.testing.assert_allclose(moved.motion_NC[:, 0], expected, atol=0.6e-3, err_msg="the clock has whole milliseconds")


def test_a_piece_is_extracted_as_its_frames_are_and_only_once(extractor):
    times, film = np.arange(30) / 30, noise(30)
    track = track_of(24, start=4, ratios_T3=np.random.default_rng(0).uniform(0, 1, (24, 3)))
    piece = piece_of(times, 6, 27)
    moved = move_piece(film, piece, track, times, extractor, REFERENCE)
    assert film.given == 21, "every frame is decoded once"
    native = np.concatenate([m for _, m in extractor.extract(seen(film, extractor, 6, 27))])
    at = np.arange(piece.first, piece.last) / 25
    np.testing.assert_array_equal(moved.motion_NC, interpolate(native, times[6:27], at))
    np.testing.assert_array_equal(moved.ratios_N3, interpolate(track.ratios_T3[2:23], times[6:27], at))
    again = move_piece(film, piece, track, times, extractor, REFERENCE)
    assert again.motion_NC.tobytes() == moved.motion_NC.tobytes()
    assert (again.reference_jpeg, again.reference_facts) == (moved.reference_jpeg, moved.reference_facts)


def seen(film: Film, extractor: Extractor, start: int, stop: int):
    squares = track_of(stop - start).square_T4
    return module.crops_of(film.read(start, stop), squares, extractor.extracting.crop, extractor.input_px)


def test_few_frames_are_held_however_long_the_piece(extractor):
    alive: list[weakref.ref] = []
    most = 0

    class Watched(Film):
        def read(self, start, stop):
            nonlocal most
            for frame in super().read(start, stop):
                fresh = frame.copy()
                alive.append(weakref.ref(fresh))
                most = max(most, sum(each() is not None for each in alive))
                yield fresh
                del fresh

    times = np.arange(60) / 25
    move_piece(Watched(noise(60).frames), piece_of(times), track_of(60), times, extractor, REFERENCE)
    batch = extractor.batch_size
    assert 2 * batch <= most <= 2 * batch + 2, "the batch being filled, the one in M, the best so far, the newest"


def test_the_keypoints_are_those_of_the_jpeg(extractor):
    times = np.arange(6) / 25
    moved = move_piece(noise(6), piece_of(times), track_of(6), times, extractor, REFERENCE)
    picture = cv2.imdecode(np.frombuffer(moved.reference_jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy()
    assert picture.shape == (REFERENCE.crop.size, REFERENCE.crop.size, 3)
    np.testing.assert_array_equal(moved.canonical_K3, canonical_of(picture, extractor))
    assert moved.canonical_K3.shape == (KEYPOINTS, 3)


def test_the_reference_is_the_most_frontal_frame_of_the_piece():
    times, angles = np.arange(20) / 25, np.full((12, 3), 5.0)
    angles[7] = [0.5, -1.0, 0.2]
    moved = move_piece(clocks(times), piece_of(times, 4, 16), track_of(20), times, Reader(angles), REFERENCE)
    assert moved.reference_facts["frame"] == 11 and moved.reference_facts["seconds"] == pytest.approx(11 / 25)
    assert moved.motion_NC[7, [PITCH, YAW]] == pytest.approx([0.5, -1.0])


def test_motion_that_is_not_finite_is_said_with_its_time():
    times, angles = np.arange(10) / 25, np.zeros((10, 3))
    angles[5, 1] = np.nan
    with pytest.raises(Unusable, match="no finite motion at 0.20 s") as problem:
        move_piece(clocks(times), piece_of(times), track_of(10), times, Reader(angles), REFERENCE)
    assert problem.value.kind == "failed"


def test_a_film_that_ends_too_soon_and_a_piece_outside_its_track_are_refused(extractor):
    times = np.arange(10) / 25
    with pytest.raises(Unusable, match="8 frames could be read .expected 10") as problem:
        move_piece(noise(8), piece_of(times), track_of(10), times, extractor, REFERENCE)
    assert problem.value.kind == "damaged"
    with pytest.raises(ValueError, match=r"\[0, 10\).*track's \[2, 10\)"):
        move_piece(noise(10), piece_of(times), track_of(8, start=2), times, extractor, REFERENCE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_what_a_cpu_gives(extractor):
    pictures = crops(extractor, 11)
    exact = np.concatenate([motion for _, motion in extractor.extract(pictures)])
    for precision, tolerance in (("float32", 0.01), ("auto", 0.5)):
        there = Extractor(extracting(batch_size=4, precision=precision), "cuda")
        found = np.concatenate([motion for _, motion in there.extract(pictures)])
        assert np.abs(found - exact).max() < tolerance, "degrees"
