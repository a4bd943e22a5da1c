"""SyncNet (Chung and Zisserman 2016, "Out of time"; joonson/syncnet_python): do lips and voice belong together?

B windows, T frames, C coefficients and M columns of MFCC; H, W pixels of a crop of a face, 224 each.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from joyvasa.models.judges.judge import Judge, exact, expect

WINDOW_FRAMES = 5  # at 25 a second: what a lip embedding sees
WINDOW_COLUMNS = 20  # of MFCC at 100 a second: the same 0.2 s
COEFFICIENTS = 13
SIDE = 224  # pixels
FEATURES, WIDTH = 512, 1024
AUDIO_BLOCK = 64  # windows at a time: 16 MB, and no slower than more


class SyncNet(Judge):
    """Lips and voice of 0.2 s in one space, near each other where they fit. Names of tensors are the official ones."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, 3, padding=1), nn.Identity(),  # officially a pooling of 1 by 1
            *_conv2d(64, 192, 3, padding=1), nn.MaxPool2d(3, stride=(1, 2)),
            *_conv2d(192, 384, 3, padding=1),
            *_conv2d(384, 256, 3, padding=1),
            *_conv2d(256, 256, 3, padding=1), nn.MaxPool2d(3, stride=2),
            *_conv2d(256, FEATURES, (5, 4)),
        )  # fmt: skip
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (WINDOW_FRAMES, 7, 7), stride=2), _pool(),
            *_conv3d(96, 256, (1, 5, 5), stride=2, padding=1), _pool(padding=1),
            *_conv3d(256, 256, (1, 3, 3), padding=1),
            *_conv3d(256, 256, (1, 3, 3), padding=1),
            *_conv3d(256, 256, (1, 3, 3), padding=1), _pool(),
            *_conv3d(256, FEATURES, (1, 6, 6)),
        )  # fmt: skip
        self.netfcaud, self.netfclip = _head(), _head()

    @exact
    def audio(self, mfcc_B1CM: Tensor) -> Tensor:
        """Windows of MFCC (B, 1, 13, 20), of samples on the scale of int16 -> embeddings (B, 1024).

        B may be an hour's: they run in blocks. Overlapping windows share nothing: every layer pads them with zeros.
        """
        mfcc = expect("windows of MFCC", mfcc_B1CM, "windows", 1, COEFFICIENTS, WINDOW_COLUMNS)
        blocks = (each.to(self.device, torch.float32) for each in mfcc.split(AUDIO_BLOCK))
        return torch.cat([self.netfcaud(self.netcnnaud(each).flatten(1)) for each in blocks])

    @exact
    def lip_features(self, video_B3THW: Tensor) -> Tensor:
        """Windows (B, 3, 5, 224, 224), BGR 0..255 -> what the last layers see, (B, 512)."""
        video = expect("windows of BGR frames", video_B3THW, "windows", 3, WINDOW_FRAMES, SIDE, SIDE)
        return self.netcnnlip(video.to(self.device, torch.float32)).flatten(1)

    @exact
    def lip(self, video_B3THW: Tensor) -> Tensor:
        """Windows (B, 3, 5, 224, 224), BGR 0..255 without normalisation -> embeddings (B, 1024)."""
        return self.netfclip(self.lip_features(video_B3THW))

    @exact
    def lip_windows(self, chunks: Iterable[Tensor]) -> Tensor:
        """A clip's embeddings (T - 4, 1024), window f being frames f to f + 4.

        chunks: the clip in pieces of any length, uint8 or float RGB 0..255 (t, 224, 224, 3); a piece takes about 12 MB
        a frame while it runs. The network looks at time in its first layer alone and pads nothing there, so a piece
        goes through as it is: the windows' embeddings are the same, and no frame is held five times. Raises ValueError
        for a clip of fewer than five frames.
        """
        frames, seen, found = None, 0, []
        for chunk_tHW3 in chunks:
            piece = expect("frames", chunk_tHW3, "frames", SIDE, SIDE, 3).to(self.device)
            seen += len(piece)
            frames = piece if frames is None else torch.cat([frames, piece])
            if len(frames) >= WINDOW_FRAMES:
                video_13THW = frames.flip(-1).permute(3, 0, 1, 2)[None].float()
                found.append(self.netfclip(self.netcnnlip(video_13THW)[0, :, :, 0, 0].T))
                frames = frames[1 - WINDOW_FRAMES :]
        if not found:
            raise ValueError(f"{seen} frames (expected {WINDOW_FRAMES} or more): too short for SyncNet")
        return torch.cat(found)


def _conv2d(inputs: int, outputs: int, kernel: int | tuple[int, int], padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _conv3d(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    """stride and padding: of height and width."""
    layer = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), (0, padding, padding))
    return [layer, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]


def _pool(padding: int = 0) -> nn.Module:
    return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, padding, padding))


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True), nn.Linear(FEATURES, WIDTH)
    )
