"""Laws of the samplers, on distributions whose best denoiser is known in closed form.

For clean motion N(m, s^2) the exact denoiser is E[x_0 | x_t] = m + k (x_t - a m), k = a s^2 / (a^2 s^2 + d^2), with
signal a and deviation d of the step; the ODE then carries the first noise z to m + s z.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.diffusion import NoiseSchedule
from joyvasa.models.samplers import DDIM, Ancestral, DPMSolverPP, step_grid

MEAN, STD = 1.5, 0.4


def schedule_of(steps: int, name: str = "cosine") -> NoiseSchedule:
    return NoiseSchedule(name=name, steps=steps).double()


def exact(schedule: NoiseSchedule, mean: float = MEAN, std: float = STD):
    """The best possible denoiser of N(mean, std^2)."""

    def denoise(noisy: Tensor, step: int) -> Tensor:
        bar = schedule.alpha_bars[step]
        gain = bar.sqrt() * std**2 / (bar * std**2 + 1 - bar)
        return mean + gain * (noisy - bar.sqrt() * mean)

    return denoise


def drawing(seed: int, *shape: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def never() -> Tensor:
    raise AssertionError("a deterministic sampler draws nothing")


@pytest.mark.parametrize("num_steps", [1, 7, 50, 500])
def test_step_grids_descend_from_the_noisy_end_to_the_first_step(num_steps):
    for steps in sorted({1, min(2, num_steps), num_steps // 2 + 1, num_steps - 1 or 1, num_steps}):
        grid = step_grid(num_steps, steps)
        assert len(grid) == steps and grid[0] == num_steps
        assert grid == sorted(set(grid), reverse=True)
        assert steps == 1 or grid[-1] == 1
    assert step_grid(num_steps, num_steps) == list(range(num_steps, 0, -1))


@pytest.mark.parametrize("steps", [0, -1, 51])
def test_step_grids_refuse_what_the_schedule_lacks(steps):
    with pytest.raises(ValueError, match=f"sampler.steps={steps}: the schedule has 50; choose 1 … 50"):
        step_grid(50, steps)


SAMPLERS = {
    "ancestral": Ancestral(steps=200, flexibility=0.0),
    "ancestral, beta's noise": Ancestral(steps=200, flexibility=1.0),
    "ddim": DDIM(steps=200, eta=0.0),
    "ddim, stochastic": DDIM(steps=200, eta=1.0),
    "ddim, few steps": DDIM(steps=50, eta=0.0),
    "dpm": DPMSolverPP(steps=40),
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_an_exact_denoiser_gives_the_mean_and_spread_of_the_data(sampler):
    schedule, draw = schedule_of(200), drawing(0, 1, 4000, 5)
    found = sampler(exact(schedule), draw(), schedule, draw)
    assert found.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert found.std().item() == pytest.approx(STD, rel=0.06)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_a_denoiser_that_knows_the_answer_is_believed_exactly(sampler):
    schedule, draw = schedule_of(200), drawing(1, 2, 9, 5)
    answer = draw()
    assert_close(sampler(lambda noisy, step: answer, draw(), schedule, draw), answer, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("sampler", [DDIM(steps=20, eta=0.0), DPMSolverPP(steps=20)], ids=["ddim", "dpm"])
def test_the_deterministic_samplers_are_functions_of_the_first_noise(sampler):
    schedule, noise = schedule_of(50), drawing(2, 2, 9, 5)()
    once = sampler(exact(schedule), noise, schedule, never)
    assert torch.equal(sampler(exact(schedule), noise, schedule, never), once)
    assert not torch.equal(sampler(exact(schedule), -noise, schedule, never), once)


@pytest.mark.parametrize("sampler", [Ancestral(steps=50, flexibility=0.0), DDIM(steps=50, eta=1.0)])
def test_the_stochastic_samplers_draw_once_a_step_but_for_the_last(sampler):
    schedule, draws = schedule_of(50), []
    noise = drawing(3, 1, 4, 5)

    def draw() -> Tensor:
        draws.append(noise())
        return draws[-1]

    first = sampler(exact(schedule), noise(), schedule, draw)
    assert len(draws) == 49
    again = sampler(exact(schedule), drawing(3, 1, 4, 5)(), schedule, drawing(4, 1, 4, 5))
    assert not torch.allclose(first, again)


@pytest.mark.parametrize("name", ["linear", "quadratic", "sigmoid", "cosine"])
def test_ddim_of_full_noise_is_the_ancestral_sampler(name):
    schedule, start = schedule_of(50, name), drawing(5, 2, 6, 5)()
    ddim = DDIM(steps=50, eta=1.0)(exact(schedule), start, schedule, drawing(6, 2, 6, 5))
    ancestral = Ancestral(steps=50, flexibility=0.0)(exact(schedule), start, schedule, drawing(6, 2, 6, 5))
    # float32 tables meet float64 arithmetic here
    assert_close(ddim, ancestral, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("sampler", [DDIM(steps=1, eta=0.0), DPMSolverPP(steps=1)], ids=["ddim", "dpm"])
def test_one_step_is_one_look_at_the_noise(sampler):
    schedule, noise, seen = schedule_of(50), drawing(7, 1, 4, 5)(), []

    def denoise(noisy: Tensor, step: int) -> Tensor:
        seen.append(step)
        return exact(schedule)(noisy, step)

    assert_close(sampler(denoise, noise, schedule, never), exact(schedule)(noise, 50))
    assert seen == [50]


@pytest.mark.parametrize("steps", [10, 49, 51])
def test_the_ancestral_sampler_takes_every_step_or_none(steps):
    schedule, draw = schedule_of(50), drawing(8, 1, 4, 5)
    with pytest.raises(ValueError, match="every step: sampler.steps=50"):
        Ancestral(steps=steps, flexibility=0.0)(exact(schedule), draw(), schedule, draw)


@pytest.mark.parametrize("flexibility", [-0.1, 1.1])
def test_flexibility_lies_between_the_two_deviations(flexibility):
    with pytest.raises(ValueError, match="flexibility"):
        Ancestral(steps=50, flexibility=flexibility)


@pytest.mark.parametrize("sampler", [DDIM(steps=51, eta=0.0), DPMSolverPP(steps=51)], ids=["ddim", "dpm"])
def test_more_steps_than_the_schedule_has_are_refused(sampler):
    schedule, draw = schedule_of(50), drawing(9, 1, 4, 5)
    with pytest.raises(ValueError, match="choose 1 … 50"):
        sampler(exact(schedule), draw(), schedule, draw)


def ode_error(sampler, schedule: NoiseSchedule) -> float:
    """Root mean square distance to the ODE's end, m + s z up to the little signal that the noisy end still holds."""
    noise = drawing(10, 1, 300, 5)()
    bar = schedule.alpha_bars[-1]
    scale = STD / (bar * STD**2 + 1 - bar).sqrt()
    end = MEAN + scale * (noise - bar.sqrt() * MEAN)
    return (sampler(exact(schedule), noise, schedule, never) - end).square().mean().sqrt().item()


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddim_converges_at_first_order_and_dpm_solver_at_second(name):
    schedule = schedule_of(1000, name)

    def order(make) -> float:
        few, many = (ode_error(make(steps), schedule) for steps in (30, 100))
        return math.log(few / many) / math.log(100 / 30)

    assert order(lambda steps: DDIM(steps=steps, eta=0.0)) < 1.25
    assert order(lambda steps: DPMSolverPP(steps=steps)) > 1.6


@pytest.mark.parametrize("steps", [10, 20, 40])
def test_on_the_short_schedule_dpm_solver_is_nearer_to_the_ode_than_ddim(steps):
    schedule = schedule_of(50)
    assert ode_error(DPMSolverPP(steps=steps), schedule) < 0.7 * ode_error(DDIM(steps=steps, eta=0.0), schedule)


def test_the_deterministic_samplers_approach_the_ode_as_steps_grow():
    schedule = schedule_of(1000, "linear")
    for make in (lambda n: DDIM(steps=n, eta=0.0), lambda n: DPMSolverPP(steps=n)):
        errors = [ode_error(make(steps), schedule) for steps in (10, 30, 100)]
        assert errors[0] > errors[1] > errors[2] and errors[2] < 0.02
