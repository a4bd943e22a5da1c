"""Mel-frequency cepstra as SyncNet was trained on: python_speech_features' defaults for 16 kHz sound.

    y[t]   = x[t] − 0.97 x[t − 1], y[0] = x[0]            pre-emphasis
    P[k]   = |FFT_512(frame)[k]|² / 512                   frames of 400 samples every 160, no window function
    c      = DCT-II(ln(26 mel triangles · P)), orthonormal, the first 13, × 1 + 11 sin(π n / 22)
    c[0]   = ln(Σ P)

The last frame is filled with zeros; sums that are exactly 0 become the float64 epsilon before the logarithm.

Shape suffixes: S samples, F frames (100 a second), K bins of the spectrum.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.fft import dct

from joyvasa.motion import SAMPLE_RATE

Array = np.ndarray

COEFFICIENTS = 13
WINDOW, HOP, FFT = 400, 160, 512
PRE_EMPHASIS = 0.97
FILTERS = 26
LIFTER = 22
BLOCK_FRAMES = 4096  # bounds the spectra held at once: an hour of sound is 360,000 frames


def frame_count(samples: int) -> int:
    """Number of cepstra of so many samples: the last one is partly filled with zeros; never 0."""
    return 1 + max(0, math.ceil((samples - WINDOW) / HOP))


def mfcc(samples_S: Array) -> Array:
    """int16 samples at 16 kHz -> cepstra (13, F), float64. Memory beyond input and output does not grow with S.

    Takes int16 alone, so that the scale is certain: of samples in [−1, 1] the energy would be 2 ln 32768 = 20.794 too
    small, and SyncNet's confidence meaningless. `media.pcm16` makes int16 of such samples.

    Raises ValueError for samples of another type, of several channels, or none.
    """
    if samples_S.dtype != np.int16 or samples_S.ndim != 1:
        raise ValueError(
            f"sound of type {samples_S.dtype} and shape {samples_S.shape} (expected int16 and one channel, (S,)); "
            "samples in [-1, 1] become int16 by joyvasa.io.audio.pcm16"
        )
    if not len(samples_S):
        raise ValueError("sound of 0 samples has no cepstra; leave the clip out")
    frames = frame_count(len(samples_S))
    blocks = [_cepstra(samples_S, first, min(first + BLOCK_FRAMES, frames)) for first in range(0, frames, BLOCK_FRAMES)]
    return np.concatenate(blocks).T


def _cepstra(samples_S: Array, first: int, last: int) -> Array:
    """Cepstra (last − first, 13) of the frames first ... last − 1."""
    power_FK = np.square(np.abs(np.fft.rfft(_frames(samples_S, first, last), FFT))) / FFT
    energy_F = power_FK.sum(1)
    mel_FM = power_FK @ mel_filters().T
    eps = np.finfo(np.float64).eps
    cepstra = dct(np.log(np.where(mel_FM == 0, eps, mel_FM)), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(np.where(energy_F == 0, eps, energy_F))
    return cepstra


def _frames(samples_S: Array, first: int, last: int) -> Array:
    """Pre-emphasised frames (last − first, 400)."""
    start, stop = first * HOP, (last - 1) * HOP + WINDOW
    piece = samples_S[max(start - 1, 0) : stop].astype(np.float64)
    if not start:
        piece = np.concatenate([[0.0], piece])
    emphasised = piece[1:] - PRE_EMPHASIS * piece[:-1]
    padded = np.pad(emphasised, (0, stop - start - len(emphasised)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


@cache
def mel_filters() -> Array:
    """Triangles (26, 257) between edges evenly spaced on the mel scale of HTK, 0 to 8 kHz, floored to bins."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(FFT // 2 + 1)
    filters = np.zeros((FILTERS, len(bins)))
    for row, low, peak, high in zip(filters, edges, edges[1:], edges[2:], strict=False):
        rising, falling = (low <= bins) & (bins < peak), (peak <= bins) & (bins < high)
        row[rising] = (bins[rising] - low) / (peak - low)
        row[falling] = (high - bins[falling]) / (high - peak)
    filters.flags.writeable = False
    return filters
