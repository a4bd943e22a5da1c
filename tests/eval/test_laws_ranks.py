"""One process is as good as several, for every metric: 1 = 2 = 4 ranks to 1e-9, however unevenly they share the videos.

A metric of `joyvasa.eval` that has no recipe here fails: `RECIPES` says how each is built and fed.
"""

from __future__ import annotations

import importlib
import math
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics import Metric

import joyvasa.eval
from joyvasa.eval.frechet import FrechetDistance
from joyvasa.eval.frechet_infinity import FrechetInfinity
from joyvasa.eval.identity import VideoIdentity
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.eval.quality import VideoQuality, ssim
from joyvasa.eval.sync import clip_sync
from joyvasa.eval.sync_summary import SyncSummary
from joyvasa.eval.video_means import VideoMeans
from tests.waiting import HANGS_SECONDS

WIDTH = 6
# How many updates each rank makes: three quarters and more on the first, none on the last.
SHARES = {1: (19,), 2: (17, 2), 4: (15, 3, 1, 0)}
UPDATES = 19
NAN = float("nan")


def features(number: int) -> dict[str, Any]:
    """One video: 2 to 20 vectors far from zero, float32 as judges give them; every second is a recording."""
    rng = np.random.default_rng(number)
    vectors = torch.from_numpy(100 + rng.standard_normal((2 + number, WIDTH)) * (1 + number % 2)).float()
    return {"features_ND": vectors, "real": number % 2 == 0, "video": f"video{number}"}


def synced(number: int):
    """One clip of 12 to 30 windows whose voice is 0 to 4 frames early."""
    rng = np.random.default_rng(number)
    windows, shift = 12 + number, number % 5
    lips = rng.standard_normal((windows + shift, 16))
    voice = lips[shift:] + 0.3 * rng.standard_normal((windows, 16))
    return clip_sync(torch.from_numpy(lips[:windows]), torch.from_numpy(voice), max_shift=6)


def pair(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """1 to 3 frames and what they should be."""
    rng = np.random.default_rng(number)
    reference = rng.integers(0, 256, (1 + number % 3, 12, 14, 3), dtype=np.uint8)
    generated = np.clip(reference + rng.normal(0, 5 + number, reference.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(generated), torch.from_numpy(reference)


def cosines(number: int) -> torch.Tensor:
    """Of 0 to 18 frames, every fifth without a face."""
    found = np.random.default_rng(number).uniform(-1, 1, number)
    found[::5] = NAN
    return torch.from_numpy(found)


def row(number: int) -> dict[str, float]:
    return {"psnr": 1e3 / (number + 1), "csim": NAN if number % 4 == 0 else math.sin(number)}


# How a metric is built, and how it takes the video of a number.
RECIPES: dict[type[Metric], tuple[Callable[[], Metric], Callable[[Metric, int], None]]] = {
    FrechetDistance: (
        lambda: FrechetDistance(features=WIDTH, ddof=1, minimum=50),
        lambda metric, number: metric.update(**features(number)),
    ),
    FrechetInfinity: (
        lambda: FrechetInfinity(features=WIDTH, ddof=0, minimum=50, limit=70, smallest=20, points=6, seed=3),
        lambda metric, number: metric.update(**features(number)),
    ),
    KernelDistance: (
        lambda: KernelDistance(features=WIDTH, limit=60, subsets=5, subset_size=20, seed=4),
        lambda metric, number: metric.update(**features(number)),
    ),
    SyncSummary: (lambda: SyncSummary(max_shift=6), lambda metric, number: metric.update(synced(number))),
    VideoIdentity: (VideoIdentity, lambda metric, number: metric.update(cosines(number))),
    VideoMeans: (lambda: VideoMeans(names=["psnr", "csim"]), lambda metric, number: metric.update(row(number))),
    VideoQuality: (
        lambda: VideoQuality(measures={"ssim": ssim}),
        lambda metric, number: metric.update(*pair(number)),
    ),
}
ALL = pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.__name__)


def fed(kind: type[Metric], numbers: Iterable[int]) -> Metric:
    build, update = RECIPES[kind]
    metric = build()
    for number in numbers:
        update(metric, int(number))
    return metric


def shared(kind: type[Metric], ranks: int) -> list[Metric]:
    ends = np.cumsum((0, *SHARES[ranks]))
    return [fed(kind, range(*map(int, ends[rank : rank + 2]))) for rank in range(ranks)]


def values(metric: Metric) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def assert_same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert not any(map(math.isnan, expected.values())), "a recipe that gives NaN shows nothing"
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_every_metric_has_a_recipe_and_every_recipe_shares_all_videos():
    for module in pkgutil.walk_packages(joyvasa.eval.__path__, "joyvasa.eval."):
        importlib.import_module(module.name)
    ours = {kind for kind in subclasses(Metric) if kind.__module__.startswith("joyvasa.")}
    assert ours == set(RECIPES)
    assert {sum(shares) for shares in SHARES.values()} == {UPDATES}


def subclasses(kind: type) -> set[type]:
    return {each for child in kind.__subclasses__() for each in {child, *subclasses(child)}}


@ALL
@pytest.mark.parametrize("ranks", SHARES)
def test_merged_states_are_those_of_one_process(kind, ranks):
    first, *others = shared(kind, ranks)
    for other in others:
        first.merge_state(other)
    assert_same(values(first), values(fed(kind, range(UPDATES))))


@ALL
@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # of a rank without videos
@pytest.mark.parametrize("ranks", SHARES)
def test_gathered_states_are_those_of_one_process_and_the_own_ones_come_back(kind, ranks):
    """As torchmetrics gathers them over a process group, which here hands out the states of the others."""
    expected = values(fed(kind, range(UPDATES)))
    for rank in range(ranks):
        metrics = shared(kind, ranks)
        own = metrics[rank]
        alone = {name: value for name, value in own.metric_state.items() if isinstance(value, torch.Tensor)}
        alone = {name: value.clone() for name, value in alone.items()}
        own.distributed_available_fn, own.dist_sync_fn = lambda: True, handing_out(metrics)
        assert_same(values(own), expected)
        for name, value in alone.items():
            assert torch.equal(getattr(own, name), value), name


def handing_out(metrics: list[Metric]) -> Callable[[torch.Tensor, Any], list[torch.Tensor]]:
    """A gathering function: its n-th call gives the n-th state of all ranks."""
    names = iter(list(metrics[0].metric_state))
    empty = torch.empty(0, dtype=torch.float64)
    # Before it gathers, torchmetrics makes one tensor of a list of them.
    states = [{name: as_one(value, empty) for name, value in each.metric_state.items()} for each in metrics]

    def gather(_: torch.Tensor, group: Any) -> list[torch.Tensor]:
        name = next(names)
        return [state[name].clone() for state in states]

    return gather


def as_one(state: torch.Tensor | list[torch.Tensor], empty: torch.Tensor) -> torch.Tensor:
    return torch.cat([empty, *state]) if isinstance(state, list) else state


@ALL
def test_another_share_is_another_number(kind):
    """The other tests could see a video that is lost, or counted twice."""
    whole = values(fed(kind, range(UPDATES)))
    twice = fed(kind, range(UPDATES))
    twice.merge_state(fed(kind, range(UPDATES - 1, UPDATES)))
    for found in (values(fed(kind, range(UPDATES - 1))), values(twice)):
        assert found != pytest.approx(whole, rel=1e-6, abs=1e-6)


@ALL
def test_the_order_of_the_videos_changes_nothing(kind):
    shuffled = np.random.default_rng(0).permutation(UPDATES)
    assert_same(values(fed(kind, shuffled)), values(fed(kind, range(UPDATES))))


def of_rank(meeting: str, rank: int, ranks: int, out: str) -> None:
    """What one of several processes does."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    torch.save({kind.__name__: values(shared(kind, ranks)[rank]) for kind in RECIPES}, f"{out}{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_real_processes_give_what_one_gives(tmp_path, ranks):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    script = "import sys; from tests.eval.test_laws_ranks import of_rank as go; a, b, c, d = sys.argv[1:]; "
    script += "go(a, int(b), int(c), d)"
    meeting, out = str(tmp_path / "meeting"), str(tmp_path / "rank")
    started = [
        subprocess.Popen([sys.executable, "-c", script, meeting, str(rank), str(ranks), out], env=environment)
        for rank in range(ranks)
    ]
    try:
        assert [each.wait(timeout=HANGS_SECONDS) for each in started] == [0] * ranks
    finally:
        for each in started:
            each.kill()
    for rank in range(ranks):
        found = torch.load(f"{out}{rank}.pt")
        for kind in RECIPES:
            assert_same(found[kind.__name__], values(fed(kind, range(UPDATES))))
