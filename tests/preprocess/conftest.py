"""Made motion files and voices, and the command line that imports them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

import preprocess.__main__ as program
from joyvasa.data.official import motion_dict
from joyvasa.motion import CHANNELS, SCALE


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and error."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path) -> Callable[..., Done]:
    """`python -m preprocess WORDS` in `tmp_path`, in this process."""

    def command(*words: str) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["preprocess", *words])
        code = 0
        try:
            program.main()
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture
def make_motion() -> Callable[..., dict]:
    """(seed, frames=60, **entries) -> the dictionary of an official motion file, without angles."""

    def make(seed: int, frames: int = 60, **entries) -> dict:
        motion = np.random.default_rng(seed).uniform(-0.1, 0.1, (frames, CHANNELS))
        motion[:, SCALE] += 1.3
        content = motion_dict(motion.astype(np.float32))
        for frame in content["motion"]:
            for angle in ("pitch", "yaw", "roll"):
                del frame[angle]
        return content | entries

    return make


@pytest.fixture
def make_voice() -> Callable[..., np.ndarray]:
    """(path, seconds, rate=16000, channels=1) writes noise in the format of the path's ending; returns the samples."""

    def make(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(len(path.name)).uniform(-0.5, 0.5, (round(seconds * rate), channels))
        samples = np.rint(samples * 32768) / 32768  # what 16 bits hold exactly
        soundfile.write(path, samples, rate)
        return samples.mean(1).astype(np.float32)

    return make


@pytest.fixture
def report(tmp_path) -> Callable[[str], dict]:
    """(dataset folder) -> import.json, with `names`: kind -> names left out or remarked on."""

    def read(folder: str) -> dict:
        content = json.loads((tmp_path / folder / "import.json").read_text())
        names: dict[str, list[str]] = {}
        for note in content["rejected"] + content["remarks"]:
            assert note["reason"] and "\n" not in note["reason"]
            names.setdefault(note["kind"], []).append(note["name"])
        return content | {"names": names}

    return read
