"""Constructor arguments of the five networks: the published ones, and small ones for tests and dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joyvasa.motion import KEYPOINTS

PARTS = ("F", "M", "W", "G", "S")


@dataclass(frozen=True)
class Sizes:
    """networks: constructor arguments by part. input_px: side of the square pictures F and M take."""

    input_px: int
    networks: Mapping[str, Mapping[str, Any]]

    @property
    def output_px(self) -> int:
        """Side of the pictures G makes: the feature's, doubled twice, then by the pixel shuffle."""
        return (self.input_px >> self.networks["F"]["num_down_blocks"]) * 4 * self.networks["G"]["upscale"]

    @property
    def feature(self) -> tuple[int, int, int, int]:
        """Channels, depth, height, width of the feature volume."""
        args = self.networks["F"]
        side = self.input_px >> args["num_down_blocks"]
        return args["reshape_channel"], args["reshape_depth"], side, side


# src/config/models.yaml of the official repository; what is not said there is fixed in its constructors.
OFFICIAL = Sizes(
    input_px=256,
    networks={
        "F": {
            "image_channel": 3,
            "block_expansion": 64,
            "num_down_blocks": 2,
            "max_features": 512,
            "reshape_channel": 32,
            "reshape_depth": 16,
            "num_resblocks": 6,
        },
        "M": {"num_kp": KEYPOINTS, "depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768), "num_bins": 66},
        "W": {
            "num_kp": KEYPOINTS,
            "block_expansion": 64,
            "max_features": 512,
            "num_down_blocks": 2,
            "reshape_channel": 32,
            "dense_motion_params": {
                "block_expansion": 32,
                "max_features": 1024,
                "num_blocks": 5,
                "reshape_depth": 16,
                "compress": 4,
            },
        },
        "G": {
            "upscale": 2,
            "block_expansion": 64,
            "max_features": 512,
            "num_down_blocks": 2,
            "out_channels": 64,
            "hidden": 128,
            "middle_blocks": 6,
        },
        "S": {
            "num_kp": KEYPOINTS,
            "stitching": (128, 128, 64),
            "lip": (128, 128, 64),
            "eye": (256, 256, 128, 128, 64),
        },
    },
)

SMALL = Sizes(
    input_px=64,
    networks={
        "F": {
            "image_channel": 3,
            "block_expansion": 8,
            "num_down_blocks": 2,
            "max_features": 32,
            "reshape_channel": 8,
            "reshape_depth": 4,
            "num_resblocks": 1,
        },
        "M": {"num_kp": KEYPOINTS, "depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "num_bins": 66},
        "W": {
            "num_kp": KEYPOINTS,
            "block_expansion": 8,
            "max_features": 32,
            "num_down_blocks": 2,
            "reshape_channel": 8,
            "dense_motion_params": {
                "block_expansion": 8,
                "max_features": 32,
                "num_blocks": 2,
                "reshape_depth": 4,
                "compress": 2,
            },
        },
        "G": {
            "upscale": 2,
            "block_expansion": 8,
            "max_features": 32,
            "num_down_blocks": 2,
            "out_channels": 8,
            "hidden": 16,
            "middle_blocks": 2,
        },
        "S": {"num_kp": KEYPOINTS, "stitching": (16,), "lip": (16,), "eye": (16, 16)},
    },
)
