"""task=validate and task=doctor, beside what task=train said of the same checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from omegaconf import OmegaConf

from joyvasa.tasks.build import FIXED, SUGGESTED, adopt, saved_config


def metrics(path) -> dict:
    return json.loads((path / "metrics.json").read_text())["metrics"]


def test_validate_repeats_the_scores_of_the_training_run(trained, run):
    """Same checkpoint, clips, seed and sampler, all taken from the run's configuration: the same numbers."""
    done = run("task=validate", f"checkpoint={trained}", "eval.previews=0")
    assert done.code == 0, done.err
    folder = trained.resolve() / "validate" / "demo"
    assert metrics(folder) == metrics(trained)
    assert (folder / "command.txt").read_text().startswith("task=validate checkpoint=")
    assert "model" in done.out and str(folder / "metrics.json") in done.out


@pytest.mark.slow
def test_validate_on_another_dataset_and_with_another_sampler(trained, home, run, tmp_path):
    other = shutil.copytree(home / "data" / "demo", tmp_path / "other")
    out = tmp_path / "out"
    words = (f"checkpoint={trained}", f"data.path={other}", f"out={out}", "sampler=ddim", "eval.previews=0")
    done = run("task=validate", *words)
    assert done.code == 0, done.err
    result = json.loads((out / "metrics.json").read_text())
    assert result["dataset"]["path"] == str(other) and "DDIM" in result["sampling"]["sampler"]["_target_"]
    assert metrics(out)["ceiling"] == metrics(trained)["ceiling"]
    assert metrics(out)["model"] != metrics(trained)["model"]


def test_a_checkpoint_that_is_broken_or_alone_is_one_line(trained, run, tmp_path):
    alone = tmp_path / "run" / "checkpoints"
    alone.mkdir(parents=True)
    shutil.copy(trained / "checkpoints" / "last.ckpt", alone)
    done = run("task=validate", f"checkpoint={tmp_path / 'run'}")
    assert done.code == 2 and "config.yaml is missing" in done.err
    shutil.copy(trained / "config.yaml", tmp_path / "run")
    (alone / "last.ckpt").write_bytes(b"cut off")
    done = run("task=validate", f"checkpoint={tmp_path / 'run'}")
    assert done.code == 2 and "not a whole checkpoint" in done.err and "Traceback" not in done.err


def test_doctor_finds_the_packages_the_film_and_the_dataset(trained, run):
    done = run("task=doctor")
    assert done.code == 0, done.out
    lines = {line.split()[1]: line.split()[0] for line in done.out.splitlines()}
    assert lines["torch"] == lines["film"] == lines["dataset"] == "ok"


def test_doctor_finds_a_changed_dataset(trained, home, run, tmp_path):
    broken = shutil.copytree(home / "data" / "demo", tmp_path / "broken")
    tar = next(broken.glob("core/train-*.tar"))
    content = bytearray(tar.read_bytes())
    content[700] ^= 1
    tar.write_bytes(bytes(content))
    done = run("task=doctor", f"data.path={broken}")
    assert done.code == 1 and f"WRONG    dataset {broken}" in done.out and "sha256" in done.out


def test_one_number_given_anew_leaves_its_neighbours_as_the_run_had_them():
    run = OmegaConf.create(
        {name: {"a": 1} for name in (*FIXED, *SUGGESTED)} | {"generation": {"guidance": 1.3, "seed": 0}}
    )
    composed = OmegaConf.create({name: {"a": 2} for name in (*FIXED, *SUGGESTED)})
    composed.generation = {"guidance": 1.0, "seed": 7}
    with TemporaryDirectory() as folder:
        OmegaConf.save(run, Path(folder, "config.yaml"))
        checkpoint = Path(folder, "checkpoints", "best.ckpt")
        cfg = adopt(composed, saved_config(checkpoint), checkpoint, ["generation.seed=7", "sampler=ddim"])
    assert cfg.generation == {"guidance": 1.3, "seed": 7}
    assert cfg.sampler.a == 2 and cfg.eval.a == 1
