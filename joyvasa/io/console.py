"""What every program does first: output that can always be printed, and a home folder for caches.

A name with letters that the terminal's encoding lacks, or a reader of the output that has gone (`| head -1`), must not
end hours of work.
"""

from __future__ import annotations

import errno
import getpass
import io
import locale
import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

GONE = (errno.EPIPE, errno.EIO)  # a pipe without a reader; a terminal that was closed
OUTPUTS = {"stdout": 1, "stderr": 2}


def prepare_process() -> None:
    """To be called first by every entry point. May be called again."""
    _start_again_in_utf8()
    make_output_printable()
    settle_home()


def _start_again_in_utf8() -> None:
    """Start the same command anew in Python's UTF-8 mode where the locale has another encoding.

    Libraries read their own files in the locale's encoding, and fail on them: torch does so in ASCII and GBK.
    """
    if sys.flags.utf8_mode or locale.getpreferredencoding(False).lower().replace("-", "") == "utf8":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, sys.orig_argv)


def make_output_printable() -> None:
    """From now on nothing that is printed raises: letters that the encoding lacks are spelt out, and what nobody reads
    any more is dropped, which is said once on the other output. Worker processes call it, too."""
    for descriptor in (0, 1, 2):
        _fill(descriptor)
    for name, descriptor in OUTPUTS.items():
        setattr(sys, name, _printable(getattr(sys, name), descriptor))


def _fill(descriptor: int) -> None:
    """A closed standard descriptor leads to nothing, rather than to the next file that is opened."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)


def _printable(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # Python's for a descriptor that was closed when it started
        return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # a test's, or a notebook's
    stream.reconfigure(errors="backslashreplace")
    try:
        is_ours = isinstance(_raw(stream), _Output) or stream.fileno() != descriptor
    except (OSError, ValueError):
        is_ours = True
    if is_ours:
        return stream
    stream.flush()
    raw = _Output(descriptor)
    buffered = isinstance(stream.buffer, io.BufferedWriter)
    return io.TextIOWrapper(
        io.BufferedWriter(raw) if buffered else raw,  # Python's -u has no buffer
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw(stream: io.TextIOWrapper) -> object:
    return getattr(stream.buffer, "raw", stream.buffer)


class _Output(io.RawIOBase):
    """A standard output that outlives its reader."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def write(self, data) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            try:
                written += os.write(self.descriptor, view[written:])
            except OSError as error:
                if error.errno not in GONE:
                    raise
                self._drop_the_rest()
                return len(view)
        return len(view)

    def _drop_the_rest(self) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.descriptor)
        os.close(nothing)
        if self.descriptor == OUTPUTS["stdout"]:
            print("note: nobody reads the output any more; the work goes on without it", file=sys.stderr, flush=True)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)


def settle_home() -> None:
    """Give a user without a home folder (a container's user id, a service) one for caches, and say so.

    Sets HOME where there is none that can be entered, and LOGNAME where the user id has no name: libraries ask for
    both, and end the program where they are missing.
    """
    home = os.path.expanduser("~")
    if home == "~" or not os.path.isdir(home) or not os.access(home, os.R_OK | os.X_OK):
        os.environ["HOME"] = str(_own_folder())
        print(
            f"note: user id {os.getuid()} has no home folder that can be read; weights and caches are looked for in "
            f"{os.environ['HOME']} (set HOME, or JOYVASA_WEIGHTS for the weights)",
            file=sys.stderr,
        )
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


def _own_folder() -> Path:
    """Always the same for a user id, unless somebody else has made it."""
    folder = Path(tempfile.gettempdir()) / f"joyvasa-home-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return Path(tempfile.mkdtemp(prefix="joyvasa-home-"))
    return folder
