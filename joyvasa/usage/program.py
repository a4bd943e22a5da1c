"""What differs between the two programs that Hydra configures, run.py and preprocess, and their composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from joyvasa.usage.meanings import Header, read_header


@dataclass(frozen=True)
class Program:
    """A program that Hydra configures.

    Attributes:
        command: how it was called, for sentences that say what to type.
        short: how a choice follows the command: "joyvasa {choice}", "python run.py task={choice}".
        conf: its configuration.
        file: name of the file of the root, without ending.
        root: the dataclass of the root.
        chooser: the group that decides what runs: task, or source.
        starts: groups of which one has to be chosen before anything runs.
    """

    command: str
    short: str
    conf: Path
    file: str
    root: type
    chooser: str
    starts: tuple[str, ...]

    def options(self, group: str) -> list[str]:
        """Files of a group, in alphabetical order; none for what is no group."""
        return sorted(path.stem for path in (self.conf / group).glob("*.yaml"))

    def header(self, group: str, option: str) -> Header:
        """The comment at the top of an option's file."""
        return read_header(self.conf / group / f"{option}.yaml")

    def called(self, choice: str) -> str:
        """How a task or source is typed."""
        return self.short.format(choice=choice)

    def compose(self, words: Sequence[str]) -> DictConfig:
        """The configuration that these words make, with Hydra's own part; raises what Hydra raises."""
        from hydra import compose, initialize_config_dir
        from hydra.core.config_store import ConfigStore
        from hydra.core.global_hydra import GlobalHydra

        name = "root" if self.file == "config" else f"{self.file}_root"
        ConfigStore.instance().store(name=name, node=self.root)
        before = GlobalHydra.instance().hydra
        with initialize_config_dir(str(self.conf), version_base="1.3"):
            composed = compose(self.file, list(words), return_hydra_config=True)
        GlobalHydra.instance().hydra = before
        return composed

    def chosen(self, composed: DictConfig) -> dict[str, str]:
        """Place in the configuration -> option that fills it: {"optim.schedule": "cosine"}."""
        places = {}
        for name, option in OmegaConf.to_container(composed.hydra.runtime.choices).items():
            places[place_of(name)] = option
        return places


def group_of(name: str) -> str:
    """The folder in conf/ of a group as it is typed: schedule for `schedule@optim.schedule`."""
    return name.partition("@")[0]


def place_of(name: str) -> str:
    """Where a group as it is typed stands in the configuration: optim.schedule for `schedule@optim.schedule`."""
    return name.partition("@")[2] or name
