"""Fixtures: a tiny motion generator whose output layers are not zero, and a batch as the loader draws it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from joyvasa.models.diffusion import NoiseSchedule, SampleTarget
from joyvasa.models.dit import DiT
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.logmel import LogMelEncoder
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME, AffineNormaliser

WIDTH = 16


def perturb(module: torch.nn.Module, seed: int = 0) -> None:
    """Add noise to every weight: a fresh denoiser's gates are shut, so nothing would reach its output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)


def tiny_dit(seed: int = 0, depth: int = 2) -> DiT:
    """As it comes from the constructor: width 16, two heads, a kernel of 5 frames."""
    torch.manual_seed(seed)
    return DiT(
        channels=CHANNELS, audio_width=WIDTH, width=WIDTH, depth=depth, heads=2, kernel=5, mlp_ratio=2.0, dropout=0.0
    )


def tiny_generator(
    target=None, guidance_dropout: float = 0.1, history_noise: float = 0.0, fresh: bool = False
) -> MotionGenerator:
    """10 cosine steps; motion = 0.5 + 2 normalised motion; weights perturbed unless `fresh`; evaluation mode."""
    denoiser = tiny_dit()
    encoder = LogMelEncoder(width=WIDTH, bands=20, blocks=1, kernel=3)
    if not fresh:
        perturb(denoiser)
    half, wide = torch.full((CHANNELS,), 0.5), torch.full((CHANNELS,), torch.inf)
    return MotionGenerator(
        encoder=encoder,
        denoiser=denoiser,
        schedule=NoiseSchedule(name="cosine", steps=10),
        target=target or SampleTarget(),
        guidance_dropout=guidance_dropout,
        history_noise=history_noise,
        truncation_pad="zero",
        normaliser=AffineNormaliser(half, torch.full((CHANNELS,), 2.0), -wide, wide),
    ).eval()


def draw_batch(batch: int = 3, window: int = 10, seed: int = 0) -> dict[str, torch.Tensor]:
    """`batch` pairs of windows of random motion, audio and draws."""
    generator = torch.Generator().manual_seed(seed)
    frames = 2 * window
    return {
        "motion": torch.randn(batch, frames, CHANNELS, generator=generator),
        "audio": 0.1 * torch.randn(batch, frames * SAMPLES_PER_FRAME, generator=generator),
        "valid": torch.ones(batch, frames),
        "noise": torch.randn(batch, frames, CHANNELS, generator=generator),
        "step_u": torch.rand(batch, 2, generator=generator),
        "drop_u": torch.rand(batch, 2, generator=generator),
    }


class FrameEncoder(nn.Module):
    """Features of a frame are a linear map of its own samples: nothing leaks from one frame to the next."""

    def __init__(self, width: int):
        super().__init__()
        self.per_window = False
        torch.manual_seed(1)
        self.map = nn.Linear(SAMPLES_PER_FRAME, width)

    def forward(self, audio_BS: Tensor) -> Tensor:
        return self.map(audio_BS.unflatten(-1, (-1, SAMPLES_PER_FRAME)))


def watch_calls(generator: MotionGenerator) -> list[tuple[Tensor, ...]]:
    """What every call of the denoiser from here on is given: noisy, step, audio, history, history audio."""
    calls: list[tuple[Tensor, ...]] = []
    denoiser, heard = generator.denoiser, []
    listen = denoiser.condition

    def condition(audio, past_audio, valid):
        heard[:] = audio, past_audio
        return listen(audio, past_audio, valid)

    denoiser.condition = condition
    denoiser.register_forward_pre_hook(lambda _, args: calls.append((*args[:2], heard[0], args[3], heard[1])))
    return calls


@pytest.fixture
def make_dit() -> Callable[..., DiT]:
    """`tiny_dit`: (seed, depth) -> DiT, fresh."""
    return tiny_dit


@pytest.fixture
def stir() -> Callable[..., None]:
    """`perturb`: (module, seed), in place."""
    return perturb


@pytest.fixture
def make_generator() -> Callable[..., MotionGenerator]:
    """`tiny_generator`: (target, guidance_dropout, history_noise, fresh) -> MotionGenerator."""
    return tiny_generator


@pytest.fixture
def make_batch() -> Callable[..., dict[str, torch.Tensor]]:
    """`draw_batch`: (batch, window, seed) -> dict."""
    return draw_batch


@pytest.fixture
def generator() -> MotionGenerator:
    """`tiny_generator` behind an encoder that sees one frame at a time."""
    made = tiny_generator()
    made.encoder = FrameEncoder(WIDTH)
    return made


@pytest.fixture
def watch() -> Callable[[MotionGenerator], list[tuple[Tensor, ...]]]:
    """`watch_calls`: (generator) -> list that fills as it runs."""
    return watch_calls
