"""The `joyvasa` command: a word for each task and program, then what run.py takes.

joyvasa animate image=me.jpg audio=voice.wav       the same as   python run.py task=animate image=…
joyvasa preprocess source=…                                      python -m preprocess source=…
joyvasa weights pull liveportrait                                python -m joyvasa.weights pull liveportrait

Without words it prints its usage; `--help` prints help of the task, group or key that is named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from joyvasa.quoting import quote_all
from joyvasa.usage.front import Front
from joyvasa.usage.program import Program
from joyvasa.usage.words import WrongWords, nearest

OTHER_MEANINGS = {
    "preprocess": "Make a dataset of videos, of motion files, or of made recordings: python -m preprocess.",
    "weights": "List, fetch, import and verify pretrained weights: python -m joyvasa.weights.",
}
EXAMPLES = (
    "animate image=me.jpg audio=voice.wav out=me.mp4",
    "train experiment=demo",
)


def _preprocess() -> None:
    from preprocess.__main__ import main

    main()


def _weights() -> int:
    from joyvasa.weights import main

    return main(sys.argv[1:])


OTHERS: dict[str, Callable[[], int | None]] = {"preprocess": _preprocess, "weights": _weights}


def commands() -> list[str]:
    """Words that may stand first: every task of conf/task, and the other programs."""
    from joyvasa.tasks.config import conf_dir

    return sorted({path.stem for path in (conf_dir() / "task").glob("*.yaml")} | set(OTHERS))


def front() -> Front:
    """What the command line answers before Hydra sees it."""
    from joyvasa.tasks.config import Root, conf_dir

    called = called_as(sys.argv[0])
    script = called.endswith(".py")
    short = f"{called} task={{choice}}" if script else f"{called} {{choice}}"
    if called == "python app.py":
        short = called
    program = Program(
        command=called,
        short=short,
        conf=conf_dir(),
        file="config",
        root=Root,
        chooser="task",
        starts=("task", "experiment"),
    )
    head = "task=" if script else ""
    examples = tuple(f"{called} {head}{words}".replace("task=train ", "") for words in EXAMPLES)
    return Front(program, "commands", OTHER_MEANINGS, examples)


def called_as(path: str) -> str:
    """How the program was called: `python run.py`, `joyvasa`, `python -m joyvasa`."""
    name = Path(path).name
    if name == "__main__.py":
        return "python -m joyvasa"
    return f"python {name}" if name.endswith(".py") else "joyvasa"


def route(words: list[str]) -> Callable[[], int | None] | None:
    """Put the command's meaning into sys.argv.

    Args:
        words: what was typed.

    Returns:
        The other program to call, or None for run.py's own.

    Raises:
        WrongWords: the first word is neither a command nor one of Hydra's (key=value, --flag).
    """
    first = words[0] if words else ""
    program = None
    if re.fullmatch(r"[a-z]\w*", first) and first != "help":
        known = commands()
        if first in known:
            words = words[1:]
            program = OTHERS.get(first)
            if program is None:
                words = [f"task={first}", *words]
        elif not _is_key(first):
            meant = nearest(first, known)
            hint = f"did you mean {meant}? " if meant else ""
            raise WrongWords(f"{first}: no such command; {hint}there are: {', '.join(known)}")
    sys.argv[1:] = quote_all(words)
    return program


def _is_key(word: str) -> bool:
    """Whether a key of the root was typed without its =, as in `image me.jpg`."""
    from dataclasses import fields

    from joyvasa.tasks.config import Root

    return word in [each.name for each in fields(Root)]
