"""Learning-rate schedules: step -> factor of the base learning rate."""

from __future__ import annotations

import math


class WarmupCosine:
    """Linear rise over `warmup_steps`, then half a cosine down to `final_ratio` at `total_steps`.

    A run shorter than the rise ends in it: a trial of a few steps needs no other settings.
    """

    def __init__(self, *, warmup_steps: int, total_steps: int, final_ratio: float):
        if min(warmup_steps, total_steps) < 0:
            raise ValueError(f"optim.schedule: warmup_steps={warmup_steps} of trainer.max_steps={total_steps}")
        self.warmup_steps, self.total_steps, self.final_ratio = warmup_steps, total_steps, final_ratio

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1))
        return self.final_ratio + (1 - self.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


class Constant:
    """Linear rise over `warmup_steps`, then level."""

    def __init__(self, *, warmup_steps: int):
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / (self.warmup_steps + 1))


class Warmup:
    """Linear rise from 0 at the first step to 1 at `warmup_steps`, then level.

    JoyVASA's scheduler "Warmup": `GradualWarmupScheduler` (src/scheduler.py) with multiplier 1. Its first step is one
    at rate 0.
    """

    def __init__(self, *, warmup_steps: int):
        if warmup_steps < 1:
            raise ValueError(f"optim.schedule: warmup_steps={warmup_steps} (expected 1 or more)")
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        return min(1.0, step / self.warmup_steps)


class WarmupDecay:
    """`Warmup`, then half a cosine towards `final_ratio`, held from step `decay_until` on.

    JoyVASA's scheduler "WarmupThenDecay" with `decay_until` its `cos_max_iter`. The decay begins one step after the
    rise has ended and is not stepped any more at `decay_until`: it stops one step short of `final_ratio`.
    """

    def __init__(self, *, warmup_steps: int, decay_until: int, final_ratio: float):
        if not 1 <= warmup_steps < decay_until:
            raise ValueError(
                f"optim.schedule: warmup_steps={warmup_steps}, decay_until={decay_until} "
                "(expected 1 <= warmup_steps < decay_until)"
            )
        self.warmup_steps, self.decay_until, self.final_ratio = warmup_steps, decay_until, final_ratio

    def __call__(self, step: int) -> float:
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        decayed = min(step, self.decay_until) - self.warmup_steps - 1
        progress = decayed / (self.decay_until - self.warmup_steps)
        return self.final_ratio + (1 - self.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
