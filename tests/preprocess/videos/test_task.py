"""Laws of the names of what is made of a file: they change with what it depends on, and with nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from preprocess.config import conf_dir
from preprocess.videos.records import Piece, Probed, Source
from preprocess.videos.task import Task

PIECE = Piece(0, 0, 0, 100, 0, 100, {})


def task(expert: str | None = None, detector: str = "haar", **changes) -> Task:
    """changes: of the settings, by dotted key below source.settings."""
    conf = conf_dir()
    cfg = OmegaConf.load(conf / "source" / "videos.yaml").settings
    root = OmegaConf.create(
        {"filters": OmegaConf.load(conf / "filters" / "default.yaml"), "weights": "random:0", "settings": cfg}
    )
    for key, value in changes.items():
        OmegaConf.update(root, key if key.startswith("filters") else f"settings.{key}", value)
    return Task(Source("a.mp4", Path("a.mp4"), ""), Path("staging"), instantiate(root.settings), detector, {}, expert)


def names(made: Task) -> tuple[str, str, str]:
    return made.looked("sha"), made.moved("sha"), made.piece("sha", PIECE)


@pytest.mark.parametrize(
    "key, value",
    [
        ("following.detector", "haar"),
        ("decoding.decord_mb", 0),
        ("filters.max_sync_lag", 9),
        ("filters.min_sync_confidence", 0.9),
        ("reference.crf", 30),
    ],
)
def test_what_is_not_asked_for_makes_nothing_again(key, value):
    assert names(task()) == names(task(**{key: value}))


def test_the_detector_that_was_opened_counts_and_not_the_word_for_it():
    assert task(detector="insightface").looked("sha") != task().looked("sha")


def test_with_an_expert_its_thresholds_and_its_file_count_and_not_the_path():
    with_expert = task("hash", **{"filters.sync": "runs/a"})
    assert with_expert.looked("sha") == task().looked("sha") and with_expert.moved("sha") != task().moved("sha")
    assert with_expert.moved("sha") == task("hash", **{"filters.sync": "runs/b"}).moved("sha")
    assert with_expert.moved("sha") != replace(with_expert, expert="other").moved("sha")
    for key in ("filters.max_sync_lag", "filters.min_sync_confidence"):
        assert with_expert.moved("sha") != task("hash", **{"filters.sync": "runs/a", key: 9}).moved("sha")


@pytest.mark.parametrize(
    "key, value, kept",
    [
        ("following.lost_seconds", 0.4, (False, False, False)),
        ("filters.min_speech", 0.1, (True, False, True)),
        ("extracting.still", 0.3, (True, False, False)),
        ("reference.quality", 90, (True, False, False)),
    ],
)
def test_what_depends_on_a_setting_is_made_again(key, value, kept):
    pairs = zip(names(task()), names(task(**{key: value})), strict=True)
    assert tuple(one == other for one, other in pairs) == kept


def test_what_is_done_to_the_pixels_counts_and_an_ordinary_video_is_named_by_its_bytes_alone():
    facts = {"bytes": 1, "container": "mp4", "width": 2, "height": 2, "fps": 25.0, "frames": 1, "seconds": 1.0}
    facts |= {"variable": False, "rotation": 0, "sound_rate": 48000, "sound_channels": 1}
    ordinary = Probed("sha", **facts, converted=[])
    assert ordinary.content == "sha"
    assert replace(ordinary, converted=["HLG"]).content != ordinary.content
