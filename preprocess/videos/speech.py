"""How much of a sound is speech, without a network: what is voiced and louder than the background, and a moment around.

Singing and other voices count, and so may music with a clear pitch: this tells clips with a voice from those without.
Shape suffixes: S samples (16 kHz), F frames (25 ms, every 10 ms).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, binary_opening
from scipy.signal import butter, sosfilt

from joyvasa.io.video_sound import HOP, WINDOW, levels_db
from joyvasa.motion import SAMPLE_RATE

PITCH_HZ = (70, 400)
RUMBLE_HZ = 70  # below is the hum of mains and of rooms
QUANTILE = 10  # percent of the frames that are taken for background
ABOVE_DB = 3.0  # the background: steady sounds never are, speech falls below it at every stop consonant
QUIET_DB = -55.0  # of full scale, below which nothing is speech
PERIODIC = 0.5  # correlation with itself a period later; white noise stays below 0.3
SHORTEST = 5  # frames in a row: 50 ms, less than any vowel
AROUND = 10  # frames by which speech begins before a voice and ends behind it: unvoiced consonants, closures
BLOCK = 2000  # frames at once


def speech_share(audio_S: np.ndarray) -> float:
    """Share, 0 to 1, of a 16 kHz mono sound in [-1, 1] in which somebody speaks; 0 for less than one frame."""
    if len(audio_S) < WINDOW:
        return 0.0
    heard_S = sosfilt(butter(2, RUMBLE_HZ, "highpass", fs=SAMPLE_RATE, output="sos"), np.asarray(audio_S, np.float64))
    level_F = levels_db(heard_S)
    loud_F = level_F > max(QUIET_DB, np.percentile(level_F, QUANTILE) + ABOVE_DB)
    voiced_F = loud_F & (periodicity(heard_S) > PERIODIC)
    speech_F = binary_dilation(binary_opening(voiced_F, np.ones(SHORTEST)), np.ones(2 * AROUND + 1))
    return float(speech_F.mean())


def periodicity(audio_S: np.ndarray) -> np.ndarray:
    """Highest peak (F,) of the correlation of a frame with what follows it by a period of PITCH_HZ; 0 without one."""
    shortest, longest = SAMPLE_RATE // PITCH_HZ[1], SAMPLE_RATE // PITCH_HZ[0]
    padded = np.pad(np.asarray(audio_S, np.float64), (0, longest + 1))
    starts = np.arange(0, len(audio_S) - WINDOW + 1, HOP)
    blocks = [_peaks(padded, starts[at : at + BLOCK], shortest, longest) for at in range(0, len(starts), BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty(0)


def _peaks(audio_S: np.ndarray, starts: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    reach = WINDOW + longest + 1
    long = audio_S[starts[:, None] + np.arange(reach)]
    size = 1 << (reach + WINDOW).bit_length()
    spectrum = np.fft.rfft(long, size) * np.conj(np.fft.rfft(long[:, :WINDOW], size))
    lags = np.arange(shortest - 1, longest + 2)
    products = np.fft.irfft(spectrum, size)[:, lags]
    energy = np.cumsum(np.pad(long**2, ((0, 0), (1, 0))), axis=1)
    energies = energy[:, lags + WINDOW] - energy[:, lags]
    scale = np.sqrt(np.maximum(energies * energy[:, WINDOW : WINDOW + 1], 1e-20))
    correlation = products / scale
    middle = correlation[:, 1:-1]
    # Below the lowest pitch a hum rises towards the edge of the range: only what falls on both sides is a period.
    peak = (middle >= correlation[:, :-2]) & (middle >= correlation[:, 2:])
    return np.where(peak, middle, 0.0).max(axis=1)
