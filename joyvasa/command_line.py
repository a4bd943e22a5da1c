"""The `joyvasa` command: a word for each task and program, then what run.py takes.

joyvasa animate image=me.jpg audio=voice.wav       the same as   python run.py task=animate image=…
joyvasa preprocess source=…                                      python -m preprocess source=…
joyvasa weights pull liveportrait                                python -m joyvasa.weights pull liveportrait
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from joyvasa.quoting import quote_all


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


def route(words: list[str]) -> Callable[[], int | None] | None:
    """Put the command's meaning into sys.argv; the other program to call, or None for run.py's own.

    Raises ValueError for a first word that is neither a command nor one of Hydra's (key=value, --flag).
    """
    first = words[0] if words else ""
    program = None
    if re.fullmatch(r"[a-z]\w*", first):
        if first not in commands():
            raise ValueError(f"{first}: no such command (expected one of {', '.join(commands())}, or key=value words)")
        words = words[1:]
        program = OTHERS.get(first)
        if program is None:
            words = [f"task={first}", *words]
    sys.argv[1:] = quote_all(words)
    return program
