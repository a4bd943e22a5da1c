"""Speech encoder that needs no download: log-mel and a small convolutional stack, trained with the denoiser.

B batch, S samples, T motion frames, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from joyvasa.features import FeatureSpec
from joyvasa.models.mel import log_mel
from joyvasa.motion import FPS, SAMPLES_PER_FRAME

_HOP = SAMPLES_PER_FRAME // 4  # 100 Hz: a stop's burst is shorter than a motion frame
_SPREAD = 3.3  # standard deviation of natural-log mel power in speech
_REACH = 2 * FPS  # a band's mean is taken over 2 s before and after


class _Residual(nn.Module):
    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        mixed = self.mix(self.norm(x_BTD).transpose(1, 2)).transpose(1, 2)
        return x_BTD + self.out(nn.functional.gelu(mixed))


def without_channel(mel_BTM: Tensor) -> Tensor:
    """Log-mel less its mean over the 4 s around each frame: what microphone, room and loudness add is gone.

    The mean moves in steps of one motion frame (four spectrogram frames).
    """
    coarse = mel_BTM.unflatten(1, (-1, 4)).mean(2)
    frames = coarse.shape[1]
    total = nn.functional.pad(coarse.cumsum(1), (0, 0, 1, 0))
    at = torch.arange(frames, device=mel_BTM.device)
    first, last = (at - _REACH).clamp(min=0), (at + _REACH + 1).clamp(max=frames)
    mean = (total[:, last] - total[:, first]) / (last - first)[:, None]
    return (mel_BTM.unflatten(1, (-1, 4)) - mean[:, :, None]).flatten(1, 2)


class LogMelEncoder(nn.Module):
    """Waveform (B, 640 T) -> features (B, T, width), one per motion frame, each seeing about 0.7 s around it."""

    def __init__(self, *, width: int, bands: int, blocks: int, kernel: int):
        super().__init__()
        self.width, self.bands = width, bands
        # Trained with the denoiser; what it sees ends 0.4 s away, so windows need not be encoded by themselves
        self.frozen = self.per_window = False
        self.stem = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(*(_Residual(width, kernel) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(encoder="logmel", weights_sha256=None, layer=None, rate_hz=FPS)

    def forward(self, audio_BS: Tensor) -> Tensor:
        if audio_BS.shape[-1] % SAMPLES_PER_FRAME:
            raise ValueError(f"{audio_BS.shape[-1]} samples: expected a multiple of {SAMPLES_PER_FRAME}")
        with torch.autocast(audio_BS.device.type, enabled=False):
            mel = without_channel(log_mel(audio_BS.float(), self.bands, _HOP)) / _SPREAD
        return self.norm(self.blocks(self.stem(mel.transpose(1, 2)).transpose(1, 2)))
