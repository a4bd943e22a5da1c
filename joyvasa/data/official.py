"""Official motion files (LivePortrait's and JoyVASA's pickles) <-> motion arrays in the house's layout.

    {"n_frames": T, "output_fps": 25, "c_eyes_lst": [(1, 2), ...], "c_lip_lst": [(1, 1), ...],
     "motion": [{"scale": (1, 1), "R": (1, 3, 3), "exp": (1, 21, 3), "t": (1, 3), ...}, ...]}

`R` may be called `R_d`, the ratios `c_d_eyes_lst` and `c_d_lip_lst`; a frame may carry `pitch`, `yaw` and `roll` (1, 1)
in degrees. R is what `motion.euler_to_matrix` makes of them (transposed, for row vectors), and gives the angles where
they are absent: exactly so for |yaw| < 90 degrees. Arrays are numpy's or torch's, of any float type, with or without
the leading 1. Other entries (`kp`, `x_s`) are derived and not read.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from joyvasa.data.official_template import (
    Ratios,
    read_template,
    rotations,
    stats_of_template,
    template_from_stats,
    template_of,
    write_template,
)
from joyvasa.io.files import replacing
from joyvasa.motion import (
    CHANNELS,
    EXP,
    FPS,
    KEYPOINTS,
    PITCH,
    ROLL,
    ROTATION,
    SCALE,
    TRANSLATION,
    YAW,
    check_motion,
    matrix_to_euler,
)
from joyvasa.unpickle import load_pickle

__all__ = [
    "OfficialMotion", "Ratios", "motion_dict", "motion_of", "read_motion", "read_template", "stats_of_template",
    "template_from_stats", "template_of", "write_motions", "write_template",
]  # fmt: skip

ANGLES = {"pitch": PITCH, "yaw": YAW, "roll": ROLL}
SHAPES = {
    "exp": ((KEYPOINTS, 3), (3 * KEYPOINTS,)),
    "scale": ((),),
    "t": ((3,),),
    "R": ((3, 3), (9,)),
    "R_d": ((3, 3), (9,)),
} | dict.fromkeys(ANGLES, ((),))
# The official extraction keeps the whole part of a video's frame rate. No camera records 29 frames a second.
NTSC = {14: 15000 / 1001, 23: 24000 / 1001, 29: 30000 / 1001, 47: 48000 / 1001, 59: 60000 / 1001, 119: 120000 / 1001}
ROTATION_TOLERANCE = 1e-2


@dataclass(frozen=True)
class OfficialMotion:
    """One motion file as it was recorded.

    motion (T, 70) float32, un-normalised, `fps` frames a second; ratios where the file has them; remarks: what was
    taken for granted in reading it, in words.
    """

    motion: np.ndarray
    fps: float
    ratios: Ratios | None
    remarks: tuple[str, ...]


def read_motion(source: Path | str | dict, where: str) -> OfficialMotion:
    """Read a motion file, or the dictionary that one holds; `where` names it in errors.

    A file without `output_fps` is taken as 25 a second, as LivePortrait does, and says so in its remarks; so do frame
    rates that lost their fraction (29 stands for 29.97).
    Raises FileNotFoundError, or ValueError naming `where` and the frame: not a motion file, a pickle that asks for
    more than arrays, no frame, an entry missing or of another shape or type, a value that is not finite, a matrix that
    is no rotation.
    """
    content = source if isinstance(source, dict) else load_pickle(source)
    if not isinstance(content, dict) or not isinstance(content.get("motion"), (list, tuple)):
        what = (
            f"a dictionary of {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        )
        raise ValueError(f"{where}: holds {what:.200} (expected a dictionary with `motion`, a list of frames)")
    frames = content["motion"]
    if not frames:
        raise ValueError(f"{where}: no frames; extract the motion again")
    count = content.get("n_frames", len(frames))
    if not isinstance(count, (int, np.integer)) or count != len(frames):
        raise ValueError(f"{where}: n_frames {count!r:.60}, but {len(frames)} frames; extract it again")
    fps, remarks = _frame_rate(content.get("output_fps"), where)
    motion = motion_of(frames, where)
    ratios, about_ratios = _ratios(content, len(frames))
    return OfficialMotion(motion, fps, ratios, remarks + about_ratios)


def motion_of(frames: Sequence[dict[str, Any]], where: str) -> np.ndarray:
    """Frame dictionaries -> motion (T, 70) float32. Raises ValueError naming `where` and the frame."""
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise ValueError(f"{where}, frame {number}: holds {type(frame).__name__} (expected a dictionary)")
    out = np.empty((len(frames), CHANNELS), np.float64)
    for name, channels in (("exp", EXP), ("scale", SCALE), ("t", TRANSLATION)):
        out[:, channels] = _column(frames, name, where)
    if all(name in frames[0] for name in ANGLES):
        for name, channel in ANGLES.items():
            out[:, channel] = _column(frames, name, where)[:, 0]
    else:
        name = next((name for name in ("R", "R_d") if name in frames[0]), "R")
        matrices = _column(frames, name, where).reshape(-1, 3, 3)
        _check_rotations(matrices, f"{where}: {name}")
        out[:, ROTATION] = torch.stack(matrix_to_euler(torch.from_numpy(matrices)), dim=1).numpy()
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused
        return check_motion(out.astype(np.float32), where)


def _column(frames: Sequence[dict[str, Any]], name: str, where: str) -> np.ndarray:
    """One entry of every frame, (T, N) float64, finite."""
    column = np.stack([_row(frame, name, where, number) for number, frame in enumerate(frames)]).astype(np.float64)
    finite = np.isfinite(column).all(1)
    if not finite.all():
        number = int(finite.argmin())
        raise ValueError(f"{where}, frame {number}: {name} is not finite; remove or re-extract this clip")
    return column


def _row(frame: dict[str, Any], name: str, where: str, number: int) -> np.ndarray:
    if name not in frame:
        raise ValueError(f"{where}, frame {number}: no {name!r} (it has {', '.join(map(str, frame))})")
    value = frame[name]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double()
    try:
        row = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{where}, frame {number}: {name} is no array ({error})") from error
    shape = row.shape
    while shape[:1] == (1,):
        shape = shape[1:]
    if row.dtype.kind not in "fiu" or shape not in SHAPES[name]:
        expected = (1, *SHAPES[name][0]) if SHAPES[name][0] else (1, 1)
        got = f"{row.dtype} of shape {row.shape}"
        raise ValueError(f"{where}, frame {number}: {name} is {got} (expected float32 {expected})")
    return row.reshape(-1)


def _check_rotations(matrices_T33: np.ndarray, where: str) -> None:
    gram = matrices_T33 @ matrices_T33.transpose(0, 2, 1)
    wrong = (np.abs(gram - np.eye(3)).max((1, 2)) > ROTATION_TOLERANCE) | (np.linalg.det(matrices_T33) < 0)
    if wrong.any():
        raise ValueError(f"{where} of frame {int(wrong.argmax())} is no rotation matrix; re-extract this clip")


def _frame_rate(fps: Any, where: str) -> tuple[float, tuple[str, ...]]:
    if fps is None:
        return float(FPS), (f"no output_fps: taken as {FPS} frames a second",)
    try:
        rate = math.nan if isinstance(fps, (bool, str)) else float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if not 1 <= rate <= 1000:
        raise ValueError(f"{where}: output_fps {fps!r:.60} (expected 1 to 1000 frames a second)")
    if rate in NTSC:
        return NTSC[rate], (f"output_fps {rate:g} taken as {NTSC[rate]:.3f}: extraction drops the fraction",)
    return rate, ()


def _ratios(content: dict[str, Any], frames: int) -> tuple[Ratios | None, tuple[str, ...]]:
    """Eye and lip ratios; none with a remark where they do not fit the motion, which does not need them."""
    found = []
    for part, width in (("eyes", 2), ("lip", 1)):
        rows = content.get(f"c_{part}_lst")
        rows = content.get(f"c_d_{part}_lst") if rows is None else rows
        if rows is None or isinstance(rows, Sequence) and not rows:
            return None, ()
        try:
            values = np.stack([np.asarray(row, np.float32).reshape(width) for row in rows])
        except (TypeError, ValueError, RuntimeError):  # no rows, rows of another size, a tensor that numpy cannot have
            values = np.empty((0, width))
        if len(values) != frames or not np.isfinite(values).all():
            return None, (f"{part} ratios left out: not {frames} finite rows of {width}",)
        found.append(values)
    return Ratios(*found), ()


def motion_dict(motion_TC: np.ndarray, ratios: Ratios | None = None) -> dict[str, Any]:
    """Motion (T, 70) at 25 a second -> the dictionary of an official file, R and angles included, all float32.

    Raises ValueError for a motion that `check_motion` refuses.
    """
    motion = check_motion(motion_TC, "motion_dict")
    matrices = rotations(motion)
    frames = [
        {
            "scale": row[SCALE].reshape(1, 1),
            "R": matrix[None],
            "exp": row[EXP].reshape(1, KEYPOINTS, 3),
            "t": row[TRANSLATION].reshape(1, 3),
            **{name: row[channel].reshape(1, 1) for name, channel in ANGLES.items()},
        }
        for row, matrix in zip(motion.copy(), matrices, strict=True)
    ]
    eyes, lip = ([row[None] for row in values] for values in ratios) if ratios else ([], [])
    return {"n_frames": len(frames), "output_fps": FPS, "motion": frames, "c_eyes_lst": eyes, "c_lip_lst": lip}


def write_motions(path: Path | str, content: dict[str, Any]) -> None:
    """Pickle one motion dictionary, or JoyVASA's `motions.pkl` {audio name: motion dictionary}; renamed when whole."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(content, file)
