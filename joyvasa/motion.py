"""The motion vector: its layout, units, statistics, normalisation, rotation and resampling in time.

A motion is an array (T, 70), float32, 25 frames a second, in the order of the official files:

    exp[0:63]            21 expression offsets x, y, z (row-major), in units of the canonical keypoints
    scale[63]            zoom of the face in its crop
    translation[64:67]   x, y, z; z is unused
    pitch[67] yaw[68] roll[69]   degrees

Some released files carry 73 channels: the first 70 are these.

Shape suffixes: B batch, T frames, C channels, K keypoints.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load
from safetensors.torch import save as as_bytes
from torch import Tensor

from joyvasa.percentiles import Clips, percentiles

FPS = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
KEYPOINTS = 21
CHANNELS = 70

EXP, SCALE, TRANSLATION, ROTATION = slice(0, 63), slice(63, 64), slice(64, 67), slice(67, 70)
HEAD = slice(63, 70)
PITCH, YAW, ROLL = 67, 68, 69

LIP_KEYPOINTS = (6, 12, 14, 17, 19, 20)
EYE_KEYPOINTS = (11, 13, 15, 16, 18)
LOWER_LIP, UPPER_LIP, MOUTH_CORNERS = 19, 20, 14
EYELIDS = (11, 15)
BROWS = (1, 2)

STD_FLOOR = 1e-4  # some keypoints never move in official files: dividing by their std would amplify rounding


def channels_of(keypoints: Iterable[int]) -> list[int]:
    """Channel numbers of the x, y, z offsets of some keypoints, in the given order."""
    return [3 * k + axis for k in keypoints for axis in range(3)]


LIPS = channels_of(LIP_KEYPOINTS)
EYES = channels_of(EYE_KEYPOINTS)


def lip_opening(motion):
    """Vertical distance the lips part, (..., T, C) -> (..., T), in keypoint units; y points down."""
    return motion[..., 3 * LOWER_LIP + 1] - motion[..., 3 * UPPER_LIP + 1]


def eye_closing(motion):
    """How far the upper lids have come down, mean of both eyes, (..., T, C) -> (..., T)."""
    left, right = EYELIDS
    return (motion[..., 3 * left + 1] + motion[..., 3 * right + 1]) / 2


def check_motion(motion: np.ndarray, where: str) -> np.ndarray:
    """Return `motion` as float32 (T, 70). Raises ValueError naming `where` for a wrong shape, NaN or no frame."""
    motion = np.asarray(motion)
    if motion.ndim != 2 or motion.shape[1] != CHANNELS or len(motion) == 0:
        raise ValueError(f"{where}: motion of shape {motion.shape} (expected (frames >= 1, {CHANNELS}))")
    if not np.isfinite(motion).all():
        frame = int(np.argwhere(~np.isfinite(motion))[0, 0])
        raise ValueError(f"{where}: motion is not finite, first at frame {frame}; remove or re-extract this clip")
    return motion.astype(np.float32, copy=False)


def product(rows: Tensor, matrix_33: Tensor) -> Tensor:
    """rows (..., N, 3) @ matrix (..., 3, 3), written out: the last bits of a batched product depend on some processors
    on how many there are, and a film's frames would on how it was cut into batches."""
    x, y, z = (rows[..., axis, None] * matrix_33[..., axis, None, :] for axis in range(3))
    return x + y + z


def euler_to_matrix(pitch_deg: Tensor, yaw_deg: Tensor, roll_deg: Tensor) -> Tensor:
    """Rotation (..., 3, 3) from angles in degrees (...): (Rz(roll) Ry(yaw) Rx(pitch)) transposed.

    The transpose is LivePortrait's (`get_rotation_matrix` in src/utils/camera.py), for row vectors `x @ R`.
    """
    x, y, z = (torch.deg2rad(angle) for angle in (pitch_deg, yaw_deg, roll_deg))
    one, zero = torch.ones_like(x), torch.zeros_like(x)

    def rows(*values: Tensor) -> Tensor:
        return torch.stack(values, -1).unflatten(-1, (3, 3))

    rot_x = rows(one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos())
    rot_y = rows(y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos())
    rot_z = rows(z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one)
    return product(product(rot_z, rot_y), rot_x).transpose(-1, -2)


def matrix_to_euler(rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pitch, yaw, roll in degrees (...) from rotations (..., 3, 3): the inverse of `euler_to_matrix`, |yaw| < 90."""
    r = rotation.transpose(-1, -2)
    yaw = torch.asin((-r[..., 2, 0]).clamp(-1, 1))
    pitch = torch.atan2(r[..., 2, 1], r[..., 2, 2])
    roll = torch.atan2(r[..., 1, 0], r[..., 0, 0])
    return torch.rad2deg(pitch), torch.rad2deg(yaw), torch.rad2deg(roll)


def bins_to_degrees(logits_B66: Tensor) -> Tensor:
    """Angle (...) in degrees from 66 bins (..., 66): the softmax's expected index, 3 degrees each, from -97.5.

    Official: `headpose_pred_to_degree` of LivePortrait (src/utils/camera.py).
    """
    index = torch.arange(logits_B66.shape[-1], dtype=logits_B66.dtype, device=logits_B66.device)
    return (logits_B66.softmax(-1) * index).sum(-1) * 3 - 97.5


def transform_keypoints(canonical_K3: Tensor, motion_C: Tensor) -> Tensor:
    """x = scale (canonical @ R(pitch, yaw, roll) + exp) + translation, z of the translation unused.

    canonical (..., 21, 3), motion (..., >= 70) -> (..., 21, 3). Official: `transform_keypoint` of LivePortrait.
    """
    rotation = euler_to_matrix(motion_C[..., PITCH], motion_C[..., YAW], motion_C[..., ROLL])
    exp = motion_C[..., EXP].unflatten(-1, (KEYPOINTS, 3))
    scale = motion_C[..., SCALE].unsqueeze(-1)
    shift_xy = torch.nn.functional.pad(motion_C[..., TRANSLATION][..., :2], (0, 1))
    return scale * (product(canonical_K3, rotation) + exp) + shift_xy.unsqueeze(-2)


def resample(motion_TC: np.ndarray, fps: float, fps_out: float = FPS) -> np.ndarray:
    """Motion (T, C) at `fps` -> (round(T fps_out / fps), C) at `fps_out`, as `interpolate`."""
    if fps <= 0 or fps_out <= 0:
        raise ValueError(f"frame rates must be positive, got {fps} -> {fps_out}")
    frames = max(1, round(len(motion_TC) * fps_out / fps))
    return interpolate(motion_TC, np.arange(len(motion_TC)), np.arange(frames) * fps / fps_out)


def interpolate(motion_TC: np.ndarray, times_T: np.ndarray, at_N: np.ndarray) -> np.ndarray:
    """Motion (T, C) of the moments `times_T`, in any unit, strictly rising -> (N, C) float32 at the moments `at_N`.

    Linear in time, ends held. Angles take the short way round (179 to -179 passes 180, not 0) and come back in
    (-180, 180]; where C has no angles (ratios), all is linear. Raises ValueError for no frame or unordered times.
    """
    source, times = np.array(motion_TC, dtype=np.float64), np.asarray(times_T, dtype=np.float64)
    if len(source) == 0:
        raise ValueError("motion of 0 frames: nothing to interpolate")
    if times.shape != source.shape[:1] or not (np.diff(times) > 0).all():
        raise ValueError(f"times of shape {times.shape} for {len(source)} frames (expected one each, strictly rising)")
    source[:, ROTATION] = np.unwrap(source[:, ROTATION], axis=0, period=360.0)
    out = np.stack([np.interp(at_N, times, channel) for channel in source.T], axis=1)
    out[:, ROTATION] = 180.0 - np.mod(180.0 - out[:, ROTATION], 360.0)
    return out.astype(np.float32)


@dataclass(frozen=True)
class MotionStats:
    """Per-channel statistics (C,) float32 of un-normalised motion, from the training split alone.

    `low` and `high` are the 0.1 and 99.9 percentiles.
    """

    mean: Tensor
    std: Tensor
    min: Tensor
    max: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, clips: Clips) -> MotionStats:
        """Population statistics over all frames of all clips, each (T, C); `clips` is called for every pass over them.

        One clip is in memory at a time. Raises ValueError for no clip.
        """
        frames, total = 0, 0.0
        low, high = np.inf, -np.inf
        for clip in _doubles(clips):
            frames, total = frames + len(clip), total + clip.sum(0)
            low, high = np.minimum(low, clip.min(0)), np.maximum(high, clip.max(0))
        if not frames:
            raise ValueError("no training clip to take statistics from: is the training split empty?")
        mean = total / frames
        std = np.sqrt(sum(np.square(clip - mean).sum(0) for clip in _doubles(clips)) / frames)
        values = (mean, std, low, high, *percentiles(clips, (0.1, 99.9), low, high))
        return cls(*(torch.tensor(value, dtype=torch.float32) for value in values))

    def save(self, path: Path) -> None:
        """Write safetensors under a temporary name, then rename."""
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # this writer's own
        temporary.write_bytes(as_bytes({field.name: getattr(self, field.name) for field in fields(self)}))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> MotionStats:
        """Read what `save` wrote. Raises FileNotFoundError or ValueError naming the file."""
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no motion statistics; rerun python -m preprocess for this dataset")
        tensors = load(path.read_bytes())
        missing = {field.name for field in fields(cls)} - set(tensors)
        if missing:
            raise ValueError(f"{path}: statistics lack {sorted(missing)}")
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})


def _doubles(clips: Clips) -> Iterable[np.ndarray]:
    return (np.asarray(clip, dtype=np.float64) for clip in clips())


class Normaliser(Protocol):
    """Maps motion (..., C) to the space the denoiser works in and back."""

    def normalise(self, motion: Tensor) -> Tensor: ...

    def denormalise(self, motion_norm: Tensor) -> Tensor: ...


class AffineNormaliser(torch.nn.Module):
    """(motion - offset) / gain per channel, motion clamped to [low, high] first; buffers travel with checkpoints."""

    def __init__(self, offset: Tensor, gain: Tensor, low: Tensor, high: Tensor):
        super().__init__()
        for name, value in (("offset", offset), ("gain", gain), ("low", low), ("high", high)):
            self.register_buffer(name, value.clone())

    def normalise(self, motion: Tensor) -> Tensor:
        return (motion.clamp(self.low, self.high) - self.offset) / self.gain

    def denormalise(self, motion_norm: Tensor) -> Tensor:
        return motion_norm * self.gain + self.offset


def standard_normaliser(stats: MotionStats) -> AffineNormaliser:
    """All channels by mean and std, clipped at the percentiles; a std below 1e-4 counts as 1e-4."""
    return AffineNormaliser(stats.mean, stats.std.clamp(min=STD_FLOOR), stats.low, stats.high)


def official_normaliser(stats: MotionStats, eps: float = 1e-9) -> AffineNormaliser:
    """Expression by mean and std, the rest by minimum and range, nothing clipped (JoyVASA's "mix")."""
    offset, gain = stats.min.clone(), stats.max - stats.min + eps
    offset[EXP], gain[EXP] = stats.mean[EXP], stats.std[EXP] + eps
    unbounded = torch.full_like(offset, torch.inf)
    return AffineNormaliser(offset, gain, -unbounded, unbounded)
