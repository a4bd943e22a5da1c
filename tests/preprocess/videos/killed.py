"""`python -m preprocess` in processes that are all killed at a moment given by what they write.

    KILLED_AT=NUMBER KILLED_PATTERN=PATTERN KILLED_COUNT=FILE python killed.py WORDS…

The moment is the NUMBER-th at which one of them opens a file to write it, makes a folder, or renames a file, and the
path matches PATTERN; 0 is never. FILE grows by a byte a moment. Worker processes import this module too.
"""

from __future__ import annotations

import os
import signal
import sys
from fnmatch import fnmatch
from typing import Any

NUMBER = int(os.environ["KILLED_AT"])
PATTERN = os.environ["KILLED_PATTERN"]
COUNT = os.open(os.environ["KILLED_COUNT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def written(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audit event is about to write, None where it writes none."""
    if event == "open":
        path, _, flags = arguments
        if not flags & TO_WRITE or isinstance(path, int):
            return None
    elif event == "os.mkdir":
        path = arguments[0]
    elif event == "os.rename":
        path = arguments[1]
    else:
        return None
    return os.fsdecode(path)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    path = written(event, arguments)
    if path is None or not fnmatch(path, PATTERN):
        return
    os.write(COUNT, b".")
    if NUMBER and os.fstat(COUNT).st_size >= NUMBER:
        os.killpg(0, signal.SIGKILL)


sys.addaudithook(watch)

if __name__ == "__main__":
    from preprocess.__main__ import main

    main()
