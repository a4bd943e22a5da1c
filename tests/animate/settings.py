"""The configured composition, with changes: the one home of its numbers is conf/animate/default.yaml."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import OmegaConf

from joyvasa.animate.compose_settings import Composition
from joyvasa.tasks.config import conf_dir


def composed(**changes) -> Composition:
    configured = OmegaConf.load(conf_dir() / "animate" / "default.yaml").composition
    return instantiate(configured, **{"region": "all"} | changes)
