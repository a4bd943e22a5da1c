"""Films that speak: their pictures are as bright as their voice is loud, and a judge that sees and hears just that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from joyvasa.eval.films.feature_gauge import FeatureInstrument
from joyvasa.eval.films.film_scores import Rules
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.films.plan import PICTURE, Plan, Setup
from joyvasa.eval.films.quality_gauge import PictureInstrument, QualityInstrument
from joyvasa.eval.protocols import IN_MEMORY, get
from joyvasa.faces.face import Face
from joyvasa.faces.five_points import PointedFace
from tests.preprocess.videos.made_films import Made, write

RATE = 16_000
RULES = Rules(max_excluded=0.1, min_face_rate=0.75, min_loudness_db=-45.0)
WEIGHTS = {"syncnet/syncnet_v2.model": "random:0"}
LOUDEST = 0.5
# What `Ear` hears of the loudest tone: the root of its energy in a frame of 400 samples, half of it below the middle of
# the spectrum, as loud as pre-emphasis leaves 1 kHz.
EMPHASIS = 1 + 0.97**2 - 2 * 0.97 * np.cos(2 * np.pi * 1000 / RATE)
FULL = 32767 * LOUDEST * (400 / 4 * EMPHASIS) ** 0.5


def loudness(frames: int, seed: int) -> np.ndarray:
    """Of each frame, 0.1 to 1: random, so that no shift looks like another."""
    return np.random.default_rng(seed).uniform(0.1, 1.0, frames)


def speaking(
    path: Path, *, seed: int, frames: int = 60, late: int = 0, noise: float = 0, voice: float = 1.0, fps: int = 25
) -> Path:
    """A film of 32 x 32 pixels. late: frames by which the voice follows the picture; noise: of pixels, in grey levels;
    voice: 0 for silence."""
    loud = loudness(frames, seed)
    heard = np.repeat(np.roll(loud, late), RATE // fps)
    tone = LOUDEST * voice * heard * np.sin(2 * np.pi * 1000 * np.arange(len(heard)) / RATE)
    rng = np.random.default_rng(seed)
    images = (
        np.clip(np.full((32, 32, 3), 255 * each) + noise * rng.standard_normal((32, 32, 3)), 0, 255).astype(np.uint8)
        for each in loud
    )
    options = (("qp", "0"),)
    made = Made(np.arange(frames) / fps, tone.astype(np.float32), rate=RATE, sound_codec="pcm_s16le", options=options)
    return write(path, made, images)


class Ear:
    """SyncNet's place: lips are brightness, a voice is its amplitude, in five frames each."""

    def __init__(self) -> None:
        self.lips = 0

    def lip_windows(self, pieces) -> torch.Tensor:
        (crops,) = pieces
        self.lips += len(crops)
        bright = crops.float().mean((1, 2, 3)) / 255
        return bright.unfold(0, 5, 1)

    def audio(self, windows_N1CM: torch.Tensor) -> torch.Tensor:
        amplitude = (windows_N1CM[:, 0, 0].double() / 2).exp()  # c0: logarithm of the energy
        return (amplitude.unflatten(1, (5, 4)).mean(2) / FULL).float()


class Eye:
    """In the place of I3D and Inception: how bright a picture is, and how uneven: (N, 3)."""

    def features(self, images_NHW3: torch.Tensor) -> torch.Tensor:
        pixels = images_NHW3.float().flatten(1) / 255
        return torch.stack([pixels.mean(1), 10 * pixels.std(1), 10 * pixels.std(1) * pixels.mean(1)], 1)

    prepared = features

    def prepared_features(self, clips_BT3: torch.Tensor) -> torch.Tensor:
        return clips_BT3.mean(1)


class Finder:
    """Sees a face in bright pictures."""

    name = "stand-in"

    def find(self, image):
        face = Face((4.0, 4.0, 20.0, 20.0), 0.0, 0.9, self.name)
        return (
            [PointedFace(face, np.array([(8.0, 8), (20, 8), (14, 14), (9, 20), (19, 20)]))] if image.mean() > 50 else []
        )


class Colours:
    """An identity is a colour."""

    name = "stand-in"

    def embed(self, images, points_B52):
        colours = np.stack([image.reshape(-1, 3).mean(0) for image in images])
        return (colours / np.linalg.norm(colours, axis=1, keepdims=True)).astype(np.float32)


def plan_of(*names: str, ear: Ear | None = None) -> Plan:
    """Protocols without a network, and lip sync of whole pictures by an ear."""
    plan = Plan(Setup(tuple(map(get, names)), "random:0", "haar", "cpu", True, True, RULES))
    picture = PictureInstrument({"reads": PICTURE, "revision": 1})
    plan.sides.generated[PICTURE] = plan.sides.reference[PICTURE] = picture
    for protocol in plan.setup.protocols:
        if protocol.metric == "lipsync":
            instrument = LipInstrument(protocol, WEIGHTS, IN_MEMORY, ear or Ear(), None)
            plan.add(protocol, WEIGHTS, instrument, instrument)
        elif protocol.metric in ("psnr", "ssim"):
            plan.add(protocol, {}, QualityInstrument(protocol, {}, IN_MEMORY, measure_of(protocol.metric)), None)
    return plan


def measure_of(metric: str):
    from joyvasa.eval.quality import ssim

    return ssim if metric == "ssim" else None


def features_of(protocol, start: str) -> FeatureInstrument:
    known = {network.key: "random:0" for network in protocol.networks}
    return FeatureInstrument(protocol.revision, protocol.network, protocol.sampling, start, known, IN_MEMORY, Eye())
