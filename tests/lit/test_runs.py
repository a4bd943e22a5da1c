"""A run folder has one trainer; `latest` is a run that ended well; a finished run can be trained longer."""

from __future__ import annotations

import pytest
import torch

from joyvasa.io.lock import hold_folder
from joyvasa.lit.checkpoints import read_checkpoint
from joyvasa.lit.schedules import WarmupCosine

# The rate stays where it is after the warm-up.
LEVEL = ("optim.schedule._target_=joyvasa.lit.schedules.Constant",)
LEVEL += ("~optim.schedule.total_steps", "~optim.schedule.final_ratio")


def same(one: dict, two: dict) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(two[name])), name


@pytest.mark.parametrize("how", [(), ("resume=auto",)], ids=["new", "resumed"])
def test_a_run_that_is_running_is_refused_and_says_who_runs_it(how, tmp_path, fit):
    folder = tmp_path / "train" / "a"
    if how:
        fit(tmp_path, "trainer.max_steps=2")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with hold_folder(folder, "training"):
        with pytest.raises(OSError, match="process [0-9]+ on .* .training, since"):
            fit(tmp_path, *how)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    fit(tmp_path, *how, "trainer.max_steps=4")
    assert not (folder / ".lock").exists()


def test_latest_is_the_last_run_that_ended_well(tmp_path, fit):
    from driver import Stop

    latest = tmp_path / "train" / "latest"
    breaking = ("+callbacks.stop._target_=driver.RaiseAt", "+callbacks.stop.step=3")
    failing = (*breaking, "callbacks.checkpoints.every_steps=2")
    with pytest.raises(Stop):
        fit(tmp_path, *failing)
    assert not latest.exists()
    fit(tmp_path, "resume=auto", "trainer.max_steps=4")  # the one that broke off is found all the same
    assert latest.resolve() == tmp_path / "train" / "a"
    with pytest.raises(Stop):
        fit(tmp_path, *failing, "run_id=b", run_id="b")
    assert latest.resolve() == tmp_path / "train" / "a"
    fit(tmp_path, "trainer.max_steps=2", "run_id=c", run_id="c")
    assert latest.resolve() == tmp_path / "train" / "c"


@pytest.mark.parametrize("steps, validations", [(3, [2]), (8, [7]), (10, [7, 9])])
def test_a_run_validates_at_its_end_and_not_twice(steps, validations, tmp_path, fit, curve):
    found = curve(fit(tmp_path, f"trainer.max_steps={steps}"))
    assert [step for step, name in found if name == "val/loss"] == validations


@pytest.mark.parametrize("half", [6, 8])  # in mid-epoch, and at an epoch's end
def test_with_a_level_rate_twice_as_long_is_the_same_at_once_or_prolonged(half, tmp_path, fit, curve, state):
    whole = fit(tmp_path / "whole", *LEVEL, f"trainer.max_steps={2 * half}")
    fit(tmp_path / "two", *LEVEL, f"trainer.max_steps={half}")
    prolonged = fit(tmp_path / "two", *LEVEL, f"trainer.max_steps={2 * half}", "resume=auto")
    found = curve(prolonged)
    for key in found.keys() - curve(whole).keys():
        assert key == (half - 1, "val/loss"), "of the end of the first half"
        del found[key]
    assert found == curve(whole)
    same(state(prolonged), state(whole))


def test_a_prolonged_cosine_is_that_of_the_longer_run_from_there_on(tmp_path, fit, curve, capsys):
    """The schedule follows trainer.max_steps, as configured by default; nobody typed optim.schedule.total_steps."""
    follows = "optim.schedule.total_steps=${trainer.max_steps}"
    fit(tmp_path, follows, "trainer.max_steps=6")
    folder = fit(tmp_path, follows, "trainer.max_steps=12", "resume=auto")
    out = capsys.readouterr().out
    assert "was 6 and is 12" in out and "optim.schedule.total_steps=6" in out
    rates = {step: value for (step, name), value in curve(folder).items() if name.startswith("lr-")}
    short, long = (WarmupCosine(warmup_steps=3, total_steps=total, final_ratio=0.02) for total in (6, 12))
    expected = [1e-4 * (short if step < 6 else long)(step) for step in range(12)]
    assert [rates[step] for step in range(12)] == pytest.approx(expected)


def test_held_where_the_old_length_of_the_schedule_is_given(tmp_path, fit, curve):
    fit(tmp_path, "optim.schedule.total_steps=6", "trainer.max_steps=6")
    folder = fit(tmp_path, "optim.schedule.total_steps=6", "trainer.max_steps=9", "resume=auto")
    rates = {step: value for (step, name), value in curve(folder).items() if name.startswith("lr-")}
    assert [rates[step] for step in (6, 7, 8)] == pytest.approx([2e-6] * 3)


def test_fewer_steps_than_are_done_are_refused_with_both_numbers(tmp_path, fit):
    folder = fit(tmp_path, "trainer.max_steps=6")
    with pytest.raises(ValueError, match="max_steps=4.* 6 steps"):
        fit(tmp_path, "trainer.max_steps=4", "resume=auto")
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 6
