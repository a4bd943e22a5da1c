"""The formulas behind compose.py: what is driven, and where its keypoints go.

Shape suffixes: T frames, C channels, K keypoints; `...` is empty for a photo and T for a source video.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from joyvasa.motion import (
    EXP,
    KEYPOINTS,
    LIP_KEYPOINTS,
    PITCH,
    ROLL,
    YAW,
    euler_to_matrix,
    product,
    transform_keypoints,
)


@dataclass(frozen=True)
class Source:
    """What is driven: canonical keypoints (..., K, 3) and motion (..., C) of the photo, or of each frame of a video.

    eye_ratio (..., 2) and lip_ratio (..., 1): openings over widths, None where there are no landmarks.
    """

    canonical: Tensor
    motion: Tensor
    eye_ratio: Tensor | None
    lip_ratio: Tensor | None

    @cached_property
    def keypoints(self) -> Tensor:
        """The keypoints (..., K, 3) of the portrait as it is."""
        return transform_keypoints(self.canonical, self.motion)

    def __getitem__(self, frames: int | slice) -> Source:
        """One frame of a video, or some."""
        ratios = (None if ratio is None else ratio[frames] for ratio in (self.eye_ratio, self.lip_ratio))
        return Source(self.canonical[frames], self.motion[frames], *ratios)

    @cached_property
    def rotation(self) -> Tensor:
        return rotation_of(self.motion)


def rotation_of(motion_TC: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of a motion (..., C)."""
    return euler_to_matrix(motion_TC[..., PITCH], motion_TC[..., YAW], motion_TC[..., ROLL])


def turned(source: Source, motion_TC: Tensor, first_C: Tensor) -> Tensor:
    """The source's rotation, then the motion's since its first frame: R_i R_0^T R_s."""
    return product(product(rotation_of(motion_TC), rotation_of(first_C).transpose(-1, -2)), source.rotation)


def expression(source: Source, motion_TC: Tensor, first_C: Tensor, moved_K1: Tensor, absolute_K1: Tensor) -> Tensor:
    """Expression offsets (T, K, 3): the source's; plus the motion's change where moved; the motion's where absolute."""
    own, exp, first = (motion[..., EXP].unflatten(-1, (KEYPOINTS, 3)) for motion in (source.motion, motion_TC, first_C))
    return torch.where(absolute_K1, exp, torch.where(moved_K1, own + (exp - first), own))


def place(canonical: Tensor, rotation: Tensor, exp: Tensor, scale: Tensor, translation: Tensor) -> Tensor:
    """x = s (canonical @ R + exp) + t with z of t zero, (T, K, 3)."""
    shift = torch.nn.functional.pad(translation[..., :2], (0, 1))
    return scale[..., None] * (product(canonical, rotation) + exp) + shift[..., None, :]


def lip_keypoints(wanted: bool, device: torch.device) -> Tensor:
    """Bool (K, 1): the lips if wanted, else none."""
    lips = torch.zeros(KEYPOINTS, 1, dtype=torch.bool, device=device)
    lips[list(LIP_KEYPOINTS)] = wanted
    return lips


def motion_multiplier(source_K3: Tensor, first_K3: Tensor) -> float:
    """How much larger the source's face is: root of the quotient of the convex hulls' volumes.

    Official: `calc_motion_multiplier` (src/utils/helper.py). Raises ValueError for keypoints that lie in a plane.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        source, first = (ConvexHull(points.detach().cpu().numpy()).volume for points in (source_K3, first_K3))
    except QhullError as error:
        raise ValueError("keypoints in a plane, or not finite: expression-friendly driving has no scale") from error
    return float(np.sqrt(source) / np.sqrt(first))
