"""source=videos as conf/ configures it, all in one process; as a program it tells the memory that took.

python -m tests.preprocess.videos.inline INPUT OUTPUT KEY=VALUE … -> IDLE_MB (networks built), PEAK_MB
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from joyvasa.data.shards import DatasetInfo
from preprocess.config import conf_dir
from preprocess.videos.stages import detector_of

QUICK = {"filters.min_seconds": 2, "source.settings.following.detect_seconds": 0.4}


class Here:
    """An engine: one file after another, in this process. idle_mb: what it held before the first."""

    idle_mb, device = 0.0, "cpu"

    def run(self, tasks, look, move, make_tool, report, tick=None):
        tool = make_tool("cpu")
        detector_of(tasks[0].settings.following.detector)
        self.idle_mb = self.idle_mb or resident_mb()
        for task in tasks:
            there = look(task)
            report(task, "look", there)
            if there is True:
                report(task, "move", move(task, tool))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def make(input: Path, output: Path, engine: Here | None = None, **changes) -> DatasetInfo:
    """The dataset of `input`; changes: of the configuration, by dotted key."""
    conf = conf_dir()
    root = {
        "input": str(input), "metadata": None, "features": None, "engine": None, "weights": "random:0:small",
        "filters": OmegaConf.load(conf / "filters" / "default.yaml"),
        "source": OmegaConf.load(conf / "source" / "videos.yaml"),
    }  # fmt: skip
    cfg = OmegaConf.create(root)
    for key, value in {**QUICK, **changes}.items():
        OmegaConf.update(cfg, key, value)
    return instantiate(cfg.source, seed=0, engine=engine or Here())(str(output))


if __name__ == "__main__":
    here, given = Here(), dict(word.split("=", 1) for word in sys.argv[3:])
    changes = {key: yaml.safe_load(value) for key, value in given.items()}
    make(Path(sys.argv[1]), Path(sys.argv[2]), here, **changes)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"IDLE_MB {here.idle_mb:.0f} PEAK_MB {peak_kb / 1024:.0f}")
