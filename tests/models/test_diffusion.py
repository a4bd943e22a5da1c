"""Laws of the noise schedules and of the prediction targets."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.diffusion import BETAS, NoiseSchedule, NoiseTarget, SampleTarget, VelocityTarget

NAMES = ("linear", "quadratic", "sigmoid", "cosine")
LENGTHS = (2, 10, 50, 500)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_schedules_are_the_four_published_ones():
    assert set(BETAS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", LENGTHS)
def test_signal_only_falls_from_the_clean_end(name, steps):
    schedule = NoiseSchedule(name=name, steps=steps)
    for table in (schedule.betas, schedule.alphas, schedule.alpha_bars, schedule.sigmas_flex, schedule.sigmas_inflex):
        assert table.shape == (steps + 1,) and table.isfinite().all()
    assert schedule.alpha_bars[0] == 1 and schedule.betas[0] == 0
    assert (schedule.alpha_bars.diff() < 0).all() and (schedule.alpha_bars > 0).all()
    assert ((schedule.betas[1:] > 0) & (schedule.betas[1:] < 1)).all()
    assert (schedule.betas[1:].diff() >= 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", LENGTHS)
def test_the_tables_agree_with_each_other(name, steps):
    schedule = NoiseSchedule(name=name, steps=steps)
    assert_close(schedule.alphas, 1 - schedule.betas)
    assert_close(schedule.alpha_bars.double(), schedule.alphas.double().cumprod(0), rtol=1e-4, atol=1e-7)
    assert_close(schedule.sigmas_flex.square(), schedule.betas)
    # The posterior knows the clean motion: it is never wider than the prior, and at the last step it is a point.
    assert (schedule.sigmas_inflex <= schedule.sigmas_flex).all()
    assert schedule.sigmas_inflex[:2].tolist() == [0, 0]


def test_the_cosine_schedule_ends_in_noise():
    assert NoiseSchedule(name="cosine", steps=50).alpha_bars[-1] < 1e-4


def test_an_unknown_schedule_is_named_with_the_choices():
    with pytest.raises(ValueError, match="'cosin'.*linear, quadratic, sigmoid, cosine"):
        NoiseSchedule(name="cosin", steps=10)


@pytest.mark.parametrize("steps", LENGTHS)
def test_uniform_numbers_give_every_step_equally_often(steps):
    schedule = NoiseSchedule(name="linear", steps=steps)
    grid = (torch.arange(steps * 8) + 0.5) / (steps * 8)
    assert schedule.step_of(grid).bincount().tolist() == [0, *[8] * steps]
    ends = torch.tensor([0.0, 1 - 2**-24, 1.0])
    assert schedule.step_of(ends).tolist() == [1, steps, steps]


@pytest.mark.parametrize("name", NAMES)
def test_noising_keeps_the_variance_and_its_parts(name):
    schedule = NoiseSchedule(name=name, steps=50)
    clean, noise, step = draw(0, 3, 400, 5), draw(1, 3, 400, 5), torch.tensor([1, 25, 50])
    noisy = schedule.add_noise(clean, noise, step)
    for row, at in enumerate(step):
        bar = schedule.alpha_bars[at]
        assert_close(noisy[row], bar.sqrt() * clean[row] + (1 - bar).sqrt() * noise[row])
        assert noisy[row].var().item() == pytest.approx(1, abs=0.1)
    signal, deviation = schedule.signal_noise(step)
    assert signal.shape == deviation.shape == (3, 1, 1)
    assert_close(signal.square() + deviation.square(), torch.ones(3, 1, 1))
    assert torch.equal(schedule.add_noise(clean, noise, torch.zeros(3, dtype=torch.long)), clean)


@pytest.mark.parametrize("target", [SampleTarget(), NoiseTarget(), VelocityTarget()])
@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_gives_the_clean_motion_back(target, name):
    schedule = NoiseSchedule(name=name, steps=50)
    schedule.double()
    clean, noise = draw(2, 50, 4, 5).double(), draw(3, 50, 4, 5).double()
    step = torch.arange(1, 51)
    signal, deviation = schedule.signal_noise(step)
    noisy = schedule.add_noise(clean, noise, step)
    assert_close(target.clean(target.of(clean, noise, signal, deviation), noisy, signal, deviation), clean)


def test_the_targets_are_what_their_names_say():
    clean, noise = draw(4, 2, 3, 4), draw(5, 2, 3, 4)
    one, zero = torch.ones(2, 1, 1), torch.zeros(2, 1, 1)
    assert torch.equal(SampleTarget().of(clean, noise, one, zero), clean)
    assert torch.equal(NoiseTarget().of(clean, noise, one, zero), noise)
    assert torch.equal(VelocityTarget().of(clean, noise, one, zero), noise)
    assert torch.equal(VelocityTarget().of(clean, noise, zero, one), -clean)


def test_the_tables_are_no_weights_of_a_checkpoint():
    assert not NoiseSchedule(name="cosine", steps=50).state_dict()
