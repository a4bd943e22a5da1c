"""task=accept: the day real weights arrive. One call fetches and checks them, asks what is known of every metric,
lets the published generator speak and LivePortrait draw, and writes what is verified by that and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from joyvasa.eval.protocol_hash import environment, plain
from joyvasa.eval.verdicts import METRICS, VERIFIED, WRONG, Examiner
from joyvasa.models.speech_files import FAMILIES
from joyvasa.tasks.accept_causes import brief, cause_of, lines
from joyvasa.tasks.accept_films import Stage, render_step, sample_step
from joyvasa.tasks.accept_judges import Fetcher, clip_step, encoder_step, metric_step
from joyvasa.tasks.accept_page import counts, markdown, page
from joyvasa.tasks.accept_step import Book, Step
from joyvasa.tasks.runs import write_text
from joyvasa.weight_entries import ENTRIES

NAMES = ("accept.json", "accept.md", "accept.html")


def accept(cfg: DictConfig, overrides: list[str]) -> int:
    """Exit code 1 where something is WRONG. What is lacking is said with what to type, and ends nothing.

    A step that was verified is not gone through again while its files stay as they are.
    """
    if not cfg.max_frames or cfg.max_frames < 1 or not cfg.out:
        raise ValueError(f"max_frames={cfg.max_frames}, out={cfg.out} (expected frames from 1 on, and a folder)")
    clip, voice = _given(cfg.reference, "reference"), _given(cfg.audio, "audio")
    person, animal = _photos(cfg.image)
    folder = Path(cfg.out).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    examiner = Examiner()
    stage, fetcher = Stage(cfg, overrides, folder, examiner), Fetcher(examiner)
    steps = [fetcher.step(name) for name in ENTRIES]
    steps += [encoder_step(name, examiner) for name in FAMILIES if name in ENTRIES]
    steps += [clip_step(clip, cfg.animate.detector, examiner)]
    steps += [metric_step(name, examiner) for name in METRICS]
    steps += [sample_step(stage, voice), render_step(stage, "human", person), render_step(stage, "animal", animal)]
    return _go_through(steps, fetcher.unfetched, folder)


def _given(path: str | None, key: str) -> Path | None:
    """Raises FileNotFoundError for a path that is no file."""
    found = Path(path).expanduser() if path else None
    if found and not found.is_file():
        raise FileNotFoundError(f"{key}={path}: no such file")
    return found


def _photos(image: Any) -> list[Path | None]:
    """A person's and an animal's. Raises ValueError for more."""
    words = list(image) if isinstance(image, ListConfig) else [image]
    if len(words) > 2:
        raise ValueError(f"image={image}: {len(words)} photos (expected a person's and an animal's: [me.jpg,cat.jpg])")
    return [_given(word, "image") for word in [*words, None][:2]]


def _go_through(steps: list[Step], unfetched: Mapping[str, str], folder: Path) -> int:
    """unfetched: grows while the first steps fetch."""
    book, here, causes = Book(folder / NAMES[0]), plain(environment()), {}
    for step in steps:
        outcome, kept = book.go_through(step)
        book.write([each.name for each in steps], here)
        said = f"{outcome.detail} (found {outcome.when}, nothing has changed)" if kept else outcome.detail
        if cause := cause_of(outcome, unfetched):
            causes[step.name], said = cause, brief(said)
        print(f"{outcome.state:<10} {step.name:<28} {said}", flush=True)
    outcomes = {each.name: book.outcomes[each.name] for each in steps}
    write_text(folder / NAMES[1], markdown(outcomes, causes, here))
    write_text(folder / NAMES[2], page(outcomes, causes, here, folder))
    print("\n".join([*lines(causes), f"{counts(outcomes)}; written to {folder / NAMES[2]}"]))
    states = {each.state for each in outcomes.values()}
    if states == {VERIFIED}:
        print("everything is verified")
    return int(WRONG in states)
