"""Laws of the lip crops: the reference's arithmetic to the pixel, crops that follow their face, flat memory.

The films are small. A box may stand for a face of any content, so no detector is needed: `look` reads the boxes of a
frame from a table, by the number in the frame's corner.
"""

import weakref
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from scipy import signal
from scipy.interpolate import interp1d

from joyvasa.eval.lip_crop import (
    LipCrop,
    at_25,
    crops_in_boxes,
    embed_tracks,
    indices_at_25,
    lip_crops,
    whole_frames,
)
from joyvasa.eval.lip_track import SYNCNET_RULE, box_overlap

# As the published ones, for faces and tracks that a test draws in a moment.
SMALL = replace(SYNCNET_RULE, min_track=8, smallest_px=10)


def film(count, height=60, width=90, seed=0):
    """Frames of one texture, with their number in the corner: no cuts."""
    texture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for number in range(count):
        frame = texture.copy()
        frame[0, 0] = number % 256, number // 256, 7
        yield frame


def table(boxes):
    """frame number -> boxes, as what looks at a frame."""
    return lambda frame: boxes.get(int(frame[0, 0, 0]) + 256 * int(frame[0, 0, 1]), [])


def square(x, y, side):
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def sorted_out(events):
    """(tracks in the order of their numbers, number -> crops), of which the frames are in order."""
    tracks, crops = [], {}
    for each in events:
        if isinstance(each, LipCrop):
            crops.setdefault(each.track, []).append(each)
        else:
            tracks.append(each)
    return sorted(tracks, key=lambda track: track.number), crops


def slow_tracks(boxes, frames, rule):
    """The reference's steps, one track through the whole shot after another: lists of (frames, boxes)."""
    left = [[(frame, box) for box in boxes.get(frame, [])] for frame in range(frames)]
    tracks = []
    while any(left):
        track = []
        for here in left:
            for item in here:  # the list loses items meanwhile, as there: the one behind a taken item is passed over
                near = track and item[0] - track[-1][0] <= rule.gap_frames
                if not track or (near and box_overlap(item[1], track[-1][1]) > rule.overlap):
                    track.append(item)
                    here.remove(item)
                elif not near:
                    break
        if len(track) > rule.min_track:
            seen = np.array([frame for frame, _ in track])
            corners = np.array([box for _, box in track])
            whole = np.arange(seen[0], seen[-1] + 1)
            filled = np.stack([interp1d(seen, corners[:, side])(whole) for side in range(4)], axis=1)
            if max(np.mean(filled[:, 2] - filled[:, 0]), np.mean(filled[:, 3] - filled[:, 1])) > rule.smallest_px:
                tracks.append((whole, filled))
    return tracks


def slow_crops(images, whole, filled, rule):
    """The reference's crops: the frame in a wide border, cut by slices."""
    halves = [max(bottom - top, right - left) / 2 for left, top, right, bottom in filled]
    halves = signal.medfilt(halves, kernel_size=rule.median_frames)
    ys = signal.medfilt([(box[1] + box[3]) / 2 for box in filled], kernel_size=rule.median_frames)
    xs = signal.medfilt([(box[0] + box[2]) / 2 for box in filled], kernel_size=rule.median_frames)
    found = []
    for frame, half, y, x in zip(whole, halves, ys, xs, strict=True):
        wide = int(half * (1 + 2 * rule.padding))
        padded = np.pad(images[frame], ((wide, wide), (wide, wide), (0, 0)), constant_values=rule.border)
        y, x = y + wide, x + wide
        rows = slice(int(y - half), int(y + half * (1 + 2 * rule.padding)))
        columns = slice(int(x - half * (1 + rule.padding)), int(x + half * (1 + rule.padding)))
        found.append(cv2.resize(padded[rows, columns], (rule.side, rule.side)))
    return found


def wandering(frames, seed):
    """Two faces that move, tremble, grow, leave the picture a little and are missed now and then; false boxes."""
    rng = np.random.default_rng(seed)
    boxes = {}
    for frame in range(frames):
        swing = np.sin(frame / 15)
        for start, x, y, side in ((0, 22, 20, 24), (5, 68, 40, 26)):
            if frame >= start and rng.random() > 0.2:
                box = square(x + 6 * swing, y + 9 * swing, side + 4 * swing) + rng.normal(0, 0.7, 4)
                boxes.setdefault(frame, []).append(tuple(box))
        if rng.random() < 0.1:
            boxes.setdefault(frame, []).append(square(*rng.uniform(10, 50, 2), 14))
        rng.shuffle(boxes.get(frame, []))
    return boxes


@pytest.mark.parametrize("seed", range(4))
def test_crops_are_those_of_the_reference_to_the_pixel(seed):
    boxes, frames = wandering(70, seed), list(film(70))
    boxes = {frame: [tuple(map(float, box)) for box in found] for frame, found in boxes.items()}
    expected = slow_tracks(boxes, 70, SMALL)
    tracks, crops = sorted_out(lip_crops(iter(frames), table(boxes), SMALL, "film"))
    kept = [track for track in tracks if track.refused is None]
    assert len(kept) == len(expected) >= 2
    for track, (whole, filled) in zip(kept, expected, strict=True):
        assert (track.start, track.stop) == (whole[0], whole[-1] + 1)
        assert [crop.frame for crop in crops[track.number]] == whole.tolist()
        for crop, slow in zip(crops[track.number], slow_crops(frames, whole, filled, SMALL), strict=True):
            np.testing.assert_array_equal(crop.image, slow)


def test_a_square_that_moves_stands_still_in_its_crops():
    def frames():
        for number in range(30):
            frame = np.full((200, 400, 3), 60, np.uint8)
            frame[80:120, 100 + 4 * number : 140 + 4 * number] = 250
            frame[0, 0] = number, 0, 7
            yield frame

    boxes = {number: [square(120 + 4 * number, 100, 40)] for number in range(30)}
    _, crops = sorted_out(lip_crops(frames(), table(boxes), SMALL, "film"))
    for crop in crops[0][6:-6]:  # at the ends the median takes the place of a frame further inside
        ys, xs = np.nonzero(crop.image[..., 0] > 155)
        # A crop is 2.8 half sides: none above, 0.8 below, 0.4 beside; of 224 pixels 80 a half side.
        assert (ys.min(), ys.max(), xs.min(), xs.max()) == pytest.approx((0, 159, 32, 191), abs=1)


def test_what_lies_outside_the_picture_is_grey():
    boxes = {number: [square(4, 56, 20)] for number in range(10)}
    _, crops = sorted_out(lip_crops(film(10), table(boxes), SMALL, "film"))
    image = crops[0][0].image
    assert (image[-60:] == 110).all() and (image[:, :60] == 110).all() and (image[20:100, 100:] != 110).any()


def test_a_cut_ends_all_tracks():
    dark, light = np.full((60, 90, 3), 20, np.uint8), np.full((60, 90, 3), 220, np.uint8)
    frames = [dark] * 12 + [light] * 15
    tracks, crops = sorted_out(lip_crops(iter(frames), lambda _: [square(45, 30, 20)], SMALL, "film"))
    assert [(each.start, each.stop, each.refused) for each in tracks] == [(0, 12, None), (12, 27, None)]
    assert all((crop.image[30:100, 60:160] == 20).all() for crop in crops[0])
    assert all((crop.image[30:100, 60:160] == 220).all() for crop in crops[1])
    assert tracks[1].samples == range(12 * 640, 27 * 640)


def test_memory_is_flat_whatever_the_length_and_wherever_the_face_is_lost():
    alive, most = weakref.WeakSet(), 0

    class Frame(np.ndarray):
        __hash__ = object.__hash__

    def frames(count):
        nonlocal most
        for frame in film(count, 40, 40):
            held = frame.view(Frame)
            alive.add(held)
            most = max(most, len(alive))
            yield held

    seen = {at: [square(20, 20, 20)] for at in range(500) if at % 45 < 21}
    tracks, crops = sorted_out(lip_crops(frames(600), table(seen), SMALL, "film"))
    assert [(each.start, each.stop) for each in tracks] == [(0, 500)] and len(crops[0]) == 500
    # 25 since the face was seen, 6 for the median, the frame itself; two by which cuts are seen.
    assert most <= 25 + 6 + 1 + 2


def test_boxes_that_are_given_are_cut_as_tracks_are():
    corners = {at: [square(40 + at / 3, 30 - at / 5, 22 + at / 9)] for at in range(30)}
    _, crops = sorted_out(lip_crops(film(30), table(corners), SMALL, "film"))
    given = np.array([corners[at][0] for at in range(30)])
    for crop, image in zip(crops[0], crops_in_boxes(film(30), given, SMALL, "film"), strict=True):
        np.testing.assert_array_equal(crop.image, image)
    for count in (29, 31):
        with pytest.raises(ValueError, match="frames for 30 boxes"):
            list(crops_in_boxes(film(count), given, SMALL, "film"))
    with pytest.raises(ValueError, match="expected \\(7 or more, 4\\)"):
        list(crops_in_boxes(film(6), given[:6], SMALL, "film"))


def test_whole_frames_are_stretched():
    for frame, image in zip(film(3), whole_frames(film(3), 224), strict=True):
        np.testing.assert_array_equal(image, cv2.resize(frame, (224, 224)))


@pytest.mark.parametrize("rate", ["25", "50", "30", "30000/1001", "24", "10", "25/2", "60"])
def test_25_frames_a_second_show_what_is_nearest_in_time(rate):
    fps, count = Fraction(rate), 200
    shown = indices_at_25(fps, count)
    places = np.array([int(25 * i / fps + Fraction(1, 2)) for i in range(count)])  # each frame's, to the nearest
    for n, index in enumerate(shown):
        assert index == np.flatnonzero(places <= n)[-1]
    assert abs(len(shown) / 25 - count / fps) <= 0.02
    frames = list(at_25(iter(range(count)), fps, count))
    assert frames == shown.tolist()


def test_a_film_shorter_than_stated_is_an_error():
    with pytest.raises(ValueError, match="8 frames .expected 10.*ended early"):
        list(at_25(iter(range(8)), Fraction(25), 10))


@pytest.mark.parametrize("piece_frames", [1, 40, 100])
def test_windows_of_a_track_are_those_of_its_crops_in_pieces_of_any_size(piece_frames):
    boxes, sizes = wandering(70, 0), []

    def embed(piece):
        sizes.append(len(piece))
        return piece.double().mean((1, 2, 3)).unfold(0, 5, 1).mean(1, keepdim=True)

    events = list(lip_crops(film(70), table(boxes), replace(SMALL, side=16), "film"))
    _, crops = sorted_out(events)
    found = list(embed_tracks(events, embed, piece_frames=piece_frames))
    assert max(sizes) <= piece_frames + 4 and min(sizes) >= 5
    assert any(track.refused for track, _ in found) and sum(track.refused is None for track, _ in found) == 2
    for track, windows in found:
        assert (windows is None) == (track.refused is not None)
        if windows is not None:
            whole = torch.from_numpy(np.stack([crop.image for crop in crops[track.number]]))
            torch.testing.assert_close(windows, embed(whole))
            assert len(windows) == track.stop - track.start - 4
