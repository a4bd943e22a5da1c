"""The motion generator: speech features and a denoiser under a diffusion, trained on pairs of windows, sampled window
by window to any length.

B batch, T frames, N window frames, H history frames, C channels, A audio width, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.models.diffusion import NoiseSchedule, Target
from joyvasa.models.losses import WindowPrediction
from joyvasa.models.samplers import Sampler
from joyvasa.motion import CHANNELS, LIPS, AffineNormaliser


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (arXiv 2207.12598): null + scale (voice - null); scale 1 is the plain conditional."""

    scale: float


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

    def gain(self, like: Tensor) -> Tensor:
        """(C,)"""
        gain = torch.full((CHANNELS,), self.rest)
        gain[LIPS] = self.lips
        return gain.to(like)


@dataclass(frozen=True)
class Windowing:
    """How a long motion is generated, in frames.

    Windows of `window` frames; each sees the `history` frames before it, and begins `overlap` frames before its
    predecessor ends, where the two are cross-faded. `noise`: every window its own (`fresh`), or all the first one's
    (`shared`, as the official code does).
    """

    window: int
    history: int
    overlap: int
    noise: str

    def __post_init__(self):
        if self.noise not in ("fresh", "shared"):
            raise ValueError(f"generation.noise={self.noise!r}: choose fresh or shared")
        if self.history < 1 or self.overlap < 0 or self.history + self.overlap > self.window:
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


class MotionGenerator(nn.Module):
    """Encoder, denoiser, schedule, prediction target and normaliser under one roof."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        denoiser: nn.Module,
        schedule: NoiseSchedule,
        target: Target,
        guidance_dropout: float,
        history_noise: float,
        normaliser: AffineNormaliser,
    ):
        super().__init__()
        self.encoder, self.denoiser, self.schedule, self.normaliser = encoder, denoiser, schedule, normaliser
        self.target, self.guidance_dropout, self.history_noise = target, guidance_dropout, history_noise

    def forward(self, batch: dict, history: int) -> WindowPrediction:
        """Both windows of each example in one pass of 2B: first windows on top, second ones below.

        `batch`: motion (B, 2N, C), audio (B, 2N 640), noise (B, 2N, C), step_u and drop_u (B, 2), all as the loader
        draws them, so that this function holds no randomness of its own but dropout.
        """
        window = batch["motion"].shape[1] // 2
        clean = torch.cat(self.normaliser.normalise(batch["motion"]).split(window, 1))
        noise = torch.cat(batch["noise"].split(window, 1))
        step = self.schedule.step_of(batch["step_u"].T.reshape(-1))
        dropped = (batch["drop_u"].T.reshape(-1) < self.guidance_dropout)[:, None, None]

        features = torch.cat(self.encoder(batch["audio"]).split(window, 1))
        half = len(clean) // 2
        start, start_audio = self.denoiser.start(half, history)
        # A sampled history is never as good as a recorded one. What is added here comes from the first windows' draws,
        # which second windows do not use otherwise: a step, and one frame of noise held over the history.
        strength = self.history_noise * batch["step_u"][:, :1, None]
        recorded = clean[:half, window - history :]
        disturbed = recorded + strength * noise[:half, :1]
        past = torch.cat([start.to(clean.dtype), disturbed])
        past_audio = torch.cat([start_audio.to(features.dtype), features[:half, window - history :]])
        audio = torch.where(dropped, self.denoiser.null_audio.to(features.dtype), features)

        signal, deviation = self.schedule.signal_noise(step)
        noisy = signal * clean + deviation * noise
        prediction = self.denoiser(noisy, step, audio, past, past_audio).float()
        return WindowPrediction(
            prediction=prediction,
            target=self.target.of(clean, noise, signal, deviation),
            clean_prediction=self.target.clean(prediction, noisy, signal, deviation),
            clean=clean,
            history=torch.cat([start.detach().to(clean.dtype), recorded]),
            has_history=(torch.arange(2 * half, device=clean.device) >= half).float(),
            from_voice=self.denoiser.from_voice(features),
        )

    def _denoise(self, audio: Tensor, past: Tensor, past_audio: Tensor, guidance: Guidance) -> Callable:
        """The function a sampler calls: clean motion from noisy, guided, both branches in one batch."""
        branches = 1 if guidance.scale == 1.0 else 2
        if branches == 2:
            audio = torch.cat([self.denoiser.null_audio.expand_as(audio).to(audio.dtype), audio])
            past, past_audio = past.repeat(2, 1, 1), past_audio.repeat(2, 1, 1)

        def denoise(noisy_BTC: Tensor, step: int) -> Tensor:
            steps = torch.full((len(audio),), step, device=noisy_BTC.device)
            out = self.denoiser(noisy_BTC.repeat(branches, 1, 1), steps, audio, past, past_audio).float()
            if branches == 2:
                without, with_voice = out.chunk(2)
                out = without + guidance.scale * (with_voice - without)
            signal, deviation = self.schedule.signal_noise(steps[:1])
            return self.target.clean(out, noisy_BTC, signal, deviation)

        return denoise

    @torch.no_grad()
    def generate(
        self,
        audios: Sequence[np.ndarray],
        *,
        sampler: Sampler,
        guidance: Guidance,
        windowing: Windowing,
        temperature: Temperature,
        seeds: Sequence[int],
        on_window: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """Motion (T, C) float32, un-normalised, for each voice (640 T,); frame k is samples [640 k, 640 (k + 1)).

        Each voice is encoded by itself and sampled from its own seed; window number w of all voices is sampled as one
        batch. Behind a voice's end its last feature is held; frames there are dropped. `on_window(done, total)`
        reports progress.
        """
        if not audios or min(map(len, audios)) == 0:
            empty = [number for number, audio in enumerate(audios) if len(audio) == 0]
            raise ValueError(f"nothing to generate: {len(audios)} voices, empty ones: {empty}")
        device = self.normaliser.offset.device
        features = [self.encoder(torch.from_numpy(audio)[None].to(device))[0] for audio in audios]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        tracks = [_Track(feature, windowing, rng) for feature, rng in zip(features, generators, strict=True)]
        gain = temperature.gain(self.normaliser.offset)
        total = max(len(track.starts) for track in tracks)
        for index in range(total):
            active = [track for track in tracks if index < len(track.starts)]
            audio = torch.stack([track.audio(index) for track in active])
            if index:
                past, past_audio = map(torch.stack, zip(*(track.past(index) for track in active), strict=True))
            else:
                past, past_audio = self.denoiser.start(len(active), windowing.history)
            if index == 0 or windowing.noise == "fresh":
                for track in active:
                    track.noise = gain * track.draw(gain)

            def draw(active=active) -> Tensor:
                return torch.stack([gain * track.draw(gain) for track in active])

            noise = torch.stack([track.noise for track in active])
            clean = sampler(self._denoise(audio, past, past_audio, guidance), noise, self.schedule, draw)
            for track, motion in zip(active, clean, strict=True):
                track.append(motion)
            if on_window:
                on_window(index + 1, total)
        return [self.normaliser.denormalise(track.motion[: track.frames]).cpu().numpy() for track in tracks]


class _Track:
    """One voice on its way to motion: features (T, A), the motion so far, and its own random numbers."""

    def __init__(self, features: Tensor, windowing: Windowing, rng: torch.Generator):
        self.frames, self.windowing, self.rng = len(features), windowing, rng
        self.starts = windowing.starts(self.frames)
        surplus = self.starts[-1] + windowing.window - self.frames
        self.features = torch.cat([features, features[-1:].expand(max(surplus, 0), -1)])
        self.motion = features.new_empty(0, CHANNELS, dtype=torch.float32)
        self.noise: Tensor | None = None

    def draw(self, like: Tensor) -> Tensor:
        """Standard normal (N, C) on the device of `like`."""
        return torch.randn(self.windowing.window, CHANNELS, generator=self.rng).to(like)

    def audio(self, index: int) -> Tensor:
        return self.features[self.starts[index] :][: self.windowing.window]

    def past(self, index: int) -> tuple[Tensor, Tensor]:
        before = slice(self.starts[index] - self.windowing.history, self.starts[index])
        return self.motion[before], self.features[before]

    def append(self, window_NC: Tensor) -> None:
        """Cross-fade into what is there over the overlap."""
        overlap = self.windowing.overlap if len(self.motion) else 0
        if overlap:
            fade = self.windowing.fade_in(window_NC)
            blended = (1 - fade) * self.motion[-overlap:] + fade * window_NC[:overlap]
            self.motion = torch.cat([self.motion[:-overlap], blended])
        self.motion = torch.cat([self.motion, window_NC[overlap:]])
