"""One tiny model on a tiny made corpus, trained by run.py itself, for all tests of the tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import joyvasa.__main__ as program

TINY = (
    "experiment=demo", "data.synthetic.train_speakers=2", "data.synthetic.validation_speakers=2",
    "data.synthetic.clips_per_speaker=1", "data.synthetic.seconds=4", "data.synthetic.processes=1",
    "data.window=25", "data.history=5", "data.batch_size=2", "data.windows_per_clip=2", "generation.window=25",
    "generation.history=5", "generation.overlap=5", "encoder.width=8", "encoder.bands=16", "encoder.blocks=1",
    "denoiser.width=16", "denoiser.depth=1", "denoiser.heads=2", "denoiser.kernel=3", "optim.schedule.warmup_steps=1",
    "trainer.max_steps=4", "sampler.steps=2", "eval.clips=2", "eval.previews=1", "preview.size=64",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and error."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """The folder in which the tests' commands run: runs/demo/latest will be the model, data/demo the corpus."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(home, capsys, monkeypatch) -> Callable[..., Done]:
    """`python run.py WORDS` in `home`, in this process; task=train where the words name neither task nor experiment."""

    def command(*words: str) -> Done:
        if not any(word.startswith(("task=", "experiment=")) for word in words):
            words = ("task=train", *words)
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["run.py", *words])
        capsys.readouterr()
        code = 0
        try:
            program.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert "JOYVASA_RUN_ID" not in os.environ
        return Done(code, captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def tiny_words() -> tuple[str, ...]:
    """The command line of the model that `trained` trains."""
    return TINY


@pytest.fixture
def trained(home, run) -> Path:
    """The run folder, trained once."""
    latest = home / "runs" / "demo" / "latest"
    if not latest.exists():
        done = run(*TINY, "run_id=first")
        assert done.code == 0, done.err
        (home / "train.out").write_text(done.out)
    return latest
