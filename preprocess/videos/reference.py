"""The picture of a piece's face for the render/ group, and the film of a validation clip.

T kept frames of the piece, N motion frames at 25 a second, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from joyvasa.faces.crop import crop
from joyvasa.io.video_writer import VIDEO_OPTIONS, write_video
from joyvasa.motion import FPS, ROTATION
from preprocess.videos.crops import crops_of, path_of, squares_of, transform_of
from preprocess.videos.records import FaceTrack, Piece
from preprocess.videos.settings import Extracting, Reference

# At half the colour resolution, as JPEG has it by default, lips bleed into the skin.
JPEG_COLOUR = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
# x264's bytes depend on the number of its threads, which is the machine's number of cores where it is not said.
REPEATABLE = {"threads": "1"}


class FrameReader(Protocol):
    """Kept frames of a film; the same pixels wherever reading starts."""

    def read(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Frames [start, stop), uint8 RGB (H, W, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class ReferencePicture:
    """jpeg: the crop of one frame. pixels: what a reader of the jpeg sees, uint8 RGB (size, size, 3). facts: which
    frame it is, its seconds since the film's first picture, the transform frame -> crop (9 numbers, row by row), the
    crop's size in pixels, and the face's square in the frame."""

    jpeg: bytes
    pixels: np.ndarray
    facts: dict[str, Any]


class MostFrontal:
    """The frame, of those offered one after the other, whose angles are the smallest in sum; the first of several.

    Its eyes are open: where ratios_T3 is known, only frames count in which the less open eye is at least as open as in
    half of all. number: of the frame, from 0.
    """

    def __init__(self, ratios_T3: np.ndarray | None):
        eyes_T = None if ratios_T3 is None else ratios_T3[:, :2].min(axis=1)
        self._open_T = None if eyes_T is None else eyes_T >= np.median(eyes_T)
        self._offered, self._turned = 0, np.inf
        self.number, self.frame = -1, None

    def offer(self, motion_C: np.ndarray, frame: np.ndarray) -> None:
        """The next frame and its motion."""
        turned = np.abs(motion_C[ROTATION]).sum()
        if turned < self._turned and (self._open_T is None or self._open_T[self._offered]):
            self.number, self.frame, self._turned = self._offered, frame, turned
        self._offered += 1


def picture_of(
    frame: np.ndarray, number: int, square_4: np.ndarray, seconds: float, reference: Reference
) -> ReferencePicture:
    """Cut a frame, by name kept frame `number`, shown at `seconds`. The same picture gives the same bytes."""
    spec = reference.crop
    transform = transform_of(square_4, spec)
    cut = crop(frame, transform, spec.size)
    options = [cv2.IMWRITE_JPEG_QUALITY, reference.quality, *JPEG_COLOUR]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(cut, cv2.COLOR_RGB2BGR), options)
    facts = {
        "frame": number,
        "seconds": float(seconds),
        "transform": transform.ravel().tolist(),
        "size": spec.size,
        "square": [float(number) for number in square_4],
    }
    pixels = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return ReferencePicture(data.tobytes(), pixels, facts)


def film_of(
    frames: FrameReader,
    piece: Piece,
    track: FaceTrack,
    times_T: np.ndarray,
    reference: Reference,
    extracting: Extracting,
    audio: np.ndarray,
    out: Path,
) -> None:
    """Write an mp4 of a piece, with its sound, whose frame n shows the face at motion frame n.

    It is the crop that M saw, at the reference picture's size: there a face drawn from the motion as it is lies on the
    recorded one, which paired scores need. times_T: seconds of all the film's kept frames; each moment shows the
    nearest one. audio: (samples,) at 16 kHz. The same piece gives the same bytes. Raises as write_video.
    """
    size, at_N = reference.crop.size, np.arange(piece.first, piece.last) / FPS
    path_T4, _ = path_of(squares_of(track, piece), extracting.still)
    crops = crops_of(frames.read(piece.start, piece.stop), path_T4, extracting.crop, size)
    options = {**VIDEO_OPTIONS, "crf": str(reference.crf), **REPEATABLE}
    write_video(out, at(crops, nearest(times_T[piece.start : piece.stop], at_N)), audio, options=options)


def nearest(times_T: np.ndarray, at_N: np.ndarray) -> np.ndarray:
    """(N,) number of the frame shown nearest to each moment; the earlier of two equally near ones."""
    return np.searchsorted((times_T[1:] + times_T[:-1]) / 2, at_N, side="left")


def at(items: Iterable[np.ndarray], index_N: np.ndarray) -> Iterator[np.ndarray]:
    """The items of rising numbers, some left out and some repeated; one is held at a time."""
    following, number, item = iter(items), -1, None
    for wanted in index_N.tolist():
        while number < wanted:
            item, number = next(following), number + 1
        yield item
