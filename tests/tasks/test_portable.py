"""A run as one small file: the same motion to half precision, refused where it is no such file; the shipped one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from joyvasa.tasks.official import SHIPPED
from joyvasa.tasks.portable import read_facts
from tests.test_config import cfg_of

MEGABYTES = 5


@pytest.fixture
def voice(tmp_path):
    path = tmp_path / "voice.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(30_000), 16_000)
    return path


@pytest.fixture
def exported(trained, run, tmp_path):
    path = tmp_path / "small.safetensors"
    done = run("task=export", f"checkpoint={trained}", f"out={path}")
    assert done.code == 0, done.err
    return path


def test_an_exported_run_moves_as_the_run_does(trained, run, voice, exported, tmp_path):
    motions = []
    for checkpoint in (trained, exported):
        out = tmp_path / f"of {checkpoint.name}"
        done = run("task=sample", f"checkpoint={checkpoint}", f"audio={voice}", f"out={out}")
        assert done.code == 0, done.err
        motions.append(np.load(out / "voice.motion.npy"))
    spread = motions[0].std(axis=0).max()
    assert 0 < np.abs(motions[0] - motions[1]).max() < 0.02 * spread, "half precision, and nothing else, differs"
    assert exported.stat().st_size < (trained / "checkpoints" / "best.ckpt").stat().st_size / 4


def test_the_checkpoint_s_settings_travel_along_and_its_network_is_fixed(exported, run, voice, tmp_path):
    config = OmegaConf.create(read_facts(exported)["config"])
    assert config.generation.window == 25 and config.denoiser.width == 16
    done = run("task=sample", f"checkpoint={exported}", f"audio={voice}", f"out={tmp_path / 'o'}", "denoiser.width=32")
    assert done.code == 2 and "denoiser: fixed by the checkpoint" in done.err


def test_a_file_of_another_kind_is_named(run, trained, voice, tmp_path):
    text = tmp_path / "text.safetensors"
    text.write_text("not a checkpoint at all")
    for path, reason in ((text, "not a whole"), (trained / "stats.safetensors", "not a motion generator"),
                         (tmp_path / "absent.safetensors", "no such file")):  # fmt: skip
        done = run("task=sample", f"checkpoint={path}", f"audio={voice}", f"out={tmp_path / 'o'}")
        assert done.code == 2 and reason in done.err and path.name in done.err


def test_the_shipped_checkpoint_is_small_and_of_today_s_demo():
    assert SHIPPED.stat().st_size < MEGABYTES * 1e6
    facts = read_facts(SHIPPED)
    config, demo = OmegaConf.create(facts["config"]), cfg_of("experiment=demo")
    for part in ("encoder", "denoiser", "diffusion", "normaliser"):
        assert config[part] == demo[part], f"{part} of the shipped checkpoint is not the demo's: make demo-checkpoint"
    assert int(facts["step"]) == demo.trainer.max_steps
    assert json.loads(facts["feature_spec"])["encoder"] == "logmel"
    assert facts["score"] and facts["trained"]
