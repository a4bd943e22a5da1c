"""The judges of a process: with weights that are here, or random ones if that was asked; and what looks for faces."""

from __future__ import annotations

from functools import cached_property

from joyvasa import weight_store, weights
from joyvasa.eval.lip_track import Look, detector_boxes
from joyvasa.eval.protocol_fields import Detection
from joyvasa.eval.protocol_hash import Network, Protocol
from joyvasa.eval.protocols import HAAR, SCRFD
from joyvasa.faces.five_points import ScrfdPoints
from joyvasa.faces.haar import HaarDetector
from joyvasa.models.judges import Judge, load
from joyvasa.models.judges.lpips import NAME as LPIPS_ENTRY
from joyvasa.models.judges.lpips import load_lpips

AUTO, TRAINED = "auto", "weights"


class Cabinet:
    """The judges of a process, each loaded once. remark: what took the place of something that is not here."""

    def __init__(self, weights: str, detector: str, device: str) -> None:
        """weights, detector, device: as in `plan.Setup`."""
        self._which, self._detector, self._device = TRAINED if weights == AUTO else weights, detector, device
        self._judges: dict[str, Judge] = {}
        self.remark = ""

    def judge(self, network: Network) -> Judge:
        """Raises FileNotFoundError naming the command that gets its file."""
        entry = network.entry
        if entry not in self._judges:
            loaded = load_lpips(self._which) if entry == LPIPS_ENTRY else load(entry, self._which)
            self._judges[entry] = loaded.to(self._device)
        return self._judges[entry]

    def known(self, protocol: Protocol) -> dict[str, str]:
        """sha256, or random:SEED, of all networks of a protocol."""
        return {network.key: self._weights_of(network) for network in protocol.networks}

    def _weights_of(self, network: Network) -> str:
        judge = self._judges.get(network.entry)
        if judge is not None:
            return judge.sha256 or self._which
        return weight_store.records(weights.get(network.entry))[network.files[0]].sha256

    @cached_property
    def detection(self) -> tuple[Detection, Look]:
        """In the place of S3FD: SCRFD, which learned from the same boxes, else OpenCV's cascades."""
        asked = self._detector
        if asked not in (AUTO, SCRFD.detector, HAAR.detector):
            raise ValueError(f"detector={asked} (expected {AUTO}, {SCRFD.detector} or {HAAR.detector})")
        if asked != HAAR.detector:
            try:
                return SCRFD, detector_boxes(_Points(ScrfdPoints()), SCRFD.confidence)
            except FileNotFoundError as error:
                if asked == SCRFD.detector:
                    raise
                self.remark = f"lip sync: faces by OpenCV's cascades ({HAAR.detector}): {error}"
        return HAAR, detector_boxes(HaarDetector(), HAAR.confidence)


class _Points:
    """A detector of points as one of boxes."""

    def __init__(self, points: ScrfdPoints) -> None:
        self._points, self.name, self.note = points, points.name, ""

    def detect(self, image):
        return [each.face for each in self._points.find(image)]
