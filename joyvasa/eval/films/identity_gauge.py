"""Who is seen in a film, frame by frame, beside the source picture (`joyvasa.eval.identity`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from joyvasa.eval.films.gauge import OpenFilm, Reading, Unfit
from joyvasa.eval.identity import IdentityNetwork, IdentityWatch
from joyvasa.eval.protocol_fields import Identity
from joyvasa.eval.protocol_hash import DecodePath, plain
from joyvasa.eval.protocols import PHOTO
from joyvasa.faces.five_points import PointDetector

BATCH_FRAMES = 8
SCORING = ("name", "percentile", "absent")  # of `Identity`: what does not move the cosines


@dataclass(eq=False)
class IdentityInstrument:
    """A reading holds cosines (T,) float64, NaN where the face is not seen."""

    protocol: Identity
    weights: Mapping[str, str]
    decode_path: DecodePath
    network: IdentityNetwork
    detector: PointDetector

    @property
    def beside(self) -> frozenset[str]:
        return frozenset({"photo" if self.protocol.source == PHOTO else "reference"})

    @property
    def identity(self) -> dict[str, Any]:
        whole = {
            name: each for name, each in plain(self.protocol).items() if name not in ("name", "percentile", "absent")
        }
        weights, decode_path = dict(self.weights), plain(self.decode_path)
        return {"reads": "identity", "protocol": whole, "weights": weights, "decode_path": decode_path}

    def begin(self, film: OpenFilm) -> IdentityGauge:
        if self.protocol.source == PHOTO and film.photo is None:
            raise Unfit("no photo of its name that can be read")
        return IdentityGauge(self, film)


class IdentityGauge:
    def __init__(self, instrument: IdentityInstrument, film: OpenFilm) -> None:
        self._by, self._film = instrument, film
        self._watch: IdentityWatch | None = None
        self._held: list[np.ndarray] = []
        self._pieces: list[np.ndarray] = []

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if self._watch is None:
            self._watch = self._begun(reference)
        self._held.append(frame)
        if len(self._held) == BATCH_FRAMES:
            self._judge()

    def _begun(self, reference: np.ndarray | None) -> IdentityWatch:
        protocol = self._by.protocol
        source = self._film.photo if protocol.source == PHOTO else reference
        if source is None:
            raise Unfit("no reference film to take the source picture from")
        try:
            return IdentityWatch(
                source,
                network=self._by.network,
                detector=self._by.detector,
                same_face=protocol.same_face,
                lost_frames=protocol.lost_frames,
                where=protocol.source,
            )
        except ValueError as error:
            raise Unfit(str(error)) from error

    def _judge(self) -> None:
        assert self._watch is not None
        self._pieces.append(self._watch.cosines(self._held).numpy())
        self._held = []

    def end(self) -> Reading:
        if self._held:
            self._judge()
        cosines_T = np.concatenate(self._pieces)
        if np.isinf(cosines_T).any():
            raise Unfit("embeddings that are not finite: its pictures are broken")
        return Reading({"face_rate": float(np.isfinite(cosines_T).mean())}, {"cosines": cosines_T})
