"""What is not finite ends the training at its step, is named, and never takes the place of a good checkpoint."""

from __future__ import annotations

import math

import pytest
import torch

from joyvasa.lit.checkpoints import AtomicCheckpointIO, read_checkpoint
from joyvasa.lit.finite import checkpoint_tensors, norms, not_finite
from joyvasa.lit.stops import NotFiniteError

EVERY = "callbacks.checkpoints.every_steps=3"
NO_CLIPPING = "trainer.gradient_clip_val=null"
ACCUMULATED = ("data.batch_size=2", "trainer.accumulate_grad_batches=2")


def poison(what: str, step: int, value: float, rank: int = 0) -> list[str]:
    keys = {"_target_": "driver.Poison", "what": what, "step": step, "value": value, "rank": rank}
    return [f"+callbacks.poison.{key}={given}" for key, given in keys.items()]


@pytest.mark.parametrize(
    "what, value, how, facts",
    [
        ("input", math.nan, (), ("step 6", "motion of clip")),
        ("input", math.nan, ACCUMULATED, ("step 6", "motion of clip")),
        ("gradient", math.nan, (NO_CLIPPING,), ("step 6", "gradient", "norm nan")),
        ("gradient", math.inf, (), ("step 6", "gradient", "norm inf")),
        ("weight", math.nan, (), ("step 6", "weight", "norm nan")),
        ("average", math.nan, (), ("step 6", "moving average", "norm nan")),
        ("optimizer", math.inf, (), ("step 6", "exp_avg_sq")),  # no number of the step shows it: the writer does
    ],
)
def test_the_step_and_the_term_are_named_and_the_checkpoint_before_stays(what, value, how, facts, tmp_path, fit):
    with pytest.raises(ValueError) as caught:
        fit(tmp_path, EVERY, *how, *poison(what, 5, value))
    assert all(fact in str(caught.value) for fact in facts)
    folder = tmp_path / "train" / "a"
    assert f"resume={folder}" in str(caught.value) and "(step 3)" in str(caught.value)
    for path in (folder / "checkpoints").iterdir():
        checkpoint = read_checkpoint(path)
        assert checkpoint["global_step"] == 3 and not not_finite(checkpoint_tensors(checkpoint)), path
    assert not (tmp_path / "train" / "latest").exists()


def test_a_learning_rate_that_is_far_too_high_ends_before_a_checkpoint_and_says_so(tmp_path, fit):
    with pytest.raises(ValueError, match="learning rate") as caught:
        fit(tmp_path, "optim.optimizer.lr=1e30", EVERY)
    assert "optim.optimizer.lr=1e+29" in str(caught.value) and "no checkpoint" in str(caught.value)
    assert not list((tmp_path / "train" / "a").glob("checkpoints/*"))


def test_a_validation_clip_is_named_and_no_best_is_chosen_by_it(tmp_path, fit):
    with pytest.raises(ValueError, match="motion of clip carla-") as caught:
        fit(tmp_path, EVERY, *poison("validation", 8, math.nan))
    assert "validation after step 8" in str(caught.value)
    assert not (tmp_path / "train" / "a" / "checkpoints" / "best.ckpt").exists()


def test_a_run_goes_on_from_the_checkpoint_with_a_lower_rate(tmp_path, fit, curve):
    with pytest.raises(ValueError):
        fit(tmp_path, EVERY, *poison("gradient", 5, math.nan))
    folder = fit(tmp_path, EVERY, "resume=auto", "optim.optimizer.lr=1e-5")
    rates = {step: value for (step, name), value in curve(folder).items() if name.startswith("lr-")}
    assert rates[2] == pytest.approx(3 / 4 * 1e-4) and rates[3] == pytest.approx(1e-5)


def test_an_overflow_that_the_gradient_scaler_skips_is_no_error(tmp_path, fit, capsys):
    scaled = ("+callbacks.scaled._target_=driver.Scaled", f"+callbacks.scaled.scale={2.0**124}")
    folder = fit(tmp_path, *scaled, "optim.optimizer.fused=false", "trainer.max_steps=30")
    assert "the gradient scaler skipped" in capsys.readouterr().out
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 30


def test_the_writer_itself_refuses(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"the good one")
    checkpoint = {"global_step": 7, "state_dict": {"a": torch.ones(2), "b": torch.tensor([1.0, math.nan])}}
    with pytest.raises(NotFiniteError, match="step 7.*weight b"):
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert path.read_bytes() == b"the good one" and len(list(tmp_path.iterdir())) == 1


def test_norms_say_what_isfinite_says_of_each_tensor():
    values = [torch.ones(3), torch.tensor([math.nan, 1.0]), torch.tensor([-math.inf]), torch.zeros(2, 2)]
    assert torch.isfinite(norms(values)).tolist() == [bool(torch.isfinite(value).all()) for value in values]
    # A norm overflows where the numbers do not: such a checkpoint may be written.
    assert not_finite([("huge", torch.tensor([1e30])), ("whole", torch.tensor([1])), ("bad", values[1])]) == ["bad"]


@pytest.mark.slow
def test_of_two_ranks_both_stop_and_the_clip_of_the_second_is_named(tmp_path, ranks):
    run = ranks(tmp_path, EVERY, *poison("input", 5, math.nan, rank=1))
    assert run.wait() == [2, 2], run.printed()
    assert run.printed().count("error: ") == 1 and "motion of clip" in run.printed() and "rank 1" in run.printed()
    checkpoint = read_checkpoint(tmp_path / "train" / "a" / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == 3
