"""Features of pictures (FID, KID) or clips (FVD, KVD) of a film, as a protocol's sampling takes them.

T frames of a clip, N samples of a film, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from joyvasa.eval.films.gauge import OpenFilm, Reading, Unfit
from joyvasa.eval.protocol_fields import Sampling
from joyvasa.eval.protocol_hash import DecodePath, Network, plain
from joyvasa.models.judges.i3d import I3D
from joyvasa.models.judges.inception import InceptionV3

BATCH_PICTURES = 8
RANDOM, FIRST = "random", "first"


@dataclass(eq=False)
class FeatureInstrument:
    """revision: of the protocol. start: "first" or "random", as the protocol has it for this side. A reading holds
    features (N, D) float32."""

    revision: int
    network: Network
    sampling: Sampling
    start: str
    weights: Mapping[str, str]
    decode_path: DecodePath
    judge: I3D | InceptionV3

    @property
    def beside(self) -> frozenset[str]:
        return frozenset({"name"} if self.start == RANDOM else ())

    @property
    def identity(self) -> dict[str, Any]:
        how = self.sampling
        return {
            "reads": "features",
            "revision": self.revision,
            "network": plain(self.network),
            "clips": [how.frames, how.stride, how.per_video, self.start, how.seed if self.start == RANDOM else None],
            "weights": dict(self.weights),
            "decode_path": plain(self.decode_path),
        }

    def begin(self, film: OpenFilm) -> PictureGauge | ClipGauge:
        how, span = self.sampling, self.sampling.frames * self.sampling.stride
        if film.info.frames < span:
            raise Unfit(f"{film.info.frames} frames (expected at least {span})")
        if how.frames == 1:
            return PictureGauge(self, film.info.frames)
        count = film.info.frames // span if how.per_video is None else how.per_video
        return ClipGauge(self, self._start(film, span * count) + span * np.arange(count))

    def _start(self, film: OpenFilm, span: int) -> int:
        if self.start == FIRST:
            return 0
        drawn = hashlib.sha256(f"{self.sampling.seed}/{film.key}".encode()).digest()
        return int(np.random.default_rng(int.from_bytes(drawn)).integers(film.info.frames - span + 1))


class _Features:
    """samples: how many there will be. Room for all is taken with the first: small pieces kept between the large ones
    that come and go tear the heap, which then grows with the film, by half a megabyte a picture."""

    def __init__(self, samples: int) -> None:
        self._samples, self._count, self._features_ND = samples, 0, np.empty((0, 0), np.float32)

    def _keep(self, features_ND: torch.Tensor) -> None:
        if not self._count:
            self._features_ND = np.empty((self._samples, features_ND.shape[1]), np.float32)
        start, self._count = self._count, self._count + len(features_ND)
        self._features_ND[start : self._count] = features_ND.float().cpu().numpy()

    def _reading(self) -> Reading:
        features_ND = self._features_ND[: self._count]
        if not np.isfinite(features_ND).all():
            raise Unfit("features that are not finite (NaN): its pictures are broken")
        return Reading({"samples": len(features_ND)}, {"features": features_ND})


class PictureGauge(_Features):
    """Every `stride`-th picture, in batches."""

    def __init__(self, instrument: FeatureInstrument, frames: int) -> None:
        super().__init__(-(-frames // instrument.sampling.stride))
        self._by, self._held, self._at = instrument, [], 0

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if self._at % self._by.sampling.stride == 0:
            self._held.append(frame)
        self._at += 1
        if len(self._held) == BATCH_PICTURES:
            self._judge()

    def _judge(self) -> None:
        self._keep(self._by.judge.features(torch.from_numpy(np.stack(self._held))))
        self._held = []

    def end(self) -> Reading:
        if self._held:
            self._judge()
        return self._reading()


class ClipGauge(_Features):
    """Clips that begin at the given frames and do not overlap; one is held, at the network's size."""

    def __init__(self, instrument: FeatureInstrument, starts: np.ndarray) -> None:
        super().__init__(len(starts))
        how = instrument.sampling
        self._judge = instrument.judge
        self._frames = how.frames
        self._wanted = {int(start + how.stride * index) for start in starts for index in range(how.frames)}
        self._held: list[torch.Tensor] = []
        self._at = 0

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if self._at in self._wanted:
            self._held.append(self._judge.prepared(torch.from_numpy(frame)[None]))
        self._at += 1
        if len(self._held) == self._frames:
            self._keep(self._judge.prepared_features(torch.cat(self._held)[None]))
            self._held = []

    def end(self) -> Reading:
        return self._reading()
