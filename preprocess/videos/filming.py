"""Films of the pieces that are for validation, once it is known which these are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from preprocess.report import Report
from preprocess.videos.journal import Journal
from preprocess.videos.motion import Extractor
from preprocess.videos.pack import VALIDATION, Accepted
from preprocess.videos.progress import Bar, frames_to_film
from preprocess.videos.stages import move, shoot
from preprocess.videos.task import Task, film_name, held


def film_clips(
    clips: Sequence[Accepted], speakers: dict[str, str], home: dict[str, str], engine: Any, report: Report
) -> None:
    """Have the engine film the clips for validation; one that cannot be filmed goes without, and is remarked on."""
    wanted: dict[str, list[str]] = {}
    by_name = {clip.worked.name: clip.worked.task for clip in clips}
    for clip in clips:
        if home[speakers[clip.key]] == VALIDATION:
            wanted.setdefault(clip.worked.name, []).append(clip.verdict.file)
    tasks = [replace(by_name[name], films=tuple(files)) for name, files in sorted(wanted.items())]
    left = [task for task in tasks if not filmed(task)]
    why: dict[str, str] = {}
    if left:

        def ended(task: Task, stage: str, result: Any) -> None:
            bar.file(task, False)
            if result:  # a sentence, or Died
                why[task.name] = getattr(result, "reason", None) or str(result)

        with Bar("films", left, frames_to_film) as bar:
            make = partial(Extractor, tasks[0].settings.extracting)  # not made: shoot leaves nothing to move
            engine.run(left, shoot, move, make, ended, bar.tick)
    for task in tasks:
        if not filmed(task):
            reason = why.get(task.name, "it was not there to be read")
            report.remark(task.name, "no film", f"no film of its face could be made ({reason}); type the command again")


def filmed(task: Task) -> bool:
    journal = Journal.open(task.folder, task.source.path)
    names = [film_name(verdict, task.settings) for verdict in journal.verdicts if verdict.file in task.films]
    return all(held(task.folder / name) for name in names)
