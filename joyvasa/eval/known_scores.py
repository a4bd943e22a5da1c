"""Known answers of scores: formulas, planted shifts, numbers of published code. No weights, less than a second.

N windows or samples, D features, S shifts, T frames.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from joyvasa.eval import lip_crop, lip_track
from joyvasa.eval.frechet import FrechetDistance, frechet_distance
from joyvasa.eval.frechet_infinity import FrechetInfinity, extrapolate
from joyvasa.eval.identity import VideoIdentity
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.eval.known_answers import Answers, blocks, compared, noise, published, signal
from joyvasa.eval.lip_track import SYNCNET_RULE
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocols import SYNCNET_PROTOCOL
from joyvasa.eval.quality import decibels, mean_squared_error, ssim
from joyvasa.eval.sync import clip_sync

EXACT = 1e-9


def cepstra() -> Answers:
    """Of int16 sound, beside python_speech_features."""
    yield compared("cepstra of python_speech_features", published("mfcc")["values"], mfcc(signal(561)), EXACT)
    yield compared("energy of silence", math.log(np.finfo(float).eps), mfcc(np.zeros(400, np.int16))[0, 0], EXACT)


def lip_sync() -> Answers:
    """Embeddings that are corners of a cube: at the planted shift they are equal, else √2 apart, and 1 from nothing."""
    windows, width, most = 40, 96, SYNCNET_PROTOCOL.max_shift
    eps = SYNCNET_PROTOCOL.eps
    same, strange = eps * math.sqrt(width), math.sqrt(2 + width * eps**2)
    nothing = math.sqrt((1 + eps) ** 2 + (width - 1) * eps**2)
    corners, shifts = torch.eye(width), np.arange(-most, most + 1)
    for planted in (-10, 0, 3, 10):
        lip = corners[most : most + windows]
        audio = corners[most - planted : most - planted + windows]
        found = clip_sync(lip, audio, max_shift=most)
        heard = 1 - np.abs(shifts) / windows
        curve_S = heard * np.where(shifts == planted, same, strange) + (1 - heard) * nothing
        masked_S = np.where(shifts == planted, same, strange)
        yield compared(f"offset of a voice moved by {planted}", -planted, found.reference.offset, 0)
        yield compared(f"distances of a voice moved by {planted}", curve_S, found.reference.curve_S, EXACT)
        confidence = np.sort(curve_S)[most] - curve_S.min()
        yield compared(f"confidence of a voice moved by {planted}", confidence, found.reference.confidence, EXACT)
        yield compared(f"masked distances, moved by {planted}", masked_S, found.masked.curve_S, EXACT)


def crops() -> Answers:
    """The crop of a box of half side s around (x, y): rows y - s ... y + 1.8 s, columns x - 1.4 s ... x + 1.4 s, whole
    numbers below; 110 outside. s = 80: 224 of both, pixel for pixel. s = 160: 448, halved; pairs are equal."""
    height, width, side, grey = 300, 360, 224, 110
    rows, columns = np.indices((height, width)) // 2
    picture = np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    for half, (x, y) in ((80, (100.5, 200.5)), (160, (200, 200))):
        at = np.arange(side) * half // 80
        row, column = int(y) - half + at[:, None], int(x) - half * 7 // 5 + at
        inside = (row < height) & (0 <= column) & (column < width)
        expected = np.stack(np.broadcast_arrays(row // 2, column // 2, 0), axis=-1)
        expected = np.where(inside[..., None], expected, grey)
        place = lip_track.Place(0, 0, x, y, half)
        yield compared(f"crop of a box of {2 * half} pixels", expected, lip_crop.cut(picture, place, SYNCNET_RULE), 0)


def tracks() -> Answers:
    """A box of 120 pixels that moves by one a frame, unseen in the 24 frames between 39 and 64: one track, on a line
    between them. With zeros beyond its ends the median of 13 rising numbers is the number itself at the beginning, and
    in the last six frames the seventh from the end. After a gap of one frame more, or a leap of 40 pixels, which leaves
    (120 - 40) / (120 + 40) = 0.5 in common, another track begins; after a leap of 39 none does. 100 frames are too few.
    """
    frames, side, gap = 126, 120, 25

    def followed(boxes: dict[int, int]) -> list[lip_track.Place | lip_track.LipTrack]:
        tracker = lip_track.LipTracker(SYNCNET_RULE)
        found = [each for at, x in boxes.items() for each in tracker.add(at, [(x, 140.0, x + side, 140.0 + side)])]
        return found + tracker.cut()

    *places, track = followed({at: 40 + at for at in range(frames) if not 40 <= at < 39 + gap})
    x_T = 100 + np.minimum(np.arange(frames), frames - 7)
    expected = np.stack([np.arange(frames), x_T, np.full(frames, 200), np.full(frames, side / 2)], axis=1)
    yield compared("a face followed", expected, [(each.frame, each.x, each.y, each.half) for each in places], EXACT)
    kept = (track.start, track.stop, track.detections, track.face_px, track.refused is None)
    yield compared("its track", (0, frames, frames - 24, side, True), kept, EXACT)
    ways = ({0: 0, gap: 0}, {0: 0, gap + 1: 0}, {0: 0, 1: 39}, {0: 0, 1: 40})
    counts = [sum(isinstance(each, lip_track.LipTrack) for each in followed(boxes)) for boxes in ways]
    yield compared("tracks behind gap and leap", (1, 2, 1, 2), counts, 0)
    taken = [followed(dict.fromkeys(range(seen), 0))[-1].refused is None for seen in (100, 101)]
    yield compared("tracks of 100 and 101 frames", (False, True), taken, 0)


def _around(reach: tuple[float, float], centre: tuple[float, float]) -> torch.Tensor:
    """Four samples (4, 2), a reach to either side of the centre along each axis."""
    steps = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    return steps * torch.tensor(reach, dtype=torch.float64) + torch.tensor(centre, dtype=torch.float64)


def frechet() -> Answers:
    """d² = ‖Δμ‖² + Σ (√a − √b)² of covariances along the axes, one without full rank; another of turned ones."""
    for ddof in (0, 1):
        metric = FrechetDistance(features=2, ddof=ddof, minimum=4)
        metric.update(_around((1, 3), (0, 0)), real=True, video="one")
        metric.update(_around((2, 0), (3, 4)), real=False, video="one")
        expected = 25 + 2 / (4 - ddof) * ((1 - 2) ** 2 + (3 - 0) ** 2)
        yield compared(f"scatter divided by n - {ddof}", expected, metric.compute()["distance"], EXACT)
    zeros, flat = torch.zeros(2, dtype=torch.float64), torch.tensor([[1.0, 0], [0, 4]], dtype=torch.float64)
    turned = torch.tensor([[2.5, 1.5], [1.5, 2.5]], dtype=torch.float64)  # by 45 degrees
    yield compared("turned covariances", 10 - 2 * math.sqrt(20.5), frechet_distance(zeros, flat, zeros, turned), EXACT)


def frechet_infinity() -> Answers:
    """The line through the distances of all four samples around a centre from themselves, 0, and of any three of them:
    the mean lies by 1/3 towards the opposite one, with the scatter 2/9 · 3 along that axis and 2/3 · 3 across."""
    for ddof in (0, 1):
        metric = FrechetInfinity(features=2, ddof=ddof, minimum=4, limit=8, smallest=3, points=2, seed=0)
        for real in (True, False):
            metric.update(_around((1, 1), (0, 0)), real=real, video="one")
        all_four, along, across = 2 / (4 - ddof), 2 / 3 / (3 - ddof), 2 / (3 - ddof)
        three = 1 / 9 + sum((math.sqrt(each) - math.sqrt(all_four)) ** 2 for each in (along, across))
        found, slope = metric.compute(), three / (1 / 3 - 1 / 4)
        line = [-slope / 4, slope]
        yield compared(f"limit and slope, n - {ddof}", line, [found["distance"], found["slope"]], EXACT)
    sizes = np.array([512, 700, 1000, 2048])
    yield compared("a line in 1 / n", [3, 40], extrapolate(sizes, 3 + 40 / sizes), EXACT)


def kernel() -> Answers:
    """Two samples a side: k(a, −a) + k(0, 0) − 2 k(a, 0), nothing with itself."""
    metric = KernelDistance(features=2, limit=4, subsets=2, subset_size=2, seed=0)
    metric.update(torch.tensor([[1.0, 0], [-1, 0]]), real=True, video="one")
    metric.update(torch.zeros(2, 2), real=False, video="one")
    yield compared("kernel distance", (1 - 1 / 2) ** 3 + 1 - 2, metric.compute()["distance"], EXACT)


def identity() -> Answers:
    """Of four frames, one without a face."""
    metric = VideoIdentity()
    metric.update(torch.tensor([1.0, 0.5, math.nan, 0.0]))
    found, fifth = metric.compute(), 0.05
    expected = {"csim": 0.5, "csim_min": 0, "csim_p5": fifth, "csim_pessimistic": 1.5 / 4, "face_rate": 3 / 4}
    yield from (compared(name, value, found[name], EXACT) for name, value in expected.items())


def psnr() -> Answers:
    for apart in (1, 255):
        one, other = torch.zeros(1, 4, 4, 3, dtype=torch.uint8), torch.full((1, 4, 4, 3), apart, dtype=torch.uint8)
        found = decibels(mean_squared_error(one, other))
        yield compared(f"pictures {apart} apart", [20 * math.log10(255 / apart)], found, EXACT)
    yield compared("equal pictures", [math.inf], decibels(mean_squared_error(one, one)), 0)


def structure() -> Answers:
    """(2ab + C₁) / (a² + b² + C₁) of flat pictures, and torchmetrics' number of others."""
    a, b, constant = 100, 130, (0.01 * 255) ** 2
    flat = [torch.full((1, 12, 12, 3), each, dtype=torch.uint8) for each in (a, b)]
    yield compared("flat pictures", [(2 * a * b + constant) / (a**2 + b**2 + constant)], ssim(*flat), EXACT)
    one, fine = blocks(1, 40, 37, 3), noise(1, 40, 37, 3)
    other = ((fine.astype(int) + one) // 2).astype(np.uint8)
    found = ssim(torch.from_numpy(one), torch.from_numpy(other))
    yield compared("torchmetrics' number", published("ssim")["values"], found, EXACT)
