"""F, the appearance extractor: a picture of a face -> the feature volume that W warps (LivePortrait, section 3.1).

B batch, H height, W width.
"""

from __future__ import annotations

from torch import Tensor, nn

from joyvasa.models.liveportrait.blocks import ConvNorm, Down2d, Residual3d


class AppearanceExtractor(nn.Module):
    """(B, image_channel, H, W) in 0..1 -> (B, reshape_channel, reshape_depth, H', W'), H' = H / 2 ** num_down_blocks.

    max_features = reshape_channel · reshape_depth. Official: src/modules/appearance_feature_extractor.py.
    """

    def __init__(
        self,
        *,
        image_channel: int,
        block_expansion: int,
        num_down_blocks: int,
        max_features: int,
        reshape_channel: int,
        reshape_depth: int,
        num_resblocks: int,
    ):
        super().__init__()
        widths = [min(max_features, block_expansion << k) for k in range(num_down_blocks + 1)]
        self.volume = (reshape_channel, reshape_depth)
        self.first = ConvNorm(dims=2, inputs=image_channel, outputs=block_expansion)
        self.down_blocks = nn.Sequential(
            *(Down2d(inputs=before, outputs=after) for before, after in zip(widths, widths[1:], strict=False))
        )
        self.second = nn.Conv2d(widths[-1], max_features, 1)
        self.resblocks_3d = nn.Sequential()
        for k in range(num_resblocks):
            self.resblocks_3d.add_module(f"3dr{k}", Residual3d(channels=reshape_channel))

    def forward(self, image_B3HW: Tensor) -> Tensor:
        flat = self.second(self.down_blocks(self.first(image_B3HW)))
        return self.resblocks_3d(flat.unflatten(1, self.volume).contiguous())
