"""A run that was broken off and resumed is the run that was not: losses, rates, validation, weights, average."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.waiting import HANGS_SECONDS

DRIVER = Path(__file__).with_name("driver.py")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(DRIVER.parents[2])}
STEPS = 34  # four epochs of 8 steps and a piece


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(torch.as_tensor(a[name]), torch.as_tensor(b[name])), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def uninterrupted(whole, fit) -> Path:
    """One run of 34 steps, made once."""
    folder = whole / "train" / "a"
    if not (folder / "checkpoints" / "last.ckpt").exists():
        fit(whole, f"trainer.max_steps={STEPS}")
    return folder


@pytest.fixture
def begun(tmp_path, fit) -> Path:
    """The runs folder of a run of 2 steps."""
    fit(tmp_path, "trainer.max_steps=2")
    return tmp_path


def broken_off(fit, runs: Path, stop: int, *overrides: str) -> None:
    """A run that dies before optimizer step `stop`, at a place that no checkpoint knows of."""
    from driver import Stop

    breaking = ("+callbacks.stop._target_=driver.RaiseAt", f"+callbacks.stop.step={stop}")
    with pytest.raises(Stop):
        fit(runs, f"trainer.max_steps={STEPS}", *breaking, *overrides)


def test_same_seed_gives_the_same_curves_and_weights(uninterrupted, tmp_path, fit, curve, state):
    again = fit(tmp_path, f"trainer.max_steps={STEPS}")
    assert curve(again) == curve(uninterrupted)
    same(state(again), state(uninterrupted))
    assert [step for step, name in curve(again) if name == "val/loss"] == [7, 15, 23, 31, 33], "the last at the end"


def test_another_seed_gives_others(uninterrupted, tmp_path, fit, curve):
    other = fit(tmp_path, "trainer.max_steps=2", "seed=1")
    assert curve(other)[0, "train/loss"] != curve(uninterrupted)[0, "train/loss"]


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_in_mid_epoch(workers, uninterrupted, tmp_path, fit, curve, state):
    """Saved at step 11, killed before step 14: the three steps between are done again, then 20 more."""
    how = ("callbacks.checkpoints.every_steps=11", f"data.num_workers={workers}")
    broken_off(fit, tmp_path, 14, *how)
    folder = fit(tmp_path, f"trainer.max_steps={STEPS}", "resume=auto", *how)
    assert sum(name == "train/loss" for _, name in curve(folder, 14)) == 20
    assert curve(folder) == curve(uninterrupted)
    same(state(folder), state(uninterrupted))


@pytest.mark.parametrize(
    "every, name, stop", [(8, "last", 18), (1000, "best", 18), (8, "last", 16)], ids=["last", "best", "at once"]
)
def test_resumed_at_the_end_of_an_epoch(every, name, stop, uninterrupted, tmp_path, fit, curve, state):
    """The checkpoint is written after the epoch's validation, which is neither lost nor done twice."""
    how = (f"callbacks.checkpoints.every_steps={every}",)
    broken_off(fit, tmp_path, stop, *how)
    checkpoint = tmp_path / "train" / "a" / "checkpoints" / f"{name}.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 16
    folder = fit(tmp_path, f"trainer.max_steps={STEPS}", f"resume={checkpoint}", *how)
    assert curve(folder) == curve(uninterrupted)
    same(state(folder), state(uninterrupted))


def test_resumed_between_two_validations_of_an_epoch(tmp_path, fit, curve, state):
    how = ("callbacks.checkpoints.every_steps=4", "trainer.val_check_interval=4", f"trainer.max_steps={STEPS}")
    reference = fit(tmp_path / "whole", *how)
    broken_off(fit, tmp_path / "broken", 14, *how)
    folder = fit(tmp_path / "broken", "resume=auto", *how)
    assert curve(folder) == curve(reference)
    same(state(folder), state(reference))


def test_resumed_while_accumulating(tmp_path, fit, curve, state):
    """Two batches a step: an epoch is 4 steps; no checkpoint holds half a step."""
    how = ("trainer.accumulate_grad_batches=2", "callbacks.checkpoints.every_steps=3", f"trainer.max_steps={STEPS}")
    reference = fit(tmp_path / "whole", *how)
    broken_off(fit, tmp_path / "broken", 11, *how)
    folder = fit(tmp_path / "broken", "resume=auto", *how)
    assert curve(folder) == curve(reference)
    same(state(folder), state(reference))


def test_a_finished_run_is_prolonged(uninterrupted, tmp_path, fit, curve, state):
    fit(tmp_path, "trainer.max_steps=11")
    folder = fit(tmp_path, f"trainer.max_steps={STEPS}", "resume=auto")
    prolonged = curve(folder)
    del prolonged[10, "val/loss"]  # of the end of the shorter run
    assert prolonged == curve(uninterrupted)
    same(state(folder), state(uninterrupted))


def test_a_run_resumes_with_its_own_settings_only(tmp_path, fit):
    fit(tmp_path, "trainer.max_steps=2")
    with pytest.raises(ValueError, match="denoiser.width is 32, the run was begun with 16"):
        fit(tmp_path, "resume=auto", "denoiser.width=32")
    with pytest.raises(ValueError, match="windows_per_clip"):
        fit(tmp_path, "resume=auto", "data.windows_per_clip=3")
    with pytest.raises(ValueError, match="holds a trained run; go on with resume="):
        fit(tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        (("data.batch_size=2",), "2 x 1 x 1 = 2, the run was begun with 4 x 1 x 1 = 4 .* set data.batch_size=4"),
        (("trainer=ddp_cpu",), "4 x 2 x 1 = 8, the run was begun with 4 x 1 x 1 = 4 .* set data.batch_size=2"),
        (("trainer=ddp_cpu", "trainer.devices=3"), "= 12, .* no data.batch_size gives as many on these ranks"),
        (("trainer.accumulate_grad_batches=2",), "accumulate_grad_batches is 2, the run was begun with 1"),
    ],
)
def test_another_number_of_examples_a_step_is_refused_and_explained(changes, message, begun, fit):
    """The place in the data is counted in batches of all ranks; as many ranks as give the same are welcome."""
    with pytest.raises(ValueError, match=message) as caught:
        fit(begun, "resume=auto", *changes)
    assert "\n" not in str(caught.value)


def test_other_data_is_refused(begun, fit, write_tiny, tiny_clips):
    other = write_tiny(tiny_clips[1:])
    with pytest.raises(ValueError, match=r"another order of examples: data '8 clips.* \(now '7 clips"):
        fit(begun, "resume=auto", f"data.path={other.folder}")


def test_auto_takes_no_other_run_where_an_id_is_given(begun, fit, capsys):
    """Two jobs of one name would else write into one folder."""
    fit(begun, "trainer.max_steps=1", "resume=auto", "run_id=b", run_id="b")
    assert "no checkpoint under" in capsys.readouterr().out
    assert (begun / "train" / "b" / "checkpoints" / "last.ckpt").is_file()
    fit(begun, "trainer.max_steps=3", "resume=auto")
    assert "resuming" in (out := capsys.readouterr().out) and "/a/checkpoints" in out


def test_killed_right_after_a_checkpoint(uninterrupted, tmp_path, fit, curve):
    """The numbers of the step that was saved are in the curves already."""
    from driver import Stop

    def save_and_die(self, checkpoint, path, storage_options=None) -> None:
        path.parent.mkdir(parents=True)
        torch.save(checkpoint, path)
        raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr("joyvasa.lit.checkpoints.AtomicCheckpointIO.save_checkpoint", save_and_die)
        fit(tmp_path, "callbacks.checkpoints.every_steps=5")
    assert curve(fit(tmp_path, f"trainer.max_steps={STEPS}", "resume=auto")) == curve(uninterrupted)


def test_a_run_killed_before_its_first_checkpoint_begins_anew_in_its_folder(tmp_path, fit, curve):
    broken_off(fit, tmp_path / "killed", 3)
    how = (f"trainer.max_steps={STEPS}", "resume=auto")
    assert curve(fit(tmp_path / "killed", *how)) == curve(fit(tmp_path / "whole", *how))


def test_auto_begins_anew_where_there_is_nothing_and_a_missing_run_is_an_error(tmp_path, fit, capsys):
    assert (fit(tmp_path, "trainer.max_steps=1", "resume=auto") / "checkpoints" / "last.ckpt").is_file()
    assert "no checkpoint under" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="nowhere is missing; resume=auto takes the newest run"):
        fit(tmp_path, "resume=nowhere")


@pytest.fixture
def broken_run(tiny_args, tmp_path) -> Callable[..., tuple[int, str]]:
    """(runs folder, *overrides) -> exit code and output of a tiny run in its own process. Workers that it leaves behind
    when it is killed are not waited for, and are ended with the test."""
    groups = []

    def run(runs: Path, *overrides: str) -> tuple[int, str]:
        log = tmp_path / f"{len(groups)}.log"
        with open(log, "wb") as out:
            command = [sys.executable, str(DRIVER), *tiny_args(runs, *overrides)]
            process = subprocess.Popen(command, env=ENVIRONMENT, stdout=out, stderr=out, start_new_session=True)
        groups.append(process.pid)
        return process.wait(timeout=HANGS_SECONDS), log.read_text()

    yield run
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@pytest.mark.torture
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_five_times_anywhere(workers, tmp_path, broken_run, curve, state):
    """SIGKILL at random moments of a run that saves every 3 steps; in the end it is the uninterrupted one."""
    kills, steps = 5, 170
    how = (f"trainer.max_steps={steps}", "optim.schedule.total_steps=200", f"data.num_workers={workers}")
    how += ("callbacks.checkpoints.every_steps=3", "resume=auto")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert broken_run(whole, *how)[0] == 0
    rng = random.Random(workers)
    for number in range(kills):
        settings = {"_target_": "driver.SignalWithin", "number": signal.SIGKILL.value, "share": rng.uniform(0, 2)}
        settings["step"] = steps * (number + 1) // (kills + 1) + rng.randint(-3, 3)
        code, said = broken_run(killed, *how, *(f"+callbacks.signal.{key}={value}" for key, value in settings.items()))
        assert code == -signal.SIGKILL, f"it ended by itself before kill {number}:\n{said}"
    code, said = broken_run(killed, *how)
    assert code == 0, said
    assert curve(killed / "train" / "a") == curve(whole / "train" / "a")
    same(state(killed / "train" / "a"), state(whole / "train" / "a"))
