"""Made films in memory for the tests of motion and reference pictures: what is seen where and when is known."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf

from joyvasa.motion import FPS
from joyvasa.tasks.config import conf_dir
from preprocess.videos.records import FaceTrack, Piece
from preprocess.videos.settings import Extracting, Reference

WIDTH, HEIGHT = 160, 120
SIDE = 40.0


def configured(part: str, **changes) -> Extracting | Reference:
    """Settings of conf/source/videos.yaml, changed; M is small and random."""
    settings = OmegaConf.load(conf_dir() / "source" / "videos.yaml").settings
    return instantiate(settings[part], **changes)


def extracting(**changes) -> Extracting:
    return configured("extracting", **{"weights": "random:0:small"} | changes)


class Film:
    """Frames by number, as a decoder gives them; counts what was read."""

    def __init__(self, frames: list[np.ndarray]):
        self.frames, self.given = frames, 0

    def read(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for frame in self.frames[start:stop]:
            self.given += 1
            yield frame


def noise(count: int) -> Film:
    """Other blurred noise in every frame."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 255, (count, HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    return Film([cv2.resize(each, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for each in coarse])


def clocks(times_T: np.ndarray) -> Film:
    """Frames of one colour, which is the time in milliseconds, in three bytes."""
    whole = np.round(1000 * times_T).astype(int)
    return Film([np.full((HEIGHT, WIDTH, 3), [ms >> 16, ms >> 8 & 255, ms & 255], np.uint8) for ms in whole])


def uneven(count: int) -> np.ndarray:
    """Seconds of frames that come 20 to 42 ms apart, whole milliseconds, the first at 0."""
    return np.concatenate([[0.0], np.cumsum(np.random.default_rng(1).integers(20, 43, count - 1)) / 1000])


def track_of(count: int, start: int = 0, **changes) -> FaceTrack:
    """A face that stands still in the middle of the picture, in kept frames [start, start + count)."""
    still = {
        "square_T4": np.tile([WIDTH / 2, HEIGHT / 2, SIDE, 0.0], (count, 1)),
        "sharpness_T": np.ones(count),
        "ratios_T3": None,
        "sought": count,
        "missed": 0,
        "face_px": SIDE,
        "rivals": 0.0,
    }
    return FaceTrack(start=start, stop=start + count, **still | changes)


def piece_of(times_T: np.ndarray, start: int = 0, stop: int | None = None) -> Piece:
    """All motion frames between the first and the last of these kept frames."""
    stop = len(times_T) if stop is None else stop
    first = int(np.ceil(FPS * times_T[start] - 1e-9))
    return Piece(0, 0, start, stop, first, int(np.floor(FPS * times_T[stop - 1] + 1e-9)) + 1, {})
