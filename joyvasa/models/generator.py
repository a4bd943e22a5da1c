"""The motion generator: speech features and a denoiser under a diffusion, trained on pairs of windows, sampled window
by window to any length.

B batch, T frames, N window frames, H history frames, C channels, A audio width, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.models.diffusion import NoiseSchedule, SampleTarget, Target
from joyvasa.models.generation import Guidance, Temperature, Track, Voice, Windowing
from joyvasa.models.losses import Spoken, WindowPrediction
from joyvasa.models.samplers import Denoise, Sampler
from joyvasa.models.smoothing import Smoothing
from joyvasa.models.speech import one_a_frame
from joyvasa.models.truncation import truncate
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME, AffineNormaliser


class MotionGenerator(nn.Module):
    """Encoder, denoiser, schedule, prediction target and normaliser under one roof.

    An encoder maps waveform (B, 640 T) to features (B, T, W); where it says `per_window`, each window is encoded by
    itself, with the `context` that it says it hears. A denoiser has `embed(features) -> voice`, `start(batch, history)
    -> (motion, voice)` and `null_audio` as such a voice, `condition(voice, history voice, valid)` for what does not
    depend on the diffusion step, and `forward(noisy, step, condition, history)`, whose last frames are the window.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        denoiser: nn.Module,
        schedule: NoiseSchedule,
        target: Target,
        guidance_dropout: float,
        history_noise: float,
        truncation_pad: str,
        normaliser: AffineNormaliser,
    ):
        super().__init__()
        if denoiser.max_steps is not None and schedule.num_steps > denoiser.max_steps:
            raise ValueError(f"diffusion.schedule.steps={schedule.num_steps}: this denoiser knows {denoiser.max_steps}")
        self.encoder, self.denoiser, self.schedule, self.normaliser = encoder, denoiser, schedule, normaliser
        self.target, self.guidance_dropout, self.history_noise = target, guidance_dropout, history_noise
        self.truncation_pad = truncation_pad

    def forward(self, batch: dict, history: int) -> WindowPrediction:
        """Both windows of each example in one pass of 2B: first windows on top, second ones below.

        `batch`: motion (B, 2N, C), audio (B, 2N 640), valid (B, 2N), noise (B, 2N, C), step_u and drop_u (B, 2), all as
        the loader draws them, so that this function holds no randomness of its own but dropout. `features`
        (B, 2N r, W), where given, are those of a frozen encoder as they are stored and stand for the audio: one or two
        (r) a frame, times `feature_scale` (B, 2N r) where they are integers. `end` (B, 2), where given, cuts each
        window by itself behind that frame, filled as `truncation_pad` says.
        """
        window = batch["motion"].shape[1] // 2
        clean = torch.cat(self.normaliser.normalise(batch["motion"]).split(window, 1))
        half = len(clean) // 2
        recorded = clean[:half, window - history :]
        features, past_features, clean = self._hear(batch, clean, history)
        noise = torch.cat(batch["noise"].split(window, 1))
        step = self.schedule.step_of(batch["step_u"].T.reshape(-1))
        dropped = (batch["drop_u"].T.reshape(-1) < self.guidance_dropout)[:, None, None]

        start, start_audio = self.denoiser.start(half, history)
        # A sampled history is never as good as a recorded one. What is added here comes from the first windows' draws,
        # which second windows do not use otherwise: a step, and one frame of noise held over the history.
        strength = self.history_noise * batch["step_u"][:, :1, None]
        disturbed = recorded + strength * noise[:half, :1]
        past = torch.cat([start.to(clean.dtype), disturbed])
        past_audio = torch.cat([start_audio.to(features.dtype), past_features])
        audio = torch.where(dropped, self.denoiser.null_audio.to(features.dtype), features)

        signal, deviation = self.schedule.signal_noise(step)
        noisy = signal * clean + deviation * noise
        condition = self.denoiser.condition(audio, past_audio, torch.cat(batch["valid"].split(window, 1)))
        out = self.denoiser(noisy, step, condition, past).float()
        prediction = out[:, -window:]
        return WindowPrediction(
            prediction=prediction,
            target=self.target.of(clean, noise, signal, deviation),
            clean_prediction=self.target.clean(prediction, noisy, signal, deviation),
            clean=clean,
            history=torch.cat([start.detach().to(clean.dtype), recorded]),
            has_history=(torch.arange(2 * half, device=clean.device) >= half).float(),
            from_voice=self.denoiser.from_voice(features),
            history_prediction=out[:, :-window] if out.shape[1] > window else None,
            predicts_motion=isinstance(self.target, SampleTarget),
            spoken=self._spoken(batch),
        )

    def _spoken(self, batch: dict) -> Spoken | None:
        """None where features stand for the audio, or each window's voice was cut by itself."""
        if "audio" not in batch or "end" in batch:
            return None
        return Spoken(batch["audio"], self.normaliser.denormalise)

    def _hear(self, batch: dict, clean: Tensor, history: int) -> tuple[Tensor, Tensor, Tensor]:
        """The voice of all windows (2B, N, D), of the second ones' history (B, H, D), and the motion, cut where told.

        The history is always that of the whole recording.
        """
        half, window = len(clean) // 2, clean.shape[1]
        if "features" in batch or not self.encoder.per_window:
            if "end" in batch:
                raise ValueError("data.truncate_p of each window needs encoder.per_window=true and no cached features")
            whole = cached(batch, 2 * window) if "features" in batch else self.encoder(batch["audio"])
            features = torch.cat(self.denoiser.embed(whole).split(window, 1))
            past = features[:half, window - history :]
            return features, past.detach() if self.encoder.per_window else past, clean
        if any(self.encoder.context):
            raise ValueError(
                f"encoder context {self.encoder.context}: an example holds no audio beside its windows; train on "
                "cached features: python -m preprocess source=shards, then data.features=auto"
            )
        whole = torch.cat(batch["audio"].split(window * SAMPLES_PER_FRAME, 1))
        audio = whole
        if "end" in batch:
            audio, clean = truncate(whole, clean, batch["end"].T.reshape(-1), self.truncation_pad)
        features = self.denoiser.embed(self.encoder(audio))
        # Without gradient, as published
        past = features[:half, window - history :].detach()
        if "end" in batch:
            cut = batch["end"][:, 0] < window
            if cut.any():
                with torch.no_grad():
                    past = past.clone()
                    past[cut] = self.denoiser.embed(self.encoder(whole[:half][cut]))[:, window - history :].to(past)
        return features, past, clean

    def guided(
        self, audio: Tensor, past: Tensor, past_audio: Tensor, guidance: Guidance, valid: Tensor | None = None
    ) -> Denoise:
        """The function a sampler calls: clean motion from noisy, guided, both branches in one batch.

        audio (B, N, D) and past_audio (B, H, D) are embedded, past (B, H, C) normalised, valid (B, N).
        """
        branches = 1 if guidance.scale == 1.0 else 2
        if branches == 2:
            audio = torch.cat([self.denoiser.null_audio.expand_as(audio).to(audio.dtype), audio])
            past, past_audio = past.repeat(2, 1, 1), past_audio.repeat(2, 1, 1)
            valid = None if valid is None else valid.repeat(2, 1)
        condition = self.denoiser.condition(audio, past_audio, valid)

        def denoise(noisy_BTC: Tensor, step: int) -> Tensor:
            steps = torch.full((len(audio),), step, device=noisy_BTC.device)
            out = self.denoiser(noisy_BTC.repeat(branches, 1, 1), steps, condition, past)
            out = guidance.bound(out[:, -noisy_BTC.shape[1] :].float())
            if branches == 2:
                without, with_voice = out.chunk(2)
                out = without + guidance.scale * (with_voice - without)
            signal, deviation = self.schedule.signal_noise(steps[:1])
            return self.target.clean(out, noisy_BTC, signal, deviation)

        return denoise

    @torch.no_grad()
    def generate(
        self,
        audios: Sequence[np.ndarray | Voice],
        *,
        sampler: Sampler,
        guidance: Guidance,
        windowing: Windowing,
        temperature: Temperature,
        smoothing: Smoothing,
        seeds: Sequence[int],
        on_window: Callable[[int, int], None] | None = None,
        keep_lead: bool = False,
    ) -> list[np.ndarray]:
        """Motion (T, 70) float32, un-normalised, for each voice (640 T,); frame k is samples [640 k, 640 (k + 1)).

        Each voice is encoded by itself and sampled from its own seed; window number w of all voices is sampled as one
        batch. Behind a voice's end is silence where windows are encoded by themselves, else its last feature is held;
        frames there are dropped. `on_window(done, total)` reports progress. `keep_lead`: the frames of the lead too. A
        Voice brings the features of its whole recording; then nothing is encoded.
        """
        if not audios or min(map(len, audios)) < SAMPLES_PER_FRAME:
            empty = [number for number, audio in enumerate(audios) if len(audio) < SAMPLES_PER_FRAME]
            raise ValueError(f"nothing to generate: {len(audios)} voices, empty ones: {empty}")
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        tracks = [self._track(audio, windowing, rng) for audio, rng in zip(audios, generators, strict=True)]
        gain = temperature.gain(self.denoiser.channels, self.normaliser.offset)
        total = max(len(track.starts) for track in tracks)
        for index in range(total):
            active = [track for track in tracks if index < len(track.starts)]
            audio = self._window_voices(active, index)
            if index:
                past, past_audio = map(torch.stack, zip(*(track.past() for track in active), strict=True))
            else:
                past, past_audio = self.denoiser.start(len(active), windowing.history)
            if index == 0 or windowing.noise == "fresh":
                for track in active:
                    track.noise = gain * track.draw(gain)

            def draw(active=active) -> Tensor:
                return torch.stack([gain * track.draw(gain) for track in active])

            noise = torch.stack([track.noise for track in active])
            valid = torch.stack([track.valid(index) for track in active])
            denoise = self.guided(audio, past, past_audio, guidance, valid)
            for track, voice, motion in zip(active, audio, sampler(denoise, noise, self.schedule, draw), strict=True):
                track.append(voice, motion)
            if on_window:
                on_window(index + 1, total)
        whole = [self.normaliser.denormalise(track.motion[: track.frames, :CHANNELS]).cpu().numpy() for track in tracks]
        return [smoothing(motion)[0 if keep_lead else windowing.lead :] for motion in whole]

    def _track(self, voice: np.ndarray | Voice, windowing: Windowing, rng: torch.Generator) -> Track:
        device, hear, context = self.normaliser.offset.device, None, (0, 0)
        audio = voice.audio if isinstance(voice, Voice) else voice
        if isinstance(voice, Voice):
            if self.encoder.per_window or windowing.lead:
                raise ValueError("features of a whole recording need encoder.per_window=false and generation.lead=0")
            features = torch.from_numpy(voice.features)[None].to(device)

            def hear(_) -> Tensor:
                return self.denoiser.embed(features)
        elif self.encoder.per_window:
            context = self.encoder.context
        else:

            def hear(samples_BS: Tensor) -> Tensor:
                return self.denoiser.embed(self.encoder(samples_BS))

        return Track(torch.from_numpy(audio).to(device), windowing, self.denoiser.channels, rng, hear, context)

    def _window_voices(self, tracks: list[Track], index: int) -> Tensor:
        """The embedded voice of each track's window of this number, (B, N, D)."""
        if self.encoder.per_window:
            return self.denoiser.embed(self.encoder(torch.stack([track.wave(index) for track in tracks])))
        return torch.stack([track.features(index) for track in tracks])


def cached(batch: dict, frames: int) -> Tensor:
    """Stored features of a batch -> (B, frames, W) float32: scaled where integers, brought to one a frame."""
    features = batch["features"].float()
    if "feature_scale" in batch:
        features = features * batch["feature_scale"][..., None]
    return features if features.shape[1] == frames else one_a_frame(features)
