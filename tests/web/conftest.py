"""A studio that is real but for its voice, which can be held, and its detector, which sees what it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from joyvasa.animate.compose_settings import Amplitude
from joyvasa.animate.pipeline import Studio
from joyvasa.animate.stage import PuppetStage
from joyvasa.faces.face import Face
from joyvasa.motion import CHANNELS, SAMPLE_RATE, SAMPLES_PER_FRAME, SCALE
from joyvasa.tasks.config import Root, conf_dir
from joyvasa.web.folder import Folder
from joyvasa.web.limits import Limits
from joyvasa.web.workshop import Wish, Workshop

STEPS = 4  # of the stand-in for the motion generator
LIMITS = {
    "upload_mb": 1, "voice_seconds": 3, "video_seconds": 2, "preview_seconds": 0.4, "at_once": 1, "waiting": 2,
    "keep_minutes": 600, "guidance": 4, "amplitude": 2,
}  # fmt: skip


@dataclass
class Speaker:
    """Stands in for the motion generator. go: cleared, it waits. heard: (name, samples, guidance) of every voice."""

    go: threading.Event = field(default_factory=threading.Event)
    heard: list[tuple[str, int, float | None]] = field(default_factory=list)

    def __call__(self, audio, name, guidance, on_step) -> np.ndarray:
        self.heard.append((name, len(audio), guidance))
        for step in range(STEPS):
            while not self.go.wait(0.02):
                on_step(step, STEPS)
            on_step(step + 1, STEPS)
        motion = np.zeros((len(audio) // SAMPLES_PER_FRAME, CHANNELS), np.float32)
        motion[:, SCALE] = 1.3
        return motion


@dataclass
class Eye:
    """A detector that sees the faces it was given, (x, y, w, h) in any picture."""

    boxes: tuple[tuple[float, float, float, float], ...] = ((20.0, 30.0, 80.0, 80.0),)
    name: str = "eye"
    note: str = "sees what it is told; python -m joyvasa.weights pull insightface sees more"

    def detect(self, image) -> list[Face]:
        return sorted((Face(box, 0.0, 1.0, "box") for box in self.boxes), key=lambda face: -face.area)


@pytest.fixture(scope="session")
def page_cfg() -> DictConfig:
    """The configuration with small limits and a small puppet. Shared: read only."""
    ConfigStore.instance().store(name="root", node=Root)
    words = [f"web.limits.{name}={value}" for name, value in LIMITS.items()]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", ["task=app", "web.preview.size=64", *words])
    cfg = OmegaConf.create(OmegaConf.to_container(cfg))
    OmegaConf.set_struct(cfg, True)
    return cfg


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(**LIMITS)


@pytest.fixture(scope="session")
def make_studio() -> Callable[[], Studio]:
    """() -> a studio whose `speak` is a `Speaker` that speaks at once; clear its `go` to hold it."""

    def make() -> Studio:
        speaker = Speaker()
        speaker.go.set()
        return Studio(speak=speaker, stage=PuppetStage(size=64), detector=Eye(), facts={"checkpoint": "none"})

    return make


@pytest.fixture
def studio(make_studio) -> Studio:
    return make_studio()


@pytest.fixture
def speaker(studio) -> Speaker:
    return studio.speak


@pytest.fixture
def folder(tmp_path):
    with_all = Folder(tmp_path / "web", keep_seconds=3600)
    yield with_all
    with_all.close()


@pytest.fixture
def workshop(studio, page_cfg, limits, folder) -> Workshop:
    return Workshop(studio, PuppetStage(size=32), page_cfg, limits, folder)


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    """160 x 200 pixels of noise."""
    path = tmp_path_factory.mktemp("photo") / "a face.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 160, 3), np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def voice(tmp_path_factory) -> Path:
    """One second of noise."""
    path = tmp_path_factory.mktemp("sound") / "voice.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE), SAMPLE_RATE)
    return path


@pytest.fixture
def wish(picture, voice) -> Wish:
    loud = Amplitude(lips=1, eyes=1, brows=1, head=1)
    return Wish(picture, voice, "auto", None, "", (), None, loud, "voice", preview=False)
