"""Laws of the LivePortrait renderer, on small networks with random weights."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from joyvasa.animate.liveportrait import LivePortraitInput, LivePortraitRenderer
from joyvasa.animate.liveportrait_batches import filled, in_batches, quantise, to_host
from joyvasa.models.liveportrait import load
from joyvasa.motion import CHANNELS, HEAD, LIPS, ROTATION, SCALE
from tests.animate.settings import composed

SETTINGS = composed(driving="pose-friendly", normalise_lip=False)


def renderer(batch_size=3, settings=SETTINGS, parts="FMWGS", **changes):
    runtime = {"device": "cpu", "dtype": torch.float32, "channels_last": False, "compile": False, "cuda_graphs": False}
    networks = load("random:0:small", "human", tuple(parts))
    return LivePortraitRenderer(networks, settings, species="human", batch_size=batch_size, **runtime | changes)


def face(size=80, seed=0):
    smooth = np.random.default_rng(seed).random((5, 5, 3))
    return LivePortraitInput((255 * np.kron(smooth, np.ones((size // 5, size // 5, 1)))).astype(np.uint8))


def motion_like(frames, seed=0):
    motion = np.random.default_rng(seed).normal(0, 0.05, (frames, CHANNELS)).astype(np.float32)
    motion[:, ROTATION] *= 100
    motion[:, SCALE] += 1.3
    return motion


def test_frames_do_not_depend_on_the_batch():
    motion = motion_like(7)
    single, batched = (list(r.render(r.prepare(face()), motion)) for r in (renderer(1), renderer(3)))
    assert len(single) == len(batched) == 7
    for one, other in zip(single, batched, strict=True):
        assert one.shape == (128, 128, 3) and one.dtype == np.uint8
        assert np.abs(one.astype(int) - other).max() <= 1
    assert np.abs(single[0].astype(int) - single[3]).max() > 10  # the motion is seen


def test_a_picture_comes_as_soon_as_its_batch():
    made = renderer(2)
    frames = made.render(made.prepare(face()), motion_like(500))
    decoded = []
    made.decode = lambda *inputs: decoded.append(1) or made._draw(*inputs)
    next(frames)
    assert len(decoded) == 1


def test_compiled_decoders_get_whole_batches():
    made = renderer(4)
    seen = []
    made.whole_batches = True
    made.decode = lambda *inputs: seen.append(len(inputs[2])) or made._draw(*inputs)
    assert len(list(made.render(made.prepare(face()), motion_like(6)))) == 6
    assert seen == [4, 4]


@pytest.mark.slow  # a minute where the processor has no instructions for bfloat16
def test_types_agree_to_their_precision():
    motion = motion_like(2)
    exact, rounded = (
        np.stack(list(r.render(r.prepare(face()), motion))).astype(int)
        for r in (renderer(), renderer(dtype=torch.bfloat16, channels_last=True))
    )
    assert np.abs(exact - rounded).mean() < 3


def test_a_video_whose_motion_stands_still_is_drawn_as_it_is():
    made = renderer(2, replace(SETTINGS, region="exp", stitching=False), parts="FMWG")
    faces, still = [face(seed=seed) for seed in range(3)], motion_like(1)[0]
    drawn = list(made.render_over((each, still) for each in faces))
    lips_moved = list(made.render_over((each, move) for each, move in zip(faces, motion_like(3), strict=True)))
    assert len(drawn) == 3
    for each, picture, other in zip(faces, drawn, lips_moved, strict=True):
        prepared = made.prepare(each)
        own = prepared.source.motion.clone()
        own[LIPS] = torch.from_numpy(still)[LIPS]
        source = prepared.source.keypoints[None]
        driving = replace(prepared.source, motion=own).keypoints[None]
        expected = quantise(made.networks.decode(prepared.feature, source, driving))[0].numpy()
        assert np.abs(picture.astype(int) - expected).max() <= 1
        assert picture.shape == other.shape
    assert np.abs(drawn[2].astype(int) - lips_moved[2]).max() > 0


def test_open_lips_are_closed_where_there_are_landmarks():
    made = renderer(settings=replace(SETTINGS, normalise_lip=True))
    landmarks = np.random.default_rng(0).uniform(10, 70, (203, 2)).astype(np.float32)
    bare, marked = (made.prepare(replace(face(), landmarks=points)) for points in (None, landmarks))
    assert bare.source.lip_ratio is None and marked.source.eye_ratio.shape == (2,)
    plain = next(made.render(bare, motion_like(1)))
    assert "no landmarks" in made.notes[0]
    closed = next(made.render(marked, motion_like(1)))
    assert made.notes == () and not np.array_equal(plain, closed)
    assert next(made.render_over([(replace(face(), landmarks=landmarks), motion_like(1)[0])])).shape == closed.shape


def test_a_video_keeps_its_head():
    made = renderer(2, replace(SETTINGS, region="lip"))
    motion, faces = motion_like(5), [face(seed=seed) for seed in range(5)]
    turned = motion.copy()
    turned[1:, HEAD] += 3
    drawn, same = (list(made.render_over(zip(faces, given, strict=True))) for given in (motion, turned))
    assert all(np.array_equal(one, other) for one, other in zip(drawn, same, strict=True))


def test_settings_can_be_those_of_one_film():
    made = renderer()
    prepared, motion = made.prepare(face()), motion_like(2)
    still = replace(SETTINGS, multiplier=0.0)
    usual, stopped, again = (list(made.render(prepared, motion, given)) for given in (None, still, SETTINGS))
    assert np.array_equal(usual, again)
    assert np.array_equal(stopped[0], stopped[1]) and not np.array_equal(usual[1], stopped[1])


def test_memory_does_not_grow_with_the_length():
    made = renderer(4)
    prepared = made.prepare(face())
    peaks = []
    for frames in (8, 40):
        tracemalloc.start()
        for _ in made.render(prepared, motion_like(frames)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 200_000


def test_what_is_wrong_is_said_at_once():
    made = renderer(parts="FMWG")
    with pytest.raises(ValueError, match="motion of shape"):
        made.render(None, np.zeros((0, CHANNELS), np.float32))
    with pytest.raises(ValueError, match="lacks S"):
        made.render(made.prepare(face()), motion_like(2))
    with pytest.raises(ValueError, match="crop of float32"):
        made.prepare(LivePortraitInput(np.zeros((4, 4, 3), np.float32)))
    with pytest.raises(ValueError, match="batch_size 0"):
        renderer(0)
    with pytest.raises(ValueError, match="cuda_graphs on cpu"):
        renderer(cuda_graphs=True)


def test_batches_are_of_one_size_but_the_last():
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert filled(torch.arange(2)[:, None], 4)[:, 0].tolist() == [0, 1, 1, 1]


def test_pictures_are_clipped_and_truncated():
    images = torch.tensor([-0.1, 0.0, 0.5, 0.9999, 1.0, 1.2]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert quantise(images)[0, 0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]
    pictures = list(to_host([(quantise(images), 1)]))
    assert len(pictures) == 1 and pictures[0].shape == (1, 6, 3)
