"""Learning-rate schedules: step -> factor of the base learning rate."""

from __future__ import annotations

import math


class WarmupCosine:
    """Linear rise over `warmup_steps`, then half a cosine down to `final_ratio` at `total_steps`."""

    def __init__(self, *, warmup_steps: int, total_steps: int, final_ratio: float):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"optim.schedule: warmup_steps={warmup_steps} of trainer.max_steps={total_steps}")
        self.warmup_steps, self.total_steps, self.final_ratio = warmup_steps, total_steps, final_ratio

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final_ratio + (1 - self.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


class Constant:
    """Linear rise over `warmup_steps`, then level."""

    def __init__(self, *, warmup_steps: int):
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / (self.warmup_steps + 1))
