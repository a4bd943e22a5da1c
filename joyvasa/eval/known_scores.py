"""Known answers of scores: formulas, planted shifts, numbers of published code. No weights, less than a second.

N windows or samples, D features, S shifts.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from joyvasa.eval import motion as motion_scores
from joyvasa.eval.distribution import frechet_distance as motion_distance
from joyvasa.eval.frechet import FrechetDistance, frechet_distance
from joyvasa.eval.identity import VideoIdentity
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.eval.known_answers import Answers, blocks, compared, noise, published, signal
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocols import SYNCNET_PROTOCOL
from joyvasa.eval.quality import decibels, mean_squared_error, ssim
from joyvasa.eval.reference import ClipMotion, MotionReference
from joyvasa.eval.sync import clip_sync
from joyvasa.motion import CHANNELS, EYELIDS

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


def motion() -> Answers:
    """Waves: twice as wide, twice as fast, two frames late; blinks that are counted."""
    period, late = 50, 2
    time = np.arange(4 * period + 3)  # third differences over whole periods
    slow, fast = (0.1 * np.sin(2 * np.pi * time * each / period) for each in (1, 2))
    still = np.zeros((len(time), CHANNELS), np.float32)
    truth = _moved(still, slow)
    truth[:, [3 * lid + 1 for lid in EYELIDS]] += np.isin(time % period, (10, 11, 12))[:, None]
    reference = replace(MotionReference.fit([truth]), std=np.ones(CHANNELS), mean=np.zeros(CHANNELS))
    clip = ClipMotion("wave", truth, None, truth)

    def scores(generated: np.ndarray) -> dict[str, np.ndarray]:
        return motion_scores.per_clip([replace(clip, generated=generated)], reference)

    equal, wide, quick = scores(truth), scores(2 * truth), scores(_moved(still, fast))
    shifted = scores(np.concatenate([truth[:1].repeat(late, 0), truth[:-late]]))
    names = ("lip_pc1", "std_ratio_lips", "std_ratio_pose", "jerk_ratio_lips")
    yield compared("equal motions", [[1.0]] * 4, [equal[name] for name in names], EXACT)
    yield compared("twice as wide", [[1.0], [2.0], [2.0], [2.0]], [wide[name] for name in names], 1e-6)
    ratio = (math.sin(2 * math.pi / period) / math.sin(math.pi / period)) ** 3
    yield compared("jerk of waves twice as fast", [ratio], quick["jerk_ratio_lips"], 1e-5)
    yield compared("two frames late", [late], shifted["sync_offset_frames"], 0)
    yield compared("blinks a minute", [4 * 60 * 25 / len(time)], equal["blink_rate"], EXACT)
    wider = motion_distance(np.zeros(2), np.diag([1.0, 9]), np.array([3.0, 4]), np.diag([4.0, 0]))
    yield compared("distance of motions", 25 + 1 + 9, wider, EXACT)


def _moved(still_TC: np.ndarray, wave_T: np.ndarray) -> np.ndarray:
    """Every channel but the lids follows the wave."""
    lids = np.isin(np.arange(CHANNELS) // 3, EYELIDS) & (np.arange(CHANNELS) < 63)
    return (still_TC + wave_T[:, None] * ~lids).astype(np.float32)
