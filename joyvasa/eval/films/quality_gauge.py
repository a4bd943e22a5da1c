"""How close a film is to its reference, frame by frame (`joyvasa.eval.quality`), and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from joyvasa.eval.films.gauge import OpenFilm, Reading, Unfit
from joyvasa.eval.protocol_hash import DecodePath, Protocol
from joyvasa.eval.quality import Measure, VideoQuality, pair_fault
from joyvasa.io.video_reader import VideoInfo, shrunk
from joyvasa.thumbnails import SIDE, jpeg

BATCH_FRAMES = 4
DAMAGED = "its reference is damaged"  # where there is none, the film is not looked at


@dataclass(eq=False)
class QualityInstrument:
    """measure: of the protocol; None for PSNR, which is always measured. A reading's facts are `VideoQuality`'s."""

    protocol: Protocol
    weights: Mapping[str, str]
    decode_path: DecodePath
    measure: Measure | None
    beside: frozenset[str] = frozenset({"reference"})

    @property
    def identity(self) -> dict[str, Any]:
        return {"reads": "quality", **self.protocol.stamp(self.weights, self.decode_path)}

    def begin(self, film: OpenFilm) -> QualityGauge:
        if film.reference is None:
            raise Unfit(DAMAGED)
        fault = pair_fault(film.info, film.reference)
        if fault:
            raise Unfit(fault)
        return QualityGauge({} if self.measure is None else {self.protocol.metric: self.measure})


class QualityGauge:
    def __init__(self, measures: Mapping[str, Measure]) -> None:
        self._metric = VideoQuality(measures=measures)
        self._held: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if reference is None:
            raise Unfit(DAMAGED)
        self._held.append((frame, reference))
        if len(self._held) == BATCH_FRAMES:
            self._judge()

    def _judge(self) -> None:
        sides = (torch.from_numpy(np.stack(side)) for side in zip(*self._held, strict=True))
        try:
            self._metric.update(*sides)
        except ValueError as error:
            raise Unfit(str(error)) from error
        self._held = []

    def end(self) -> Reading:
        if self._held:
            self._judge()
        return Reading({name: float(value) for name, value in self._metric.compute().items()})


@dataclass(eq=False)
class PictureInstrument:
    """What a film is: its facts, and its middle frame, small, as the bytes of a JPEG file."""

    identity: Mapping[str, Any]
    beside: frozenset[str] = frozenset()

    def begin(self, film: OpenFilm) -> MiddleGauge:
        return MiddleGauge(film.info)


class MiddleGauge:
    def __init__(self, info: VideoInfo) -> None:
        self._info, self._at, self._file = info, 0, b""

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if self._at == self._info.frames // 2:
            self._file = jpeg(cv2.cvtColor(shrunk(frame, SIDE), cv2.COLOR_RGB2BGR))
        self._at += 1

    def end(self) -> Reading:
        info = self._info
        facts = {"seconds": info.seconds, "frames": info.frames, "fps": float(info.fps)}
        facts |= {"width": info.width, "height": info.height}
        return Reading(facts, {"jpeg": np.frombuffer(self._file, np.uint8)})
