"""How the channels of a recording become one or two: the mean, a standard down-mix, or one channel.

The mean of two channels is what one hears, unless one is inverted or empty. That is decided over the whole recording:
`Levels` gathers how loud the channels are, half a second at a time, and `choose_mix` looks at all of it.

Shape suffixes: N samples, C channels, B blocks of half a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

BLOCK_SECONDS = 0.5
ACTIVE_DB = 40.0  # a block counts where it is at most so much quieter than the loudest one
CANCELLED_DB = 9.0  # by which a mix is quieter than its loudest channel where channels cancel each other
CANCELLED_SHARE = 0.05  # of the blocks that count, from which on the channels count as inverted
LONE_DB = 5.0  # by which the mean of two channels is quieter than the louder one where the other is empty (6 dB)
LONE_SHARE = 0.995  # of the blocks that count in which the same channel is the loudest where the others are empty
QUIET_DB = 7.0  # by which the mean of three or more unknown channels may be quieter than the loudest of each block


@dataclass(frozen=True, eq=False)
class Mix:
    """Weights of the channels. mono_C: None for the mean. stereo_C2: None where two channels stay as they are, or
    where one mono signal is written to both. note: what is to be said of it, "" for nothing."""

    mono_C: np.ndarray | None = None
    stereo_C2: np.ndarray | None = None
    note: str = ""

    def apply(self, samples_NC: np.ndarray, channels: int) -> np.ndarray:
        """Samples (N, C) -> (N, channels), channels 1 or 2. Two channels stay as they are."""
        if samples_NC.shape[1] == channels:
            return samples_NC
        if channels == 2 and self.stereo_C2 is not None:
            return samples_NC @ self.stereo_C2
        if self.mono_C is None:
            mono_N = samples_NC.mean(axis=1)
        else:
            mono_N = samples_NC @ self.mono_C
        return np.repeat(mono_N[:, None], channels, axis=1)


class Levels:
    """Powers of the channels of one layout, block after block.

    layout: FFmpeg's name of it, "" where unknown. finite, peak: of all samples. peaks: of the two standard mixes.
    """

    def __init__(self, layout: str, channels: int):
        self.layout = layout
        self.channels = channels
        self.standard = standard_mix(layout, channels)
        self.finite = True
        self.peak = 0.0
        self.mono_peak = 0.0
        self.stereo_peak = 0.0
        self._powers: list[np.ndarray] = []  # of finished blocks, (C + 1,), the last of them of the mono mix
        self._sums = np.zeros(channels + 1)  # of squares, of the block at hand
        self._count = 0

    def add(self, samples_NC: np.ndarray, rate: int) -> None:
        """Look at the next samples."""
        self.finite = self.finite and bool(np.isfinite(samples_NC).all())
        if not self.finite or not len(samples_NC):
            return
        self.peak = max(self.peak, float(np.abs(samples_NC).max()))
        if self.channels == 1:
            return
        mix = self.standard or Mix()
        mono_N1 = mix.apply(samples_NC, 1)
        self.mono_peak = max(self.mono_peak, float(np.abs(mono_N1).max()))
        if self.standard is not None:
            self.stereo_peak = max(self.stereo_peak, float(np.abs(mix.apply(samples_NC, 2)).max()))
        self._sums[:-1] += np.square(samples_NC).sum(axis=0, dtype=np.float64)
        self._sums[-1] += np.square(mono_N1).sum(dtype=np.float64)
        self._count += len(samples_NC)
        if self._count >= rate * BLOCK_SECONDS:
            self._end_block()

    def _end_block(self) -> None:
        self._powers.append(self._sums / self._count)
        self._sums = np.zeros_like(self._sums)
        self._count = 0

    def powers(self) -> np.ndarray:
        """(B, C + 1): mean square of every channel, then of the mono mix."""
        if self._count:
            self._end_block()
        return np.array(self._powers).reshape(-1, self.channels + 1)


def choose_mix(levels: Levels) -> Mix:
    """The mix for a layout, by the levels of the whole recording."""
    if levels.channels == 1:
        return Mix()
    powers = levels.powers()
    channels_BC = powers[:, :-1].copy()
    mix_B = powers[:, -1]
    if levels.standard is not None:
        left_out = levels.standard.mono_C == 0  # low frequencies: no voice, unless there is nothing else
        if channels_BC[:, ~left_out].sum() > channels_BC.sum() * 10 ** (-ACTIVE_DB / 10):
            channels_BC[:, left_out] = 0
    loudest_B = channels_BC.max(axis=1, initial=0.0)
    active = loudest_B > loudest_B.max(initial=0.0) * 10 ** (-ACTIVE_DB / 10)
    if not active.any():
        return _gained(levels)
    channels_BC = channels_BC[active]
    mix_B = mix_B[active]
    loudest_B = loudest_B[active]
    channel = int(channels_BC.sum(axis=0).argmax())
    cancelled = (mix_B < loudest_B * 10 ** (-CANCELLED_DB / 10)).mean() >= CANCELLED_SHARE
    leads = (channels_BC[:, channel] == loudest_B).mean() >= LONE_SHARE
    total_db = _decibels(mix_B.sum() / channels_BC[:, channel].sum())
    if levels.standard is not None:
        if cancelled:
            return _one_channel(levels, channel, total_db)
        return _gained(levels)
    if levels.channels == 2:
        lone = leads and total_db < -LONE_DB
        if not cancelled and not lone:
            return Mix()
        return _one_channel(levels, channel, total_db)
    return _unknown(levels, channels_BC, mix_B, channel, leads)


def _unknown(levels: Levels, channels_BC: np.ndarray, mix_B: np.ndarray, channel: int, leads: bool) -> Mix:
    """Of three or more channels whose places nobody states: a microphone each, as a rule.

    The mean, where it is about as loud as what it is made of. Else one channel, where it is the loudest all the time or
    where the channels cancel each other; else the sum: people who speak in turn, each into an own microphone.
    """
    loudest = channels_BC.max(axis=1).sum()
    if _decibels(mix_B.sum() / loudest) > -QUIET_DB:
        return Mix()
    sum_power = mix_B.sum() * levels.channels**2
    if leads or sum_power < channels_BC.sum() / 2:
        return _one_channel(levels, channel, _decibels(mix_B.sum() / channels_BC[:, channel].sum()))
    gain = min(levels.channels, 1 / levels.mono_peak if levels.mono_peak else 1.0)
    weights_C = np.full(levels.channels, gain / levels.channels, np.float32)
    return Mix(weights_C, note=f"its {levels.channels} channels, which sound in turn, are added up")


def _one_channel(levels: Levels, channel: int, total_db: float) -> Mix:
    weights_C = np.zeros(levels.channels, np.float32)
    weights_C[channel] = 1
    quieter = "silent" if total_db < -100 else f"{-total_db:.0f} dB quieter"
    what = "mean" if levels.standard is None else "down-mix"
    return Mix(weights_C, note=f"channel {channel + 1} of {levels.channels} is heard alone: their {what} is {quieter}")


def _gained(levels: Levels) -> Mix:
    """The standard down-mix, made quieter where it would be cut off at full scale; else the mean."""
    if levels.standard is None:
        return Mix()
    gain = 1 / max(1.0, levels.mono_peak)
    stereo_gain = 1 / max(1.0, levels.stereo_peak)
    return Mix(
        (levels.standard.mono_C * gain).astype(np.float32),
        (levels.standard.stereo_C2 * stereo_gain).astype(np.float32),
        f"its {levels.channels} channels ({levels.layout}) are mixed down by the standard (ITU-R BS.775)",
    )


def _decibels(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-30)))


@cache
def standard_mix(layout: str, channels: int) -> Mix | None:
    """FFmpeg's down-mix of a known layout of three or more channels, by ITU-R BS.775: the centre at full level in
    mono, at -3 dB in each of two channels; low frequencies left out. None for two channels and unknown layouts.

    libswresample is asked for its weights: what it makes of a one in every channel.
    """
    import av

    if channels <= 2 or not layout or layout.endswith("channels"):
        return None
    weights = []
    for out, count in (("mono", 1), ("stereo", 2)):
        # Interleaved: PyAV cannot hold planes of more than seven channels.
        ones = np.eye(channels, dtype=np.float32).reshape(1, -1)
        try:
            frame = av.AudioFrame.from_ndarray(ones, format="flt", layout=layout)
            frame.sample_rate = 48_000
            frame.pts = 0
            mixed = av.AudioResampler(format="flt", layout=out).resample(frame)[0]
        except (av.FFmpegError, ValueError, IndexError):  # layouts that it cannot mix: spheres of sound, broken ones
            return None
        weights.append(mixed.to_ndarray().reshape(channels, count).copy())
    return Mix(weights[0][:, 0], weights[1])
