"""Stages for the engines' tests: each leaves a line in a file of its task's folder. What a task does is in its name."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from preprocess.videos.engines.progress import advance
from tests.waiting import hang, until

STEPS = 4  # frames of a stepped task


@dataclass(frozen=True)
class Toy:
    """name: words of what happens: "dull" (no move), "killed-look", "killed-once", "killed-move", "full", "hung",
    "stepped" (frame n when the file NAME.n is there)."""

    name: str
    folder: Path

    def note(self, line: str) -> None:
        with open(self.folder / self.name, "a") as file:
            file.write(line + "\n")

    @property
    def lines(self) -> list[str]:
        return (self.folder / self.name).read_text().splitlines()


@dataclass(frozen=True)
class Tool:
    """made: by which process, and for which device."""

    made: tuple[int, str]


def look(toy: Toy) -> bool:
    first = not (toy.folder / toy.name).exists()
    toy.note("look")
    if "killed-look" in toy.name or ("killed-once" in toy.name and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if "full" in toy.name:
        raise OSError(28, "No space left on device", str(toy.folder))
    if "hung" in toy.name:
        hang()
        toy.note("went on")
    if "stepped" in toy.name:
        for number in range(STEPS):
            until((toy.folder / f"{toy.name}.{number}").exists, f"frame {number}")
            advance(1)
    advance(10)
    return "dull" not in toy.name


def move(toy: Toy, tool: Tool) -> tuple[int, str]:
    toy.note("move")
    if "killed-move" in toy.name:
        os.kill(os.getpid(), signal.SIGKILL)
    advance(1)
    return tool.made


def make_tool(made: Path, device: str) -> Tool:
    """For functools.partial: every tool made leaves a line in the file `made`."""
    with open(made, "a") as file:
        file.write(f"{os.getpid()} {device}\n")
    return Tool((os.getpid(), device))


class Rooted:
    """A stage that cannot be loaded in another process."""

    def __call__(self, toy: Toy) -> bool:
        raise AssertionError(f"{toy.name} was looked at")

    def __reduce__(self):
        return _only_in, (os.getpid(),)


def _only_in(process: int) -> Rooted:
    if os.getpid() != process:
        raise ModuleNotFoundError("No module named 'stages'")
    return Rooted()


def threads(toy: Toy) -> tuple[int, str]:
    import cv2

    return cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"]


class EndsOn:
    """An engine that takes its whole process with it at one task."""

    device = "cpu"

    def __init__(self, name: str):
        self.name = name

    def run(self, tasks, look, move, make_tool, report, tick=None) -> None:
        for task in tasks:
            if task.name == self.name:
                os._exit(1)
            report(task, "look", look(task))
