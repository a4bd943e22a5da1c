"""Laws of the learning-rate schedules; the published ones beside torch's own cosine, stepped as the trainer does."""

from __future__ import annotations

import pytest
import torch

from joyvasa.lit.schedules import Constant, Warmup, WarmupCosine, WarmupDecay

SCHEDULES = (
    WarmupCosine(warmup_steps=5, total_steps=40, final_ratio=0.1),
    Constant(warmup_steps=5),
    Warmup(warmup_steps=5),
    WarmupDecay(warmup_steps=5, decay_until=40, final_ratio=0.1),
)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_the_rate_rises_to_one_and_never_rises_again(schedule):
    factors = [schedule(step) for step in range(60)]
    assert max(factors) == 1.0 and min(factors) >= 0.0
    peak = factors.index(1.0)
    assert 1 <= peak <= 5
    assert all(a < b for a, b in zip(factors[:peak], factors[1:], strict=False))
    assert all(a >= b for a, b in zip(factors[peak:], factors[peak + 1 :], strict=False))


def test_the_published_rise_begins_at_zero_and_stays_level():
    schedule = Warmup(warmup_steps=4)
    assert [schedule(step) for step in range(7)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_published_decay_is_torchs_cosine_one_step_late():
    warmup, until, ratio = 4, 24, 0.02
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, until - warmup, ratio)
    expected = [step / warmup for step in range(warmup + 1)]
    for step in range(warmup + 1, 30):
        expected.append(cosine.get_last_lr()[0])
        if step < until:
            optimizer.step()
            cosine.step()
    schedule = WarmupDecay(warmup_steps=warmup, decay_until=until, final_ratio=ratio)
    assert [schedule(step) for step in range(30)] == pytest.approx(expected, rel=1e-9)
    assert schedule(until) == schedule(10**6) > ratio


@pytest.mark.parametrize("warmup, until", [(0, 10), (10, 10), (11, 10)])
def test_steps_that_do_not_follow_each_other_are_named(warmup, until):
    with pytest.raises(ValueError, match=rf"warmup_steps={warmup}, decay_until={until} \(expected 1 <= warmup_steps"):
        WarmupDecay(warmup_steps=warmup, decay_until=until, final_ratio=0.1)


def test_a_rise_of_no_steps_is_named():
    with pytest.raises(ValueError, match=r"warmup_steps=0 \(expected 1 or more\)"):
        Warmup(warmup_steps=0)


@pytest.mark.parametrize("steps", [1, 9, 10])
def test_a_run_shorter_than_its_warm_up_ends_in_it(steps):
    short, long = (WarmupCosine(warmup_steps=10, total_steps=total, final_ratio=0.1) for total in (steps, 100))
    assert [short(step) for step in range(steps)] == [long(step) for step in range(steps)]
