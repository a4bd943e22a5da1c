"""M over the crops of a face: motion at 25 frames a second, keypoints and picture of its reference frame.

B batch, T kept frames of a piece, N motion frames at 25 a second, C channels, K keypoints.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from joyvasa.models.liveportrait import load
from joyvasa.models.liveportrait.files import FILES, find
from joyvasa.models.liveportrait.sizes import OFFICIAL
from joyvasa.motion import FPS, interpolate
from preprocess.videos.crops import crops_of, path_of, squares_of
from preprocess.videos.records import FaceTrack, Piece, Unusable
from preprocess.videos.reference import FrameReader, MostFrontal, picture_of
from preprocess.videos.settings import Extracting, Reference

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCHES_AHEAD = 2  # whose crops wait for the GPU; their frames are held until it is known which of them is frontal
BATCH = {"cpu": 4, "cuda": 32}  # frames at once where it is not said; a CPU gains nothing from more
POLL_SECONDS = 0.2  # how soon a full queue notices that nobody reads it any more


@dataclass(frozen=True, eq=False)
class Moved:
    """A piece's motion and its reference picture. crop: "still" or "followed", see crops.path_of.

    canonical_K3: M's keypoints of the reference picture as its JPEG shows it.
    """

    motion_NC: np.ndarray
    ratios_N3: np.ndarray | None
    canonical_K3: np.ndarray
    reference_jpeg: bytes
    reference_facts: dict[str, Any]
    crop: str


def precision_of(extracting: Extracting, device: str) -> str:
    """The name in PRECISIONS that M computes in there. Raises ValueError for another name.

    "auto" on a GPU is float16, as in the reference: as fast as bfloat16, its keypoints ten times as near to float32.
    """
    if extracting.precision in PRECISIONS:
        return extracting.precision
    if extracting.precision != "auto":
        raise ValueError(f"extracting.precision={extracting.precision}: choose auto or one of {', '.join(PRECISIONS)}")
    return "float16" if torch.device(device).type == "cuda" else "float32"


def identity_of(extracting: Extracting, device: str) -> dict[str, Any]:
    """What M's numbers depend on, without loading it; the same wherever its file lies.

    Raises FileNotFoundError naming the command that gets the file where it is not there, ValueError for a precision, a
    batch size or a crop's size that cannot be.
    """
    if extracting.crop.size != OFFICIAL.input_px:
        raise ValueError(f"extracting.crop.size={extracting.crop.size}: M sees {OFFICIAL.input_px} pixels; leave it so")
    untrained = extracting.weights.startswith("random")
    return {
        "weights": extracting.weights if untrained else FILES["M"],
        "species": extracting.species,
        "sha256": None if untrained else find(extracting.weights, "M", extracting.species).sha256,
        "untrained": untrained,
        "precision": precision_of(extracting, device),
        "batch_size": extracting.batch_size or BATCH[torch.device(device).type],
    }


class Extractor:
    """M alone, built once in a process. device: "cpu", "cuda" or "cuda:N". identity: see `identity_of`, which
    raises the same.
    """

    def __init__(self, extracting: Extracting, device: str):
        self.identity = identity_of(extracting, device)
        self.extracting, self.device = extracting, torch.device(device)
        self.batch_size, self.dtype = self.identity["batch_size"], PRECISIONS[self.identity["precision"]]
        networks = load(extracting.weights, extracting.species, parts=("M",))
        self.networks = networks.to_runtime(device=device, dtype=torch.float32, channels_last=False, compile=False)
        self.input_px = self.networks.input_px
        # Else pinned memory would make a context on the first GPU, too.
        self._there = torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def extract(self, crops: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """uint8 crops (input_px, input_px, 3) -> canonical keypoints (B, K, 3) and motion (B, C), batch by batch.

        Batches are filled from the first crop on, so the same crops give the same numbers. Beside a GPU the crops are
        made in a thread, and one batch is computed while the one before is read.
        """
        on_gpu, size = self.device.type == "cuda", self.batch_size
        crops = prefetch(crops, BATCHES_AHEAD * size) if on_gpu else iter(crops)
        before: _Sent | None = None
        while batch := list(islice(crops, size)):
            sent = self._send(batch)
            if before is not None:
                yield before.arrived()
            before = sent
        if before is not None:
            yield before.arrived()

    def _send(self, batch: list[np.ndarray]) -> _Sent:
        with self._there, torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            pixels = torch.from_numpy(np.stack(batch))
            if self.device.type == "cuda":
                pixels = pixels.pin_memory()
            images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
            return _Sent(*self.networks.motion(images))


class _Sent:
    """A batch under way from the device: `arrived` waits for it, and for no batch behind it."""

    def __init__(self, *found: Tensor):
        self.found, self.done = found, None
        if found[0].device.type == "cuda":
            pinned = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in found]
            self.found = tuple(to.copy_(each, non_blocking=True) for to, each in zip(pinned, found, strict=True))
            self.done = torch.cuda.Event()
            self.done.record(torch.cuda.current_stream(found[0].device))

    def arrived(self) -> tuple[np.ndarray, ...]:
        if self.done is not None:
            self.done.synchronize()
        return tuple(each.numpy() for each in self.found)


def prefetch(items: Iterable, depth: int) -> Iterator:
    """The same items in the same order, made in a thread beside the reader, at most `depth` of them ahead.

    What goes wrong in making one is raised where it would have come. A reader that stops ends the thread.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop, end = threading.Event(), object()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
        finally:
            put(end)

    with ThreadPoolExecutor(1, "crops") as pool:
        done = pool.submit(fill)
        try:
            while (item := waiting.get()) is not end:
                yield item
        finally:
            stop.set()
        done.result()


def move_piece(
    frames: FrameReader,
    piece: Piece,
    track: FaceTrack,
    times_T: np.ndarray,
    extractor: Extractor,
    reference: Reference,
) -> Moved:
    """Motion of a piece, from every kept frame by its time to 25 a second, and its reference picture.

    Every frame is read once, and held until its batch is through M. times_T: seconds of all the film's kept frames.
    Raises Unusable("failed") where M's numbers are not finite, and what `frames.read` raises.
    """
    squares_T4, times = squares_of(track, piece), times_T[piece.start : piece.stop]
    ratios_T3 = None
    if track.ratios_T3 is not None:
        ratios_T3 = track.ratios_T3[piece.start - track.start : piece.stop - track.start]
    how, held, best = extractor.extracting, deque(), MostFrontal(ratios_T3)
    path_T4, kind = path_of(squares_T4, how.still)
    read = _held(frames.read(piece.start, piece.stop), held)
    moves = []
    for _, motion_BC in extractor.extract(crops_of(read, path_T4, how.crop, extractor.input_px)):
        moves.append(motion_BC)
        for motion_C in motion_BC:
            best.offer(motion_C, held.popleft())
    motion_TC = np.concatenate(moves)
    if not np.isfinite(motion_TC).all():
        lost = times[np.argmin(np.isfinite(motion_TC).all(axis=1))]
        raise Unusable("failed", f"M gave no finite motion at {lost:.2f} s; set extracting.precision=float32")
    picture = picture_of(best.frame, piece.start + best.number, squares_T4[best.number], times[best.number], reference)
    at_N = np.arange(piece.first, piece.last) / FPS
    return Moved(
        motion_NC=interpolate(motion_TC, times, at_N),
        ratios_N3=None if ratios_T3 is None else interpolate(ratios_T3, times, at_N),
        canonical_K3=canonical_of(picture.pixels, extractor),
        reference_jpeg=picture.jpeg,
        reference_facts=picture.facts,
        crop=kind,
    )


def _held(frames: Iterator[np.ndarray], held: deque) -> Iterator[np.ndarray]:
    for frame in frames:
        held.append(frame)
        yield frame


def canonical_of(picture: np.ndarray, extractor: Extractor) -> np.ndarray:
    """(K, 3) float32 of a crop, uint8 RGB (size, size, 3), made M's size first."""
    px = extractor.input_px
    how = cv2.INTER_AREA if len(picture) > px else cv2.INTER_LINEAR
    ((canonical_BK3, _),) = extractor.extract([cv2.resize(picture, (px, px), interpolation=how)])
    return canonical_BK3[0]
