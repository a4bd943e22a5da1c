"""The moving average follows its formula, shows itself in validation only, and never becomes the trained weights."""

from __future__ import annotations

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch

from joyvasa.lit.ema import EMA


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))
        self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))


def averaged(decay: float, steps: int, batches_a_step: int = 1) -> tuple[EMA, Net]:
    """An average of weights that are n after optimizer step n."""
    ema, net, trainer = EMA(decay=decay), Net(), SimpleNamespace(global_step=0)
    ema.on_fit_start(trainer, net)
    for batch in range(steps * batches_a_step):
        if (batch + 1) % batches_a_step == 0:
            trainer.global_step += 1
            net.weight.data.fill_(float(trainer.global_step))
        ema.on_train_batch_end(trainer, net, None, None, batch)
    return ema, net


@pytest.mark.parametrize("batches_a_step", [1, 3])
def test_average_follows_the_formula_once_a_step(batches_a_step):
    ema, _ = averaged(0.9, 20, batches_a_step)
    expected = 0.0
    for n in range(1, 21):
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
    torch.testing.assert_close(ema.average["weight"], torch.full((3,), expected))


def test_decay_zero_is_the_weights_and_only_trained_ones_are_kept():
    ema, net = averaged(0.0, 4)
    assert torch.equal(ema.average["weight"], net.weight)
    assert list(ema.average) == ["weight"]


def test_swapped_shows_the_average_and_puts_the_weights_back_after_an_error():
    ema, net = averaged(0.9, 5)
    kept, address = net.weight.detach().clone(), net.weight.data_ptr()
    with pytest.raises(KeyError), ema.swapped(net):
        assert torch.equal(net.weight, ema.average["weight"])
        raise KeyError
    assert torch.equal(net.weight, kept) and net.weight.data_ptr() == address


def test_an_exception_in_validation_leaves_the_trained_weights():
    ema, net = averaged(0.9, 5)
    kept = net.weight.detach().clone()
    ema.on_validation_start(None, net)
    assert not torch.equal(net.weight, kept)
    ema.on_exception(None, net, RuntimeError())
    assert torch.equal(net.weight, kept)


def test_state_comes_back_and_is_a_copy():
    ema, net = averaged(0.9, 5)
    other = EMA(decay=0.9)
    other.load_state_dict(ema.state_dict())
    other.on_fit_start(None, net)
    assert other.updates == 5 and torch.equal(other.average["weight"], ema.average["weight"])
    other.average["weight"].add_(1)
    assert not torch.equal(other.average["weight"], ema.average["weight"])


def test_average_of_another_model_and_a_decay_out_of_range_are_errors():
    ema = EMA(decay=0.9)
    ema.load_state_dict({"average": {"other": torch.zeros(1)}, "updates": 3})
    with pytest.raises(ValueError, match="of another model"):
        ema.on_fit_start(None, Net())
    for decay in (-0.1, 1.0):
        with pytest.raises(ValueError, match="expected 0 <= decay < 1"):
            EMA(decay=decay)


def test_validation_during_training_sees_the_average(tmp_path, fit, monkeypatch):
    """In a real run: what validation_step sees is the average, what the next step trains is not."""
    from joyvasa.lit.module import MotionModule

    seen = []
    step = MotionModule.validation_step

    def spy(self, batch, batch_idx):
        ema = next(callback for callback in self.trainer.callbacks if isinstance(callback, EMA))
        seen.append(all(torch.equal(p, ema.average[n]) for n, p in self.named_parameters() if p.requires_grad))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MotionModule, "validation_step", spy)
    folder = fit(tmp_path, "trainer.max_steps=9")
    assert seen and all(seen)
    for name in ("best", "last"):
        checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        average = checkpoint["callbacks"]["EMA"]["average"]
        assert any(not torch.equal(value, checkpoint["state_dict"][key]) for key, value in average.items())
