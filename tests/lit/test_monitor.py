"""The monitor's numbers are what they say, and training is none the wiser."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from joyvasa.lit.csv_logger import SPEED, read_curves
from joyvasa.lit.monitor import FORWARD_AND_BACKWARD, step_flops
from joyvasa.tasks.build import build_module, unit_stats

PEAK = "callbacks.monitor.peak_tflops=1e-3"  # so that floating-point operations are counted on a CPU too


def speeds(folder) -> dict:
    rows = read_curves(folder / "logs" / "metrics.csv")
    return {(step, name): value for step, name, value in rows if name.startswith(SPEED)}


@pytest.mark.slow
def test_training_is_the_same_with_and_without(tmp_path, fit, curve, state):
    """Dropout draws the same though the floating-point operations are counted by one more forward pass."""
    watched, alone = fit(tmp_path / "watched", PEAK), fit(tmp_path / "alone", "~callbacks.monitor")
    numbers = {key: value for key, value in curve(watched).items() if key[1] != "train/update_norm"}
    assert numbers == curve(alone)
    assert all(torch.equal(value, state(alone)[name]) for name, value in state(watched).items())


def test_every_logging_step_has_its_numbers(tmp_path, fit, curve):
    folder = fit(tmp_path, PEAK, "trainer.log_every_n_steps=3")
    names = ("examples_per_second", "data_wait", "mfu", "memory_gib")
    assert speeds(folder).keys() == {(step, f"{SPEED}{name}") for step in (2, 5, 8, 11) for name in names}
    assert all(0 < value for value in speeds(folder).values())
    assert all(value < 1 for (_, name), value in speeds(folder).items() if name == f"{SPEED}data_wait")
    assert [step for step, name in curve(folder) if name == "train/update_norm"] == [2, 5, 8, 11]


def test_no_mfu_where_the_device_is_not_in_the_table(tmp_path, fit):
    names = {name for _, name in speeds(fit(tmp_path, "trainer.max_steps=2"))}
    assert f"{SPEED}data_wait" in names and f"{SPEED}mfu" not in names


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_update_is_what_the_optimizer_changed(accumulated, tmp_path, fit, curve, composed, tiny_dataset):
    how = ("trainer.max_steps=1", f"trainer.accumulate_grad_batches={accumulated}")
    folder = fit(tmp_path, *how)
    before = dict(build_module(composed(*how), tiny_dataset.stats).named_parameters())
    after = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    change = torch.cat([(after[name] - p.detach()).flatten() for name, p in before.items()])
    whole = torch.cat([after[name].flatten() for name in before])
    expected = (change.norm() / whole.norm()).item()
    assert curve(folder)[0, "train/update_norm"] == pytest.approx(expected, rel=1e-5) and expected > 0


def test_operations_are_those_of_what_is_trained(composed):
    """A linear layer of the denoiser wider by one adds its products, three times; a frozen encoder adds nothing."""
    trainer = SimpleNamespace(
        precision_plugin=SimpleNamespace(forward_context=lambda: torch.autocast("cpu", enabled=False))
    )

    def flops(batch_size: int, frozen: bool) -> float:
        module = build_module(composed(), unit_stats())
        module.generator.encoder.frozen = frozen
        arrays = {
            "motion": (32, 70),
            "audio": (32 * 640,),
            "valid": (32,),
            "noise": (32, 70),
            "step_u": (2,),
            "drop_u": (2,),
        }
        batch = {name: torch.rand(batch_size, *shape) for name, shape in arrays.items()} | {"history": 5}
        state = torch.get_rng_state()
        counted = step_flops(trainer, module, batch)
        assert torch.equal(torch.get_rng_state(), state)
        return counted

    assert flops(4, False) == 2 * flops(2, False) > 2 * flops(2, True) == flops(4, True) > 0
    assert flops(1, False) % FORWARD_AND_BACKWARD == 0
