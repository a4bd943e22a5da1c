"""How long files say they are, for bars that show how far work is: nothing is decoded, and nothing is refused."""

from __future__ import annotations

from pathlib import Path

from joyvasa.io.timeline import opened
from joyvasa.motion import FPS

MICROSECONDS = 1e6  # FFmpeg's AV_TIME_BASE


def stated_seconds(path: Path) -> float | None:
    """Read how long a recording or video is.

    Args:
        path: the file.

    Returns:
        What its header says; None where it says nothing, or the file cannot be opened: whoever reads it says why.
    """
    try:
        with opened(path) as container:
            return container.duration / MICROSECONDS if container.duration else None
    except (ValueError, OSError):
        return None


def stated_frames(path: Path) -> float | None:
    """Read how many frames a video has.

    Args:
        path: the file.

    Returns:
        What its header says or its length and rate make; None as of `stated_seconds`.
    """
    try:
        with opened(path) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                return None
            if stream.frames:
                return stream.frames
            if not container.duration:
                return None
            return container.duration / MICROSECONDS * float(stream.average_rate or FPS)
    except (ValueError, OSError):
        return None
