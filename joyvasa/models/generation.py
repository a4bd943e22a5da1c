"""How a motion of any length is sampled: guidance, windows, the noise's gain, and each voice's state on its way.

B batch, T frames, N window frames, H history frames, C channels, D width of the embedded voice, S samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.motion import LIPS, SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (arXiv 2207.12598): null + scale (voice - null); scale 1 is the plain conditional.

    JoyVASA's modes `incremental` and `independent` are both this formula, for the voice is the only condition.
    threshold (ratio, low, high): each branch's window is first bounded by the `ratio` quantile of its absolute values,
    itself kept within low … high (dynamic thresholding, arXiv 2205.11487); None: not bounded.
    """

    scale: float
    threshold: tuple[float, float, float] | None

    def __post_init__(self):
        if not isfinite(self.scale):
            raise ValueError(f"guidance={self.scale} (expected a number; 1 is the voice as it is)")
        if self.threshold is not None:
            ratio, low, high = self.threshold
            if not (0 < ratio <= 1 and 0 < low <= high):
                raise ValueError(f"generation.threshold={self.threshold}: expected [ratio in (0, 1], low, high >= low]")

    def bound(self, out_BTC: Tensor) -> Tensor:
        if self.threshold is None:
            return out_BTC
        ratio, low, high = self.threshold
        limit = torch.quantile(out_BTC.flatten(1).abs(), ratio, dim=1).clamp(low, high)[:, None, None]
        return out_BTC.clamp(-limit, limit)


@dataclass(frozen=True)
class Temperature:
    """Gain of the sampler's noise, for the lips' channels and for all others.

    A sample at 1 is as varied as the training data, also where the voice leaves room: its lips then agree with any one
    recording less than the mean of all possible ones does (correlation r becomes r squared). Below 1 the lips keep to
    what the voice says; head, eyes and brows stay free.
    """

    lips: float
    rest: float

    def __post_init__(self):
        if not (0 <= self.lips <= 1 and 0 <= self.rest <= 1):
            raise ValueError(f"generation temperature: expected 0 … 1, got lips {self.lips}, rest {self.rest}")

    def gain(self, channels: int, like: Tensor) -> Tensor:
        """(C,)"""
        gain = torch.full((channels,), self.rest)
        gain[LIPS] = self.lips
        return gain.to(like)


@dataclass(frozen=True)
class Windowing:
    """How a long motion is generated, in frames.

    Windows of `window` frames; each sees the `history` frames before it, and begins `overlap` frames before its
    predecessor ends, where the two are cross-faded. `noise`: every window its own (`fresh`), or all the first one's
    (`shared`, as the official code does). `lead` frames of silence are put before the voice, and the motion made for
    them is dropped.
    """

    window: int
    history: int
    overlap: int
    noise: str
    lead: int

    def __post_init__(self):
        if self.noise not in ("fresh", "shared"):
            raise ValueError(f"generation.noise={self.noise!r}: choose fresh or shared")
        if self.history < 1 or min(self.overlap, self.lead) < 0 or self.history + self.overlap > self.window:
            raise ValueError(
                f"generation: history {self.history} + overlap {self.overlap} do not fit a window of {self.window}"
            )

    def starts(self, frames: int) -> list[int]:
        """First frame of each window of a motion of so many frames."""
        advance = self.window - self.overlap
        return list(range(0, max(frames - self.overlap, 1), advance))

    def joins(self, frames: int) -> tuple[int, ...]:
        """Frames at which a window begins to count or its predecessor ceases to."""
        edges = {edge for start in self.starts(frames)[1:] for edge in (start, start + self.overlap)}
        return tuple(sorted(edge for edge in edges if 0 < edge < frames))

    def fade_in(self, like: Tensor) -> Tensor:
        """Weight of the later window over the overlap, (overlap, 1), a raised cosine."""
        at = torch.arange(1, self.overlap + 1, device=like.device, dtype=like.dtype) / (self.overlap + 1)
        return (0.5 - 0.5 * torch.cos(torch.pi * at))[:, None]


@dataclass(frozen=True)
class Voice:
    """A recording (640 T,) float32 with the features (T, W) of a speech encoder that heard all of it."""

    audio: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        """Samples."""
        return len(self.audio)


class Track:
    """One voice on its way to motion: what is heard in each window, the motion so far, its own random numbers.

    `hear(audio_BS) -> (B, T, D)` encodes and embeds; None: windows are encoded by themselves, by the caller, who needs
    `context` frames of audio before and after each; where the voice has none there is silence.
    """

    def __init__(
        self,
        audio: Tensor,
        windowing: Windowing,
        channels: int,
        rng: torch.Generator,
        hear: Callable | None,
        context: tuple[int, int] = (0, 0),
    ):
        self.windowing, self.rng, self.channels, self.context = windowing, rng, channels, context
        samples = nn.functional.pad(audio, (windowing.lead * SAMPLES_PER_FRAME, 0))
        self.frames = len(samples) // SAMPLES_PER_FRAME
        self.starts = windowing.starts(self.frames)
        surplus = max(self.starts[-1] + windowing.window - self.frames, 0)
        if hear is None:
            around = (context[0] * SAMPLES_PER_FRAME, (surplus + 1 + context[1]) * SAMPLES_PER_FRAME)
            self.samples = nn.functional.pad(samples, around)
        else:
            voice = hear(samples[None, : self.frames * SAMPLES_PER_FRAME])[0]
            self.voice = torch.cat([voice, voice[-1:].expand(surplus, -1)])
        self.motion = torch.empty(0, channels, device=audio.device)
        self.noise: Tensor | None = None

    def draw(self, like: Tensor) -> Tensor:
        """Standard normal (N, C) on the device of `like`."""
        return torch.randn(self.windowing.window, self.channels, generator=self.rng).to(like)

    def wave(self, index: int) -> Tensor:
        """The samples of a window and its context, (640 (N + context),)."""
        first = self.starts[index] * SAMPLES_PER_FRAME
        return self.samples[first : first + (self.windowing.window + sum(self.context)) * SAMPLES_PER_FRAME]

    def features(self, index: int) -> Tensor:
        """The embedded voice of a window, (N, D), of an encoder that heard the whole."""
        return self.voice[self.starts[index] :][: self.windowing.window]

    def valid(self, index: int) -> Tensor:
        """1 for the window's frames that are the voice's, (N,)."""
        at = self.starts[index] + torch.arange(self.windowing.window, device=self.motion.device)
        return (at < self.frames).float()

    def past(self) -> tuple[Tensor, Tensor]:
        """Motion (H, C) and voice (H, D) before the next window, the voice as the last window heard it."""
        end = self.windowing.window - self.windowing.overlap
        last = len(self.motion) - self.windowing.overlap
        before = slice(last - self.windowing.history, last)
        return self.motion[before], self.heard[end - self.windowing.history : end]

    def append(self, voice_ND: Tensor, window_NC: Tensor) -> None:
        """Remember what was heard; cross-fade the motion into what is there over the overlap."""
        self.heard = voice_ND
        overlap = self.windowing.overlap if len(self.motion) else 0
        if overlap:
            fade = self.windowing.fade_in(window_NC)
            blended = (1 - fade) * self.motion[-overlap:] + fade * window_NC[:overlap]
            self.motion = torch.cat([self.motion[:-overlap], blended])
        self.motion = torch.cat([self.motion, window_NC[overlap:]])
