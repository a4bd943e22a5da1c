"""1 process x batch 2B, 2 processes x B, and B accumulated twice: the same examples, the same gradients."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch

# Plain SGD at rate 1 without clipping: what the weights lose in a step is the gradient. The warm-up is over at once.
SGD = (
    "optim.optimizer._target_=torch.optim.SGD", "~optim.optimizer.betas", "optim.optimizer.weight_decay=0",
    "optim.optimizer.lr=1.0", "optim.schedule.warmup_steps=0", "trainer.gradient_clip_val=null", "denoiser.dropout=0",
)  # fmt: skip


@pytest.fixture
def examples(tmp_path):
    """Overrides that record a run's examples, and how to read them: [step, key, draw, weight] of all ranks, sorted."""
    folder = tmp_path / "seen"

    def read(ranks: int) -> list:
        rows = [row for rank in range(ranks) for row in json.loads((folder / f"rank{rank}.json").read_text())]
        for file in folder.iterdir():
            file.unlink()
        return sorted(rows)

    return ("+callbacks.record._target_=driver.Record", f"+callbacks.record.folder={folder}"), read


def weights(runs: Path) -> dict[str, torch.Tensor]:
    return torch.load(runs / "train" / "a" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_close(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=1e-6, msg=name)


@pytest.fixture(scope="module")
def sharded(write_tiny):
    """The tiny corpus's 8 training clips in this many shards."""
    return lambda shards: write_tiny(clips_per_shard=-(-8 // shards))


def compare(shards: int, steps: int, tmp_path, fit, launch, sharded, examples) -> None:
    """Two processes of batch 2 against one of batch 4, truncated and so of unequal numbers of valid frames."""
    record, read = examples
    dataset = sharded(shards)
    assert len(dataset.splits["train"]["shards"]["core"]) == shards
    how = (*SGD, *record, f"data.path={dataset.folder}", f"trainer.max_steps={steps}", "data.truncate_p=0.5")
    fit(tmp_path / "one", *how)
    seen = read(1)
    assert len(seen) == 4 * steps
    done = launch(tmp_path / "two", *how, "data.batch_size=2", "trainer=ddp_cpu", "trainer.log_every_n_steps=1")
    assert done.returncode == 0, done.stderr
    assert read(2) == seen
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert len(list((tmp_path / "two" / "train").iterdir())) == 2, "one run folder and the link to it"


def test_two_processes_are_one_of_twice_the_batch(tmp_path, fit, launch, sharded, examples):
    compare(2, 1, tmp_path, fit, launch, sharded, examples)


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_whatever_the_number_of_shards(shards, tmp_path, fit, launch, sharded, examples):
    """Ten steps pass an epoch's end, its validation by two ranks included."""
    compare(shards, 10, tmp_path, fit, launch, sharded, examples)


@pytest.mark.slow
def test_two_processes_resume_what_one_began(tmp_path, fit, launch, curve):
    """The position in the data is that of the global batch, so the number of processes may change."""
    how = ("denoiser.dropout=0.0", "trainer.max_steps=12")
    whole = fit(tmp_path / "whole", *how)
    fit(tmp_path / "moved", "denoiser.dropout=0.0", "trainer.max_steps=5")
    two = ("trainer=ddp_cpu", "data.batch_size=2", "trainer.log_every_n_steps=1", "resume=auto")
    done = launch(tmp_path / "moved", *how, *two)
    assert done.returncode == 0, done.stderr
    moved = tmp_path / "moved" / "train" / "a"
    assert curve(moved).keys() == curve(whole).keys()
    name = "val/loss"
    ours, theirs = ({step: v for (step, n), v in curve(folder).items() if n == name} for folder in (moved, whole))
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("shards", [1, 3])
def test_accumulated_gradients_are_those_of_the_whole_batch(shards, tmp_path, fit, sharded, examples):
    record, read = examples
    how = (*SGD, *record, f"data.path={sharded(shards).folder}", "trainer.max_steps=2", "data.truncate_p=0.5")
    fit(tmp_path / "one", *how)
    seen = read(1)
    fit(tmp_path / "two", *how, "data.batch_size=2", "trainer.accumulate_grad_batches=2")
    assert read(1) == seen
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "two"))


@pytest.mark.slow
def test_two_ranks_told_by_one_stop_together_and_go_on_exactly(tmp_path, ranks, curve, state):
    """SIGTERM reaches the second rank alone, in a step after which nobody asks; the average is resumed as well."""
    how = ("callbacks.checkpoints.every_steps=1000", "callbacks.interrupt.every_steps=3")
    whole = ranks(tmp_path / "whole", *how)
    assert whole.wait() == [0, 0], whole.printed()
    told = ("_target_=driver.SignalAt", "step=4", f"number={signal.SIGTERM.value}", "rank=1")
    stopped = ranks(tmp_path / "stopped", *how, *(f"+callbacks.signal.{word}" for word in told))
    assert stopped.wait() == [143, 143], stopped.printed()
    assert stopped.printed().count("go on with: ") == 1
    one, two = (tmp_path / name / "train" / "a" for name in ("whole", "stopped"))
    assert curve(two) == curve(one, 0, 6), "the first step after the signal whose number three divides"
    resumed = ranks(tmp_path / "stopped", *how, "resume=auto")
    assert resumed.wait() == [0, 0], resumed.printed()
    assert curve(two) == curve(one)
    assert all(torch.equal(value, state(two)[name]) for name, value in state(one).items())
