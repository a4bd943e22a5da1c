"""Stage "look": the faces of a span of a film, followed from cut to cut, without keeping a frame.

A track is one face in one shot, for as long as it is there and its company does not change. A hole in the picture (a
camera that dropped frames) ends a shot as a cut does. The detector looks every
`Following.detect_seconds` and at the first and last frame of a shot; between looks the square is filled in.

Shape suffix: T frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as in_bytes

from joyvasa.faces.face import Detector
from joyvasa.faces.track import in_shots
from joyvasa.io.files import named_in_utf8, replacing
from preprocess.videos.records import FaceTrack, Look
from preprocess.videos.scout import Scout
from preprocess.videos.settings import Following
from preprocess.videos.sharpness import sharpness

__all__ = ["load", "look", "save", "sharpness"]

# The numbers of a track, in the order in which `save` puts them.
COUNTS, SHARES = ("start", "stop", "sought", "missed"), ("face_px", "rivals")


def look(
    frames: Iterable[np.ndarray], times_T: np.ndarray, start: int, detector: Detector, following: Following, where: str
) -> Look:
    """Follow the faces through kept frames [start, start + T) of a film, uint8 RGB (H, W, 3).

    times_T: seconds at which they are shown. In every shot the largest face is followed; the track ends where it is
    unseen for lost_seconds, where another one has been larger by 1 / rival for as long, where another one of nearly its
    size comes or goes, and where there is no frame for more than lost_seconds. Raises ValueError, naming `where`, for
    another number of frames than times.
    """
    scout = Scout(times_T, start, following)
    hole_T = np.diff(times_T, append=np.inf) > following.lost_seconds  # behind each frame, the last one too
    shots: list[list[int]] = []
    index = -1
    for index, frame, opens, closes in in_shots(frames, where):
        if index >= len(times_T):
            raise ValueError(f"{where}: more than {len(times_T)} frames (expected one for each time)")
        opens, closes = opens or bool(hole_T[index - 1]), closes or bool(hole_T[index])
        if opens:
            shots.append([start + index, start + index])
            scout.enter(index)
        shots[-1][1] = start + index + 1
        if closes or scout.is_due(index):
            scout.look(index, frame, detector.detect(frame))
        if closes:
            scout.leave(index)
    if index + 1 != len(times_T):
        raise ValueError(f"{where}: {index + 1} frames for {len(times_T)} times (expected one for each)")
    return Look(start, start + len(times_T), tuple((first, stop) for first, stop in shots), tuple(scout.tracks))


def save(seen: Look, path: Path) -> None:
    """Write a look as safetensors: the same bytes for the same look, no pickle. Whole or not at all."""
    arrays = {"span": np.array([seen.start, seen.stop]), "shots": np.array(seen.shots, np.int64).reshape(-1, 2)}
    for number, track in enumerate(seen.tracks):
        arrays[f"{number}.counts"] = np.array([getattr(track, name) for name in COUNTS])
        arrays[f"{number}.shares"] = np.array([getattr(track, name) for name in SHARES], np.float64)
        arrays[f"{number}.square"] = np.ascontiguousarray(track.square_T4)
        arrays[f"{number}.sharpness"] = np.ascontiguousarray(track.sharpness_T)
        if track.ratios_T3 is not None:
            arrays[f"{number}.ratios"] = np.ascontiguousarray(track.ratios_T3)
    with replacing(path) as temporary:
        temporary.write_bytes(in_bytes(arrays))  # by safetensors itself a full disk would be no OSError


def load(path: Path) -> Look:
    """Read what `save` wrote. Raises FileNotFoundError, or ValueError naming the file."""
    try:
        with named_in_utf8(path) as name:
            arrays = load_file(name)
        count = sum(name.endswith(".counts") for name in arrays)
        tracks = tuple(_track(arrays, number) for number in range(count))
        start, stop = (int(value) for value in arrays["span"])
        shots = tuple((int(first), int(last)) for first, last in arrays["shots"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path}: not the faces of a film ({error}); delete it, and they are sought again") from error
    return Look(start, stop, shots, tracks)


def _track(arrays: dict[str, np.ndarray], number: int) -> FaceTrack:
    counts = dict(zip(COUNTS, (int(value) for value in arrays[f"{number}.counts"]), strict=True))
    shares = dict(zip(SHARES, (float(value) for value in arrays[f"{number}.shares"]), strict=True))
    return FaceTrack(
        **counts,
        **shares,
        square_T4=arrays[f"{number}.square"],
        sharpness_T=arrays[f"{number}.sharpness"],
        ratios_T3=arrays.get(f"{number}.ratios"),
    )
