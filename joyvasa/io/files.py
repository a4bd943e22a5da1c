"""Files that are replaced only when they are whole, names of any kind, and what counts as an image, a video or audio.

Which files are taken: a file that the user names is judged by its content (`joyvasa.io.kinds`); a file in a folder is
judged by its ending (`joyvasa.io.listing`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOUND_ENDINGS = (
    ".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".aif", ".aiff", ".wma", ".amr", ".caf", ".au", ".w64",
    ".mka", ".weba", ".oga", ".spx", ".mpga", ".mp2", ".ac3", ".eac3", ".m4b", ".aifc",
)  # fmt: skip
FILM_ENDINGS = (
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mts", ".m2ts", ".ts", ".3gp", ".3g2", ".mpg", ".mpeg", ".wmv",
    ".flv", ".ogv", ".mxf", ".vob", ".dv", ".qt", ".asf",
)  # fmt: skip
PICTURE_ENDINGS = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jfif", ".heic", ".heif",
)  # fmt: skip

LONGEST_NAME = 255  # bytes that file systems take for one name
DIGEST_LETTERS = 8  # of the hash that stands for the part of a name that was cut out
# What `replacing` writes to: machine, process, and a random number. The length does not depend on the target's name.
TEMPORARY = re.compile(r"\.joyvasa-(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,10})-[0-9a-f]{8}\.tmp")
ABANDONED_SECONDS = 24 * 3600.0  # without a write, after which a temporary file of another machine has no writer
ENOUGH_FILES = 4096  # open at once, for any run
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)

_swept: set[str] = set()  # folders in which this process has looked for leftovers


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any exception.

    The temporary name is this call's own, so of several writers of one file each writes its own, and the last one that
    ends wins whole. A file that was there before survives every failure. Missing folders are made. What killed writers
    left in the folder is removed.

    Raises:
        OSError: naming `path`, not the temporary file: a full disk, a folder that takes no file, a name too long.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, once=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:  # Ctrl-C too must leave no half-written file
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (temporary, str(temporary), os.fsencode(temporary)):
            error.filename, error.filename2 = str(path), None  # the user knows nothing of the temporary file
        raise


def temporary_beside(path: Path | str) -> Path:
    """A hidden name in the folder of `path` that nobody else writes to; `remove_leftovers` knows it again."""
    name = f".joyvasa-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    return Path(path).parent / name


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that `replacing` writes, or that a killed writer left."""
    return TEMPORARY.fullmatch(name) is not None


def remove_leftovers(folder: Path, *, once: bool = False) -> int:
    """Remove the temporary files of writers that were killed; returns how many.

    A writer of this machine is asked for by its process number. A file of another machine, or one whose process number
    is in use again, counts as left when nothing was written to it for a day.

    Args:
        folder: Where to look; not below it. A folder that cannot be read holds nothing to remove.
        once: Look only where this process has not looked yet, since a folder may hold 100,000 files.
    """
    if once and str(folder) in _swept:
        return 0
    _swept.add(str(folder))
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = TEMPORARY.fullmatch(entry.name)
            if found and _is_left(entry, found["machine"], int(found["process"])):
                os.unlink(entry.path)
                removed += 1
    return removed


def _is_left(entry: os.DirEntry, machine: str, process: int) -> bool:
    """Whether the writer of a temporary file is gone."""
    if machine == _machine() and process != os.getpid() and not _runs(process):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_SECONDS


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # of another user; no process number of this system
        return True
    return True


def _machine() -> str:
    """Where a process number means the same process: host, and name space of processes (a container has its own)."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


@contextmanager
def named_in_utf8(path: Path | str) -> Iterator[Path]:
    """Yield a path to the same file that any library can open: absolute, and valid UTF-8.

    Names from other systems need not be UTF-8 (Python holds their bytes as surrogates), and OpenCV, decord,
    safetensors and libsndfile cannot open them, or crash. Such a file gets a link, with the same ending, in a temporary
    folder for as long as the block runs. For a file that is to be written, too.
    """
    absolute = os.path.abspath(path)
    if _is_utf8(absolute):
        yield Path(absolute)
        return
    ending = Path(absolute).suffix
    with tempfile.TemporaryDirectory(prefix="joyvasa-name-") as folder:
        link = Path(folder) / f"file{ending if _is_utf8(ending) else ''}"
        link.symlink_to(absolute)
        yield link


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def expanded(word: Path | str) -> Path:
    """A path as the user typed it, `~` at its beginning replaced by the home folder unless such a file is there."""
    path = Path(word)
    if os.path.lexists(path):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # no such user, or a user without a home: `~` is a letter like others
        return path


def fitted(stem: str, ending: str) -> str:
    """The file name `stem` + `ending`; where it would be too long, the middle of the stem becomes a hash.

    Args:
        stem: Of any length; two different stems give two different names.
        ending: What has to stay, such as ".mp4" or "-curves.png".
    """
    if len(os.fsencode(stem + ending)) <= LONGEST_NAME:
        return stem + ending
    digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:DIGEST_LETTERS]
    room = LONGEST_NAME - len(os.fsencode(ending)) - len(digest) - 2
    first = os.fsencode(stem)[: room // 2].decode("utf-8", "ignore")  # half a letter is left out
    last = os.fsencode(stem)[-(room // 2) :].decode("utf-8", "ignore")
    return f"{first}~{digest}~{last}{ending}"


def out_of_files(error: BaseException | None) -> str | None:
    """A sentence for the user where `error`, or what led to it, is that no more files can be opened; else None.

    Libraries report it as all sorts of errors (a damaged file, a missing index), so the causes are looked through.
    """
    import resource

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
            if error.errno == errno.ENFILE:
                return "too many open files on this machine (ENFILE); end other programs, or raise fs.file-max"
            return _limit_of_files(*resource.getrlimit(resource.RLIMIT_NOFILE))
        error = error.__cause__ or error.__context__
    return None


def _limit_of_files(soft: int, hard: int) -> str:
    """What is said, and what to type, at the limits of this process; -1 is none."""
    wanted = max(ENOUGH_FILES, 4 * soft)
    reason = f"too many open files: the limit is {soft} (`ulimit -n`); nothing is wrong with the files themselves"
    if hard == -1 or hard >= wanted:
        return f"{reason}. Type `ulimit -n {wanted}` and then the same command again"
    if hard > soft:
        return f"{reason}. Type `ulimit -n {hard}`, the most that is allowed here, and then the same command again"
    return f"{reason}. The hard limit is {hard} too: have it raised (in a container `--ulimit nofile={wanted}`)"
