"""Interlaced video -> whole frames: the two fields of a frame are of two moments, and comb whatever moves.

FFmpeg's `bwdif` makes one frame of each, at the moment of its first field, from it and its two neighbours. Frames that
are not marked as interlaced go through untouched, so a video may hold both. What is marked but was filmed whole
(PsF) loses a little sharpness where it moves; of film with repeated fields (telecine) the combs go and the repeated
frames stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

DEINTERLACED = "interlaced video deinterlaced (bwdif)"
# FFmpeg's AVFieldOrder: which field is shown first.
TOP_FIRST, BOTTOM_FIRST = (2, 5), (3, 4)
# Codecs whose frames do not say that they are interlaced: there the container's word counts for all of them.
SILENT_CODECS = ("rawvideo", "png", "huffyuv", "ffvhuff", "utvideo", "v210", "v308", "v408", "v410", "qtrle", "cfhd")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A frame of the decoder. frame: PyAV's. broken: the decoder mended it, or something before it was lost.
    interlaced: it was deinterlaced. rotation: degrees counter-clockwise. pts: its time in ticks of the stream, as the
    decoder's own frame says."""

    frame: Any
    broken: bool
    interlaced: bool
    rotation: int
    pts: int | None


def field_order_of(context: Any) -> str | None:
    """Say which field comes first where only the container says so: "tff", "bff", or None where the frames tell.

    Args:
        context: PyAV's codec context of the stream.
    """
    if context.name not in SILENT_CODECS:
        return None
    if context.field_order in TOP_FIRST:
        return "tff"
    return "bff" if context.field_order in BOTTOM_FIRST else None


def is_interlaced(frame: Any, field_order: str | None) -> bool:
    """Whether this frame is to be deinterlaced; `field_order` as of `field_order_of`."""
    return field_order is not None or bool(frame.interlaced_frame)


def deinterlaced(
    frames: Iterable[tuple[Any, bool]], field_order: str | None = None, threads: int = 0
) -> Iterator[Decoded]:
    """Deinterlace the frames that are marked so; each gives one, in the same order.

    What comes of a frame depends on it and its two neighbours alone, so it does not matter where reading begins, but
    for the very first frame that is given. Until the first marked frame nothing is held back and no filter runs.

    Args:
        frames: (PyAV's frame, whether it is broken).
        field_order: As of `field_order_of`.
        threads: Of the filter; 0 takes all there are.
    """
    filtered: _Filter | None = None
    before: Any = None
    for frame, broken in frames:
        here = Decoded(frame, broken, is_interlaced(frame, field_order), frame.rotation, frame.pts)
        if filtered is not None and not filtered.takes(frame):
            yield from filtered.end()
            filtered = None
        if filtered is None and here.interlaced:
            filtered = _Filter(frame, field_order, threads)
            if before is not None and filtered.takes(before):
                filtered.lead(before)
        if filtered is None:
            yield here
        else:
            yield from filtered.push(here)
        before = frame
    if filtered is not None:
        yield from filtered.end()


class _Filter:
    """bwdif for frames of one kind. Frames that go in are paired with those that come out by their order."""

    def __init__(self, frame: Any, field_order: str | None, threads: int):
        from av.filter import Graph

        self._kind = self._kind_of(frame)
        self._waiting: deque[Decoded | None] = deque()
        self._graph = Graph()
        self._graph.threads = threads
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        nodes = [source]
        if field_order is not None:
            nodes.append(self._graph.add("setfield", field_order))
        nodes.append(self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
        nodes.append(self._graph.add("buffersink"))
        self._graph.link_nodes(*nodes).configure()

    @staticmethod
    def _kind_of(frame: Any) -> tuple:
        return frame.format.name, frame.width, frame.height, int(frame.colorspace), int(frame.color_range)

    def takes(self, frame: Any) -> bool:
        """Whether the frame is of the kind that this filter was made for."""
        return self._kind_of(frame) == self._kind

    def lead(self, frame: Any) -> None:
        """Show the filter the frame before the first; it has been given out already."""
        self._graph.vpush(frame)
        self._waiting.append(None)

    def push(self, decoded: Decoded) -> Iterator[Decoded]:
        """Give a frame in; what is ready comes out, a frame late."""
        self._waiting.append(decoded)
        self._graph.vpush(decoded.frame)
        yield from self._ready()

    def end(self) -> Iterator[Decoded]:
        """What is left when no frame follows."""
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Decoded]:
        import av

        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            decoded = self._waiting.popleft()
            if decoded is None:
                continue
            yield replace(decoded, frame=frame) if decoded.interlaced else decoded
