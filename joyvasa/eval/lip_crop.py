"""What SyncNet sees: squares of 224 pixels around a face, of one film, in one pass.

Three ways: faces found and followed (`lip_crops`, protocols `syncnet`, `wav2lip-real`, `latentsync`), boxes given
(`crops_in_boxes`), and whole frames that are crops already (`whole_frames`, protocol `wav2lip-lrs`).

One pass, not one to find and one to crop: a film is decoded once, for all metrics. A crop is cut as soon as its place
is known: half a median after the next detection. So no more than gap_frames + median_frames // 2 + 1 frames are held
(32), beside the two by which cuts are seen, whatever the film's length. That a track counts is known at its end alone:
its crops come before.

Crops go on as they are. The reference writes JPEG frames, an AVI (mp4 in LatentSync) and JPEG frames again, which moves
scores a little: name it in the decode path. It finds cuts with PySceneDetect, we with joyvasa.faces.track.

Shape suffixes: T frames, H, W pixels, N windows of 5 frames, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import cv2
import numpy as np
import torch
from torch import Tensor

from joyvasa.eval.lip_track import LipRule, LipTrack, LipTracker, Look, Place, smoothed_rows
from joyvasa.eval.sync import WINDOW_FRAMES
from joyvasa.faces.face import check_image
from joyvasa.faces.track import Shots
from joyvasa.motion import FPS

OVERLAP_FRAMES = WINDOW_FRAMES - 1  # that a piece shares with the next, so that no window is lost


@dataclass(frozen=True, eq=False)
class LipCrop:
    """The crop of one frame of a track: uint8 RGB (side, side, 3)."""

    track: int
    frame: int
    image: np.ndarray


def lip_crops(frames: Iterable[np.ndarray], look: Look, rule: LipRule, where: str) -> Iterator[LipCrop | LipTrack]:
    """All faces of a film: crops of a track in the order of its frames, and behind its last one the track itself.

    frames: uint8 RGB (H, W, 3) at 25 a second (`at_25`). look: gives the boxes of a frame (`detector_boxes`). A track
    that is refused may have given crops before; tracks of several faces come interleaved (`embed_tracks` sorts them).
    Raises ValueError for another kind of array, naming `where`, and for a bad box, naming the frame.
    """
    cropper = LipCropper(look, rule, where)
    for frame in frames:
        yield from cropper.add(frame)
    yield from cropper.end()


class LipCropper:
    """`lip_crops` of frames that are given one by one, so that others can look at them too."""

    def __init__(self, look: Look, rule: LipRule, where: str) -> None:
        self._look, self._rule = look, rule
        self._shots, self._tracker = Shots(where), LipTracker(rule)
        self._held: dict[int, np.ndarray] = {}

    def add(self, frame: np.ndarray) -> list[LipCrop | LipTrack]:
        return [event for moment in self._shots.add(frame) for event in self._events(*moment)]

    def end(self) -> list[LipCrop | LipTrack]:
        """The film is over."""
        return [event for moment in self._shots.end() for event in self._events(*moment)]

    def _events(self, index: int, frame: np.ndarray, _: bool, closes: bool) -> list[LipCrop | LipTrack]:
        self._held[index] = frame
        found = self._tracker.add(index, self._look(frame))
        if closes:
            found += self._tracker.cut()
        events = [self._cut(each) if isinstance(each, Place) else each for each in found]
        needed = self._tracker.needed
        for gone in [key for key in self._held if needed is None or key < needed]:
            del self._held[gone]
        return events

    def _cut(self, place: Place) -> LipCrop:
        return LipCrop(place.track, place.frame, cut(self._held[place.frame], place, self._rule))


def crops_in_boxes(
    frames: Iterable[np.ndarray], boxes_T4: np.ndarray, rule: LipRule, where: str
) -> Iterator[np.ndarray]:
    """Crops of a face whose box (left, top, right, bottom) is known in every frame: smoothed, and cut as tracks are.

    Raises ValueError naming `where` for another number of frames than of boxes, boxes that are not finite, and too few
    for the median.
    """
    boxes = np.asarray(boxes_T4, dtype=np.float64)
    fewest = rule.median_frames // 2 + 1
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) < fewest or not np.isfinite(boxes).all():
        raise ValueError(f"{where}: boxes {boxes.shape} (expected ({fewest} or more, 4), all finite)")
    given = iter(frames)
    for index, row in enumerate(smoothed_rows(boxes, rule.median_frames)):
        frame = next(given, None)
        if frame is None:
            raise ValueError(f"{where}: {index} frames for {len(boxes)} boxes (expected one for each)")
        yield cut(frame, Place(0, index, *map(float, row)), rule)
    if next(given, None) is not None:
        raise ValueError(f"{where}: more than {len(boxes)} frames for {len(boxes)} boxes (expected one for each)")


def whole_frames(frames: Iterable[np.ndarray], side: int) -> Iterator[np.ndarray]:
    """Frames that are crops of faces already, brought to the side (calculate_scores_LRS.py of Rudrabha/Wav2Lip).

    They are stretched, and their rate is taken for 25 a second, as there.
    """
    for index, frame in enumerate(frames):
        check_image(frame, f"crop {index}")
        yield cv2.resize(frame, (side, side))


def cut(image: np.ndarray, place: Place, rule: LipRule) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (side, side, 3): `crop_video` of run_pipeline.py, pixel by pixel.

    The reference puts a border around the whole frame; here around the part alone. Its whole numbers are those of
    coordinates inside that border.
    """
    check_image(image, f"frame {place.frame}")
    half, below = place.half, place.half * (1 + 2 * rule.padding)
    border, beside = int(below), place.half * (1 + rule.padding)
    x, y = place.x + border, place.y + border
    top, bottom = int(y - half) - border, int(y + below) - border
    left, right = int(x - beside) - border, int(x + beside) - border
    if bottom <= top or right <= left:
        raise ValueError(f"frame {place.frame}: a face of {2 * half:g} pixels (expected at least 1)")
    return cv2.resize(_part(image, top, bottom, left, right, rule.border), (rule.side, rule.side))


def _part(image: np.ndarray, top: int, bottom: int, left: int, right: int, grey: int) -> np.ndarray:
    """Rows [top, bottom) and columns [left, right), grey where they are outside."""
    height, width = image.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    if y1 <= y0 or x1 <= x0:
        return np.full((bottom - top, right - left, 3), grey, np.uint8)
    around = y0 - top, bottom - y1, x0 - left, right - x1
    return cv2.copyMakeBorder(image[y0:y1, x0:x1], *around, cv2.BORDER_CONSTANT, value=(grey, grey, grey))


def at_25(frames: Iterable[np.ndarray], fps: Fraction, count: int) -> Iterator[np.ndarray]:
    """`count` frames at `fps` -> frames at 25 a second, repeated or left out, as FFmpeg's `fps` filter does.

    Source frame i belongs to the output frame nearest to its time, of two equally near the later; of several the last
    is shown, and where there is none the one before. Raises ValueError for a film without frames, and for fewer than
    `count`.
    """
    wanted = indices_at_25(fps, count)
    given, at = iter(frames), -1
    for index in wanted.tolist():
        while at < index:
            frame = next(given, None)
            at += 1
            if frame is None:
                raise ValueError(f"{at} frames (expected {count}): the film ended early; export it again")
        yield frame


def indices_at_25(fps: Fraction, count: int) -> np.ndarray:
    """Which of `count` frames at `fps` each frame at 25 a second shows, int64 (T,), rising."""
    if count < 1 or fps <= 0:
        raise ValueError(f"{count} frames at {fps} a second (expected at least one, at a rate above 0)")
    step = Fraction(fps) / FPS
    shown = max(1, int(count / step + Fraction(1, 2)))
    return np.array([min(ceil((n + Fraction(1, 2)) * step) - 1, count - 1) for n in range(shown)], np.int64)


def embed_tracks(
    events: Iterable[LipCrop | LipTrack], embed: Callable[[Tensor], Tensor], *, piece_frames: int
) -> Iterator[tuple[LipTrack, Tensor | None]]:
    """The tracks of `lip_crops` as they end, each with the embeddings of its windows (N, D), N = stop − start − 4; None
    where it is refused.

    embed: uint8 RGB (t, side, side, 3) -> (t − 4, D), for instance `lambda piece: judge.lip_windows([piece])`. It is
    given piece_frames + 4 crops of one track; no more than that are held of each open track, and a track that ends
    before costs nothing.
    """
    embedder = TrackEmbedder(embed, piece_frames=piece_frames)
    for each in events:
        yield from embedder.add(each)


class TrackEmbedder:
    """`embed_tracks` of events that are given one by one."""

    def __init__(self, embed: Callable[[Tensor], Tensor], *, piece_frames: int) -> None:
        self._embed, self._piece_frames = embed, piece_frames
        self._waiting: dict[int, list[np.ndarray]] = {}
        self._done: dict[int, list[Tensor]] = {}

    def add(self, event: LipCrop | LipTrack) -> list[tuple[LipTrack, Tensor | None]]:
        if isinstance(event, LipTrack):
            return [self._ended(event)]
        crops = self._waiting.setdefault(event.track, [])
        crops.append(event.image)
        if len(crops) == self._piece_frames + OVERLAP_FRAMES:
            self._done.setdefault(event.track, []).append(self._embed(torch.from_numpy(np.stack(crops))))
            del crops[: self._piece_frames]
        return []

    def _ended(self, track: LipTrack) -> tuple[LipTrack, Tensor | None]:
        crops, found = self._waiting.pop(track.number, []), self._done.pop(track.number, [])
        if track.refused is None and len(crops) > OVERLAP_FRAMES:
            found.append(self._embed(torch.from_numpy(np.stack(crops))))
        return track, torch.cat(found) if track.refused is None else None
