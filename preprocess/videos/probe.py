"""The first look at a file: whether it is a film with sound, and what it holds."""

from __future__ import annotations

import stat
from pathlib import Path

from joyvasa.io.audio import NoSound, survey_audio
from joyvasa.io.timeline import Damaged, Timeline, timeline
from joyvasa.io.video_reader import constant_rate
from joyvasa.weights import sha256_of
from preprocess.report import reason_of
from preprocess.videos.records import Probed, Unusable


def probe(path: Path) -> Probed:
    """What the file holds; where its container has an index, no more than a frame is decoded.

    Raises Unusable: empty, not_video, unreadable, damaged, no_sound.
    """
    size = _readable_bytes(path)
    times = timeline_of(path)
    container, rate, channels = _sound(path)
    count, seconds = len(times.shown), times.seconds
    return Probed(
        sha256=sha256_of(path),
        bytes=size,
        container=container,
        width=times.width,
        height=times.height,
        fps=count / seconds,
        frames=count,
        seconds=seconds,
        variable=constant_rate(times)[2],
        rotation=times.rotation,
        sound_rate=rate,
        sound_channels=channels,
    )


def timeline_of(path: Path) -> Timeline:
    """joyvasa.io.timeline.timeline, its errors as Unusable."""
    try:
        return timeline(path)
    except Damaged as error:
        raise Unusable("damaged", reason_of(error, path)) from error
    except FileNotFoundError as error:
        raise Unusable("unreadable", reason_of(error, path)) from error
    except ValueError as error:
        raise Unusable("not_video", reason_of(error, path)) from error


def _readable_bytes(path: Path) -> int:
    """Its size. A pipe is never opened: that would wait until somebody writes into it."""
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise Unusable("not_video", "a folder with the name of a film (expected a file); give input= its parent")
        if not stat.S_ISREG(facts.st_mode):
            raise Unusable("not_video", "a pipe, socket or device (expected a file); record it to a file first")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        link = "a link to nothing" if path.is_symlink() and isinstance(error, FileNotFoundError) else error.strerror
        raise Unusable("unreadable", f"cannot be opened: {link}; check the path and its permissions") from error
    if facts.st_size == 0:
        raise Unusable("empty", "the file is empty (0 bytes); export or download it again")
    return facts.st_size


def _sound(path: Path) -> tuple[str, int, int]:
    """(container, rate in Hz, channels) of the best audio track that can be decoded."""
    try:
        facts = survey_audio(path)
    except NoSound as error:
        raise Unusable("no_sound", reason_of(error, path)) from error
    except ValueError as error:
        raise Unusable("damaged", f"the sound cannot be decoded: {reason_of(error, path)}") from error
    return facts.container, facts.rate, facts.channels
