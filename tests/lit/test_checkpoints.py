"""A checkpoint is whole or absent, and what is no checkpoint is said to be none."""

from __future__ import annotations

import errno
import pickle

import pytest
import torch
from omegaconf import OmegaConf

from joyvasa.lit.checkpoints import AtomicCheckpointIO, find_checkpoint, load_averaged, read_checkpoint
from joyvasa.tasks.build import build_module, unit_stats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def trained(folder, fit):
    """A run of 12 steps, saved at 5 and 10, at the end, and by its validation at 8."""
    run = folder / "train" / "a"
    return run if run.exists() else fit(folder, "callbacks.checkpoints.every_steps=5")


def full_disk(checkpoint, file) -> None:
    """torch.save on a disk that is full after the first bytes."""
    file.write(b"the first bytes")
    raise OSError(errno.ENOSPC, "No space left on device")


def names(run) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_best_last_and_previous_are_whole(trained):
    steps = {name: read_checkpoint(trained / "checkpoints" / name)["global_step"] for name in names(trained)}
    assert steps == {"best.ckpt": 12, "last.ckpt": 12, "previous.ckpt": 10}


def test_a_full_disk_leaves_the_previous_checkpoint_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("joyvasa.lit.checkpoints.torch.save", full_disk)
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"the old one")
    with pytest.raises(OSError, match=r"last\.ckpt: checkpoint not written .*No space left.*Free disk space"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(3)}, path)
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_run_whose_disk_is_full_can_be_resumed(tmp_path, fit, curve):
    how = ("trainer.max_steps=12", "callbacks.checkpoints.every_steps=3")
    whole = fit(tmp_path / "whole", *how)
    fit(tmp_path / "full", "trainer.max_steps=5", "callbacks.checkpoints.every_steps=3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joyvasa.lit.checkpoints.torch.save", full_disk)
        with pytest.raises(OSError, match="Free disk space and resume"):
            fit(tmp_path / "full", *how, "resume=auto")
    run = tmp_path / "full" / "train" / "a"
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 5
    assert not [name for name in names(run) if name.endswith(".tmp")]
    resumed = curve(fit(tmp_path / "full", *how, "resume=auto"))
    del resumed[4, "val/loss"]  # of the end of the shorter run
    assert resumed == curve(whole)


def test_cut_off_foreign_and_code_bearing_files_are_refused_in_one_line(trained, tmp_path):
    whole = (trained / "checkpoints" / "last.ckpt").read_bytes()

    class Code:
        def __reduce__(self):
            return print, ("this ran",)

    contents = {
        "half.ckpt": whole[: len(whole) // 2],
        "empty.ckpt": b"",
        "text.ckpt": b"no checkpoint",
        "code.ckpt": pickle.dumps(Code()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    torch.save([torch.zeros(3)], tmp_path / "list.ckpt")
    for path in sorted(tmp_path.glob("*.ckpt")):
        with pytest.raises(ValueError, match="not a whole checkpoint") as caught:
            read_checkpoint(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_load_averaged_takes_the_average_and_names_keys_of_another_model(trained):
    cfg = OmegaConf.load(trained / "config.yaml")
    module, path = build_module(cfg, unit_stats()), trained / "checkpoints" / "last.ckpt"
    assert load_averaged(module, path) == 12
    average = read_checkpoint(path)["callbacks"]["EMA"]["average"]
    assert average and all(torch.equal(value, module.state_dict()[name]) for name, value in average.items())
    cfg.denoiser.width = 32
    with pytest.raises(ValueError, match=r"last\.ckpt: of another model"):
        load_averaged(build_module(cfg, unit_stats()), path)


def test_a_run_folder_a_link_and_a_file_mean_a_checkpoint(trained):
    best = trained / "checkpoints" / "best.ckpt"
    assert find_checkpoint(trained) == best
    assert find_checkpoint(trained.parent / "latest") == best
    assert find_checkpoint(trained / "checkpoints" / "last.ckpt").name == "last.ckpt"
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        find_checkpoint(trained.parent)
