"""The five networks behind the four things that are done with them: features, motion, decode, retarget.

B batch, K keypoints, C channels of the motion vector, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from joyvasa.models.liveportrait.blocks import fold_norms
from joyvasa.models.liveportrait.fast import quicken
from joyvasa.models.liveportrait.sizes import Sizes
from joyvasa.models.liveportrait.warping import Warped
from joyvasa.motion import CHANNELS, EXP, PITCH, ROLL, SCALE, TRANSLATION, YAW, bins_to_degrees

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class LivePortrait(nn.Module):
    """F, M, W, G, S as far as they were asked for, in evaluation mode.

    sha256: hash of every file by its name, None for random weights; untrained: the weights are random.
    input_px, output_px: sides of the square pictures that go in and come out.
    """

    def __init__(
        self, *, sizes: Sizes, networks: dict[str, nn.Module], sha256: dict[str, str] | None, untrained: bool, name: str
    ):
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.sizes, self.sha256, self.untrained, self.name = sizes, sha256, untrained, name
        self.input_px, self.output_px = sizes.input_px, sizes.output_px
        self.dtype, self.channels_last, self._quick = torch.float32, False, False
        self._decode: Callable[[Tensor, Tensor, Tensor], Tensor] = self._decode_eager
        self.eval().requires_grad_(False)

    def part(self, letter: str) -> nn.Module:
        """One of F, M, W, G, S. Raises ValueError for one that was not loaded."""
        if letter not in self.networks:
            loaded = ", ".join(self.networks)
            raise ValueError(f"{self.name} was loaded with parts {loaded} and lacks {letter}: add it to load(parts=…)")
        return self.networks[letter]

    @property
    def retargeting(self) -> nn.Module:
        """S: `stitch`, `eye_delta`, `lip_delta`."""
        return self.part("S")

    @property
    def device(self) -> torch.device:
        return next(self.networks.parameters()).device

    def to_runtime(
        self,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        channels_last: bool,
        compile: bool,
        exact: bool = False,
    ) -> LivePortrait:
        """Move to a device and make ready to run, in place: batch norms are merged, F, W and G take `dtype`.

        M and S stay float32: what they give are keypoints. `channels_last` is for the two-dimensional parts; `compile`
        compiles W and G as one, at the first call of every batch size. In float32 on a CPU, F, W and G get the
        convolutions of `fast`, unless `exact`. Raises ValueError for another `dtype`.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype}: choose from {', '.join(map(str, DTYPES))}")
        plain_cpu = dtype == torch.float32 and torch.device(device).type == "cpu"
        if self._quick and not plain_cpu:
            raise ValueError(f"{self.name} was made ready for float32 on a CPU; load it again for {dtype} on {device}")
        self._quick = self._quick or (plain_cpu and not exact)
        fold_norms(self)
        self.to(device)
        for letter, network in self.networks.items():
            if letter in "FWG":
                network.to(dtype)
                if self._quick:
                    quicken(network)
            if channels_last:
                for layer in network.modules():
                    if isinstance(layer, nn.Conv2d):
                        layer.to(memory_format=torch.channels_last)
        self.dtype, self.channels_last = dtype, channels_last
        self._decode = torch.compile(self._decode_eager, dynamic=False) if compile else self._decode_eager
        return self

    @torch.no_grad()
    def features(self, image_B3HW: Tensor) -> Tensor:
        """Pictures (B, 3, input_px, input_px) in 0..1 -> feature volumes (B, C, D, H, W) in the weights' type."""
        return self.part("F")(self._picture(image_B3HW).to(self.dtype))

    @torch.no_grad()
    def motion(self, image_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, input_px, input_px) in 0..1 -> canonical keypoints (B, K, 3) and motion (B, 70), float32.

        The motion is in the order of joyvasa.motion, un-normalised, angles in degrees.
        """
        heads = {name: value.float() for name, value in self.part("M")(self._picture(image_B3HW)).items()}
        motion = heads["exp"].new_zeros(len(image_B3HW), CHANNELS)
        for channels, name in ((EXP, "exp"), (SCALE, "scale"), (TRANSLATION, "t")):
            motion[:, channels] = heads[name]
        for channel, name in ((PITCH, "pitch"), (YAW, "yaw"), (ROLL, "roll")):
            motion[:, channel] = bins_to_degrees(heads[name])
        return heads["kp"].unflatten(1, (-1, 3)), motion

    @torch.no_grad()
    def warp(self, feature_BCDHW: Tensor, source_BK3: Tensor, driving_BK3: Tensor) -> Warped:
        """W alone; feature and source may have batch 1."""
        source, driving = (each.to(self.device, torch.float32) for each in (source_BK3, driving_BK3))
        return self.part("W")(feature_BCDHW.to(self.device, self.dtype), source, driving)

    @torch.no_grad()
    def decode(self, feature_BCDHW: Tensor, source_BK3: Tensor, driving_BK3: Tensor) -> Tensor:
        """W then G: pictures (B, 3, output_px, output_px) float32 in 0..1, one for each driving (B, K, 3).

        Feature and source may have batch 1: they belong to one picture, and the feature is not copied.
        """
        source, driving = (each.to(self.device, torch.float32) for each in (source_BK3, driving_BK3))
        return self._decode(feature_BCDHW.to(self.device, self.dtype), source, driving)

    def _decode_eager(self, feature: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        warped = self.part("W")(feature, source, driving).feature
        return self._decode_feature(warped)

    def _decode_feature(self, warped_BCHW: Tensor) -> Tensor:
        # The sigmoid in float32: half the brightness steps of a byte are lost in bfloat16 near white.
        return torch.sigmoid(self.part("G").logits(self._layout(warped_BCHW)).float())

    def _picture(self, image_B3HW: Tensor) -> Tensor:
        side = self.input_px
        if image_B3HW.ndim != 4 or tuple(image_B3HW.shape[1:]) != (3, side, side):
            raise ValueError(
                f"pictures of shape {tuple(image_B3HW.shape)} (expected (batch, 3, {side}, {side}) in 0..1)"
            )
        return self._layout(image_B3HW.to(self.device, torch.float32))

    def _layout(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
