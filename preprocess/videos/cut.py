"""Tracks -> pieces of motion frames at 25 a second, none shorter than asked for and none longer.

A track of more than max_seconds is cut in the fewest equal parts that are short enough. Where those would be shorter
than min_seconds (possible only below twice that), as many parts of max_seconds are taken as the track holds of
min_seconds, and its end, shorter than min_seconds, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from joyvasa.motion import FPS
from preprocess.videos.records import FaceTrack, Look, Piece, Unusable
from preprocess.videos.settings import Filters

HOLE_INTERVALS = 4  # of kept frames: a longer time from one to the next is called a hole, and not a cut
EPSILON = 1e-6  # of a frame, by which times are rounded
WHOLE = ("the start of the video", "the end of the video")  # where the kept frames begin and end


def pieces(
    looks: Sequence[Look],
    times_T: np.ndarray,
    duration: float,
    filters: Filters,
    edges: tuple[str, str] = WHOLE,
) -> tuple[list[Piece], list[tuple[Piece, Unusable]]]:
    """(pieces, what is too short for one), each in rising order; tracks are numbered through the film.

    times_T: seconds of all kept frames of the film. duration: the end of its last frame. Motion frame k belongs to the
    track that is shown at k / 25 s: from the time of its first frame to that of the frame behind it, or, before a hole
    in the picture, to 1 / min_fps s behind its last. edges: what the first and the last kept frame are bounded by, in
    words; the audio may begin later than the picture, and end earlier.
    """
    shortest = math.ceil(filters.min_seconds * FPS - EPSILON)
    longest = max(shortest, math.floor(filters.max_seconds * FPS + EPSILON))
    kept: list[Piece] = []
    short: list[tuple[Piece, Unusable]] = []
    tracks = [track for each in looks for track in each.tracks]
    for parent, track in enumerate(tracks):
        begin = float(times_T[track.start])
        behind = float(times_T[track.stop]) if track.stop < len(times_T) else duration
        end = min(behind, float(times_T[track.stop - 1]) + 1 / filters.min_fps)
        first, last = (math.ceil(FPS * moment - EPSILON) for moment in (begin, end))
        sizes = _sizes(last - first, shortest, longest)
        bounds = [first, *(first + np.cumsum(sizes, dtype=int)).tolist()]
        for part, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False)):
            kept.append(_piece(track, times_T, parent, part, low, high))
        if bounds[-1] < last or not sizes:
            rest = _piece(track, times_T, parent, len(sizes), bounds[-1], last)
            between = _bounds_of(tracks, parent, looks, times_T, edges)
            short.append((rest, _too_short(rest, filters, between, bool(sizes))))
    return kept, short


def _bounds_of(
    tracks: Sequence[FaceTrack], parent: int, looks: Sequence[Look], times_T: np.ndarray, edges: tuple[str, str]
) -> str:
    """Why a track begins and ends where it does, in words: what makes it short is not always the face."""
    track = tracks[parent]
    first_frames = {first for each in looks for first, _ in each.shots}
    stop_frames = {stop for each in looks for _, stop in each.shots}
    joins_last = parent > 0 and tracks[parent - 1].stop == track.start
    joins_next = parent + 1 < len(tracks) and tracks[parent + 1].start == track.stop
    if track.start == 0:
        begin = edges[0]
    elif track.start in first_frames:
        begin = _border(track.start, looks, times_T)
    else:
        begin = "where another face comes or goes" if joins_last else "where the face appears"
    if track.stop == len(times_T):
        end = edges[1]
    elif track.stop in stop_frames:
        end = _border(track.stop, looks, times_T)
    else:
        end = "where another face comes or goes" if joins_next else "where the face is lost"
    return f"from {begin} to {end}"


def _border(frame: int, looks: Sequence[Look], times_T: np.ndarray) -> str:
    """What lies between kept frame `frame` and the one before it, where a shot ends and the next begins."""
    if frame in {each.start for each in looks}:
        return "a border of decoding.span_seconds"
    if times_T[frame] - times_T[frame - 1] > HOLE_INTERVALS * np.median(np.diff(times_T)):
        return "a hole in the picture"
    return "a cut"


def _sizes(frames: int, shortest: int, longest: int) -> list[int]:
    """Motion frames of every part of a track of so many."""
    if frames < shortest:
        return []
    count = -(-frames // longest)
    if frames // count >= shortest:
        return [frames * (part + 1) // count - frames * part // count for part in range(count)]
    return [longest] * (frames // shortest)


def _piece(track: FaceTrack, times_T: np.ndarray, parent: int, part: int, first: int, last: int) -> Piece:
    """With the kept frames of the track between which motion frames [first, last) lie."""
    shown = times_T[track.start : track.stop]
    start = int(np.searchsorted(shown, first / FPS + EPSILON, side="right")) - 1
    stop = int(np.searchsorted(shown, (last - 1) / FPS - EPSILON, side="left")) + 1
    start = min(max(start, 0), len(shown) - 1)
    stop = min(max(stop, start + 1), len(shown))
    return Piece(parent, part, track.start + start, track.start + stop, first, last, {})


def _too_short(rest: Piece, filters: Filters, between: str, is_rest: bool) -> Unusable:
    what = "the rest of a track cut at filters.max_seconds, " if is_rest else ""
    words = f"{what}{rest.seconds:.2f} s {between} (filters.min_seconds={filters.min_seconds:g})"
    return Unusable("short", words)
