"""Noise schedules and the three things a denoiser can be asked to predict.

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise, steps t = 1 … N; index 0 of every table is the clean end.
B batch, T frames, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def linear_betas(steps: int, beta_1: float = 1e-4, beta_n: float = 0.02) -> Tensor:
    """Ho et al. 2020 (arXiv 2006.11239)."""
    return torch.linspace(beta_1, beta_n, steps)


def quadratic_betas(steps: int, beta_1: float = 1e-4, beta_n: float = 0.02) -> Tensor:
    """Linear in the square root of beta."""
    return torch.linspace(beta_1**0.5, beta_n**0.5, steps) ** 2


def sigmoid_betas(steps: int, beta_1: float = 1e-4, beta_n: float = 0.02) -> Tensor:
    """A logistic rise between the two ends."""
    return torch.sigmoid(torch.linspace(-5, 5, steps)) * (beta_n - beta_1) + beta_1


def cosine_betas(steps: int, offset: float = 0.008) -> Tensor:
    """Nichol & Dhariwal 2021 (arXiv 2102.09672), clipped to [1e-4, 0.999] as in JoyVASA's `DiffusionSchedule`."""
    x = torch.linspace(0, steps, steps + 1)
    bars = torch.cos((x / steps + offset) / (1 + offset) * math.pi * 0.5) ** 2
    bars = bars / bars[0]
    return torch.clip(1 - bars[1:] / bars[:-1], 0.0001, 0.999)


BETAS: dict[str, Callable[[int], Tensor]] = {
    "linear": linear_betas,
    "quadratic": quadratic_betas,
    "sigmoid": sigmoid_betas,
    "cosine": cosine_betas,
}


class NoiseSchedule(nn.Module):
    """Tables (N + 1,) of betas, alphas, alpha_bars and the two reverse-step deviations.

    `sigmas_flex` = sqrt(beta); `sigmas_inflex` is that of the true posterior. Buffers keep the official names.
    """

    def __init__(self, *, name: str, steps: int):
        super().__init__()
        if name not in BETAS:
            raise ValueError(f"unknown noise schedule {name!r}: choose from {', '.join(BETAS)}")
        if steps < 1:
            raise ValueError(f"diffusion.schedule.steps={steps}: expected at least 1")
        self.num_steps = steps
        betas = torch.cat([torch.zeros(1), BETAS[name](steps)])
        alphas = 1 - betas
        alpha_bars = torch.cumsum(torch.log(alphas), 0).exp()
        posterior = torch.zeros_like(betas)
        posterior[1:] = (1 - alpha_bars[:-1]) / (1 - alpha_bars[1:]) * betas[1:]
        for key, table in (
            ("betas", betas),
            ("alphas", alphas),
            ("alpha_bars", alpha_bars),
            ("sigmas_flex", betas.sqrt()),
            ("sigmas_inflex", posterior.sqrt()),
        ):
            self.register_buffer(key, table, persistent=False)

    def step_of(self, uniform_B: Tensor) -> Tensor:
        """Steps 1 … N from numbers uniform in [0, 1)."""
        return 1 + (uniform_B * self.num_steps).long().clamp(max=self.num_steps - 1)

    def signal_noise(self, step_B: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(abar) and sqrt(1 - abar) of each sample, (B, 1, 1)."""
        bar = self.alpha_bars[step_B][:, None, None]
        return bar.sqrt(), (1 - bar).sqrt()

    def add_noise(self, clean_BTC: Tensor, noise_BTC: Tensor, step_B: Tensor) -> Tensor:
        signal, deviation = self.signal_noise(step_B)
        return signal * clean_BTC + deviation * noise_BTC


class SampleTarget:
    """The denoiser predicts x_0."""

    def of(self, clean, noise, signal, deviation):
        return clean

    def clean(self, prediction, noisy, signal, deviation):
        return prediction


class NoiseTarget:
    """The denoiser predicts the noise."""

    def of(self, clean, noise, signal, deviation):
        return noise

    def clean(self, prediction, noisy, signal, deviation):
        return (noisy - deviation * prediction) / signal


class VelocityTarget:
    """The denoiser predicts v = sqrt(abar) noise - sqrt(1 - abar) x_0 (Salimans & Ho 2022, arXiv 2202.00512)."""

    def of(self, clean, noise, signal, deviation):
        return signal * noise - deviation * clean

    def clean(self, prediction, noisy, signal, deviation):
        return signal * noisy - deviation * prediction


Target = SampleTarget | NoiseTarget | VelocityTarget
