"""Log-mel spectrogram, the front end of the encoder that needs no download.

B batch, S samples, T spectrogram frames, M mel bands.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from joyvasa.motion import SAMPLE_RATE

FFT = 512
FRAME = 400  # 25 ms
POWER_FLOOR = 1e-9  # -90 dB: below the noise of any recording, so that digital silence is finite


def _mel(hertz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


@lru_cache
def mel_filters(bands: int, low_hz: float = 50.0, high_hz: float = 7600.0) -> Tensor:
    """Triangles of equal width on the mel scale of O'Shaughnessy, (FFT / 2 + 1, M)."""
    edges = torch.linspace(float(_mel(torch.tensor(low_hz))), float(_mel(torch.tensor(high_hz))), bands + 2)
    bins = _mel(torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)).unsqueeze(1)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


def log_mel(audio_BS: Tensor, bands: int = 80, hop: int = 320) -> Tensor:
    """Natural log of mel power, (B, S) in [-1, 1] at 16 kHz -> (B, S // hop, M); frame j is centred in its hop.

    Samples outside the recording count as zeros.
    """
    frames = audio_BS.shape[-1] // hop
    margin = (FFT - hop) // 2
    padded = torch.nn.functional.pad(audio_BS, (max(margin, 0), FFT))
    window = torch.hann_window(FRAME, device=audio_BS.device)
    spectrum = torch.stft(padded, FFT, hop, FRAME, window, center=False, return_complex=True)[..., :frames]
    power = spectrum.abs().square_().transpose(-1, -2)
    filters = mel_filters(bands).to(power) / window.sum() ** 2
    return (power @ filters).clamp(min=POWER_FLOOR).log()
