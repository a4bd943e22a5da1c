"""Samplers: from noise to motion in a number of steps, given a function that estimates the clean motion.

Each is an object with `steps` and `__call__(denoise, noise_BTC, schedule, draw) -> clean (B, T, C)`, where
`denoise(noisy_BTC, step: int) -> clean_BTC` and `draw() -> noise (B, T, C)` gives what a stochastic sampler adds. The
tables are walked on the CPU, so that a step never waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from joyvasa.models.diffusion import NoiseSchedule

Denoise = Callable[[Tensor, int], Tensor]
Draw = Callable[[], Tensor]


def step_grid(num_steps: int, steps: int) -> list[int]:
    """`steps` descending diffusion steps N … 1, evenly spaced, without repeats. Raises ValueError above N."""
    if not 1 <= steps <= num_steps:
        raise ValueError(f"sampler.steps={steps}: the schedule has {num_steps}; choose 1 … {num_steps}")
    return [num_steps] if steps == 1 else [round(step.item()) for step in torch.linspace(num_steps, 1, steps)]


class Ancestral:
    """DDPM (arXiv 2006.11239) over every step; `flexibility` 0 … 1 moves the noise from the posterior's to beta's."""

    def __init__(self, *, steps: int, flexibility: float):
        if not 0 <= flexibility <= 1:
            raise ValueError(f"sampler.flexibility={flexibility}: expected 0 … 1")
        self.steps, self.flexibility = steps, flexibility

    def __call__(self, denoise: Denoise, noise_BTC: Tensor, schedule: NoiseSchedule, draw: Draw) -> Tensor:
        if self.steps != schedule.num_steps:
            raise ValueError(f"the ancestral sampler takes every step: sampler.steps={schedule.num_steps}")
        x = noise_BTC
        bars, alphas = schedule.alpha_bars.tolist(), schedule.alphas.tolist()
        flex, inflex = schedule.sigmas_flex.tolist(), schedule.sigmas_inflex.tolist()
        for step in range(schedule.num_steps, 0, -1):
            clean = denoise(x, step)
            # Both coefficients from the same rounded table: at the last step of a schedule that
            # begins gently, beta over 1 - alpha_bar misses 1 by far more than float32's rounding.
            share = (1 - alphas[step]) / (1 - bars[step])
            keep, pull = (1 - share) / alphas[step] ** 0.5, share * (bars[step] / alphas[step]) ** 0.5
            x = keep * x + pull * clean
            if step > 1:
                sigma = flex[step] * self.flexibility + inflex[step] * (1 - self.flexibility)
                x = x + sigma * draw()
        return x


class DDIM:
    """Song et al. 2021 (arXiv 2010.02502); eta 0 is deterministic given the first noise."""

    def __init__(self, *, steps: int, eta: float):
        self.steps, self.eta = steps, eta

    def __call__(self, denoise: Denoise, noise_BTC: Tensor, schedule: NoiseSchedule, draw: Draw) -> Tensor:
        x, bars = noise_BTC, schedule.alpha_bars.tolist()
        grid = step_grid(schedule.num_steps, self.steps)
        for step, following in zip(grid, [*grid[1:], 0], strict=True):
            clean = denoise(x, step)
            bar, bar_next = bars[step], bars[following]
            noise = (x - bar**0.5 * clean) / (1 - bar) ** 0.5
            sigma = self.eta * ((1 - bar_next) / (1 - bar) * (1 - bar / bar_next)) ** 0.5
            x = bar_next**0.5 * clean + max(1 - bar_next - sigma**2, 0.0) ** 0.5 * noise
            if sigma > 0:
                x = x + sigma * draw()
        return x


class DPMSolverPP:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095), multistep second order.

    What comes out is the denoiser's own estimate at step 1. On long schedules (hundreds of steps) walked in few, the
    last extrapolation overshoots: take DDIM there.
    """

    def __init__(self, *, steps: int):
        self.steps = steps

    def __call__(self, denoise: Denoise, noise_BTC: Tensor, schedule: NoiseSchedule, draw: Draw) -> Tensor:
        x = noise_BTC
        bars = schedule.alpha_bars.double()
        signal, deviation = bars.sqrt().tolist(), (1 - bars).sqrt().tolist()
        log_snr = (0.5 * (bars.log() - torch.log1p(-bars))).tolist()
        grid = step_grid(schedule.num_steps, self.steps)
        previous, width_before = None, 0.0
        for step, following in zip(grid[:-1], grid[1:], strict=True):
            clean = denoise(x, step)
            width = log_snr[following] - log_snr[step]
            estimate = clean
            if previous is not None:
                ratio = width_before / width
                estimate = (1 + 1 / (2 * ratio)) * clean - 1 / (2 * ratio) * previous
            growth = torch.expm1(torch.tensor(-width, dtype=torch.float64)).item()
            x = deviation[following] / deviation[step] * x - signal[following] * growth * estimate
            previous, width_before = clean, width
        return denoise(x, grid[-1])


Sampler = Ancestral | DDIM | DPMSolverPP
