"""Tiny training runs, in this process or in their own, without the scoring at the end."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from joyvasa.lit.csv_logger import SPEED, read_curves
from joyvasa.tasks import train as train_task
from joyvasa.tasks.config import Root, conf_dir
from tests.waiting import HANGS_SECONDS, free_port

DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
# 8 clips x 4 windows in batches of 4: an epoch is 8 steps. Dropout, so that the global random numbers matter too.
TINY = (
    "task=train", "data=shards", "data.window=16", "data.history=5", "data.batch_size=4", "data.windows_per_clip=4",
    "data.buffer=8",
    "data.num_workers=0", "generation.window=16", "generation.history=5", "generation.overlap=2", "encoder.width=8",
    "encoder.bands=16", "encoder.blocks=1", "encoder.kernel=3", "denoiser.width=16", "denoiser.depth=1",
    "denoiser.heads=2", "denoiser.kernel=3", "denoiser.dropout=0.1", "optim.schedule.warmup_steps=3",
    "optim.schedule.total_steps=100", "trainer.accelerator=cpu", "trainer.max_steps=12", "trainer.log_every_n_steps=1",
    "trainer.enable_progress_bar=false", "callbacks.checkpoints.every_steps=1000", "~callbacks.progress",
)  # fmt: skip


def _load_driver():
    spec = importlib.util.spec_from_file_location("driver", DRIVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["driver"] = module
    spec.loader.exec_module(module)
    return module


driver = _load_driver()


@pytest.fixture(scope="session")
def tiny_args(tiny_dataset) -> Callable[..., list[str]]:
    """(runs folder, *overrides) -> the command line of a tiny run whose folder is runs/train/a."""

    def args(runs: Path, *overrides: str) -> list[str]:
        return [*TINY, f"data.path={tiny_dataset.folder}", f"paths.runs={runs}", "run_id=a", *overrides]

    return args


@pytest.fixture
def fit(tiny_args, monkeypatch) -> Callable[..., Path]:
    """(runs folder, *overrides, code=0) -> run folder of a run trained in this process, ending with this exit code."""
    monkeypatch.setattr(train_task, "score_and_show", lambda *scored: {})

    def run(runs: Path, *overrides: str, code: int = 0, run_id: str = "a") -> Path:
        assert train_task.train(config(tiny_args(runs, *overrides)), list(overrides)) == code
        return runs / "train" / run_id

    return run


def config(overrides: list[str]) -> DictConfig:
    """The configuration that run.py composes."""
    ConfigStore.instance().store(name="root", node=Root)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.create(OmegaConf.to_container(compose("config", overrides)))


@pytest.fixture(scope="session")
def composed(tiny_args) -> Callable[..., DictConfig]:
    """(*overrides) -> the configuration of a tiny run."""
    return lambda *overrides: config(tiny_args(Path("runs"), *overrides))


@pytest.fixture(scope="session")
def launch(tiny_args) -> Callable[..., subprocess.CompletedProcess]:
    """(runs folder, *overrides) -> a tiny run in its own process."""

    def run(runs: Path, *overrides: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(DRIVER), *tiny_args(runs, *overrides)]
        return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=HANGS_SECONDS)

    return run


@pytest.fixture(scope="session")
def ranks(tiny_args, tmp_path_factory) -> Callable[..., driver.Ranks]:
    """(runs folder, *overrides) -> a tiny run of two ranks, started as trainer=ddp_cpu starts its second: their
    processes are forked from one that has imported everything, and so begin at once."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["driver", "joyvasa.__main__", "joyvasa.tasks.train", "joyvasa.lit.monitor"])
    logs = tmp_path_factory.mktemp("ranks")

    def run(runs: Path, *overrides: str) -> driver.Ranks:
        args = tiny_args(runs, "trainer=ddp_cpu", "trainer.log_every_n_steps=1", "data.batch_size=2", *overrides)
        common = {"WORLD_SIZE": "2", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        number = len(list(logs.iterdir()))
        started = driver.Ranks([], [logs / f"{number}-{rank}.log" for rank in range(2)])
        for rank, log in enumerate(started.logs):
            log.touch()
            process = forks.Process(target=driver.run_rank, args=(args, common | {"LOCAL_RANK": str(rank)}, log))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{DRIVER.parent}")
                patch.setenv("OMP_NUM_THREADS", "1")
                patch.syspath_prepend(str(DRIVER.parent))
                process.start()
            started.processes.append(process)
        return started

    return run


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    """() -> a free port of this machine."""
    return free_port


@pytest.fixture(scope="session")
def curve() -> Callable[..., dict]:
    """(run folder, first step, last step) -> {(step, name): value} of its curves; the machine's speed is left out."""

    def read(folder: Path, first: int = 0, last: int = 10**9) -> dict:
        rows = [row for row in read_curves(folder / "logs" / "metrics.csv") if first <= row[0] < last]
        rows = [row for row in rows if not row[1].startswith(SPEED)]
        # Lightning writes the learning rate at each batch, and so several times a step when gradients accumulate.
        drawn = [row[:2] for row in rows if not row[1].startswith("lr-")]
        assert len(drawn) == len(set(drawn)), "a number was drawn twice"
        return {(step, name): "nan" if value != value else value for step, name, value in rows}

    return read


@pytest.fixture(scope="session")
def state() -> Callable[[Path], dict]:
    """Checkpoint of a run folder: weights, moving average and optimizer as one flat dictionary of tensors."""

    def read(folder: Path, name: str = "last") -> dict:
        checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        flat = {f"weight {key}": value for key, value in checkpoint["state_dict"].items()}
        flat |= {f"average {key}": value for key, value in checkpoint["callbacks"]["EMA"]["average"].items()}
        for number, values in checkpoint["optimizer_states"][0]["state"].items():
            flat |= {f"optimizer {number} {key}": value for key, value in values.items()}
        return flat

    return read
