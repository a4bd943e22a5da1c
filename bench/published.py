"""The published formulation over our weights, shared by the timings that compare with it: torch's own decoder under the
alignment mask, and a training step as its trainer takes it (train.py and dit_talking_head.py of JoyVASA).

B batch, N window frames, H history frames, C channels, D model width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.models.decoder import Decoder, band
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.losses import CRITERIA
from joyvasa.models.official_loss import published_terms, regions
from joyvasa.models.truncation import truncate
from joyvasa.motion import CHANNELS

TRUNCATION = (0.3, 0.4)
WEIGHTS = {"noise": 1.0, "exp": 0.1, "exp_vel": 1e-4, "exp_smooth": 1e-4}
WEIGHTS |= {"head_angle": 1e-2, "head_vel": 1e-2, "head_smooth": 1e-2, "head_trans": 1e-2}


class PlainDecoder(nn.Module):
    """The denoiser with its cross-attention written out: queries, keys, a softmax over one key, at every call."""

    def __init__(self, decoder: Decoder, window: int, history: int):
        super().__init__()
        self.net = decoder.denoising_net
        layers, width = self.net.transformer.layers, self.net.feature_proj.out_features
        hidden = layers[0].linear1.out_features
        own = nn.TransformerDecoderLayer(width, layers[0].heads, hidden, layers[0].rate, "gelu", batch_first=True)
        self.transformer = nn.TransformerDecoder(own, len(layers))
        self.transformer.load_state_dict({f"layers.{name}": value for name, value in layers.state_dict().items()})
        self.mask = band(history + window, 1)

    def forward(self, noisy: Tensor, step: Tensor, audio: Tensor, past: Tensor, past_audio: Tensor) -> Tensor:
        """(B, H + N, C)"""
        tokens = self.net.feature_proj(torch.cat([past, noisy], 1))
        tokens = nn.functional.dropout(tokens + self.net.positions[: tokens.shape[1]], self.net.rate, self.training)
        tokens = tokens + self.net.diff_step_map(self.net.steps[step])[:, None]
        heard = torch.cat([past_audio, audio], 1)
        return self.net.motion_dec(self.transformer(tokens, heard, memory_mask=self.mask.to(tokens.device)))


class PublishedStep:
    """Forward and loss of one iteration: the windows one after the other, each encoded when it is needed, so twice an
    iteration, and a third time where the first window was cut."""

    def __init__(self, generator: MotionGenerator, window: int, history: int, seed: int):
        self.generator, self.window, self.history = generator, window, history
        self.plain = PlainDecoder(generator.denoiser, window, history).train()
        self.rng = np.random.default_rng(seed)
        self.encoded = 0  # windows' worth of encoder calls

    def hear(self, audio_BS: Tensor) -> Tensor:
        self.encoded += 1
        return self.generator.denoiser.embed(self.generator.encoder(audio_BS))

    def __call__(self, audio: Tensor, motion: Tensor) -> Tensor:
        """Normalised motion (B, 2N, C), audio (B, 2N 640) -> the total loss."""
        denoiser, schedule, total = self.generator.denoiser, self.generator.schedule, 0.0
        past = past_audio = None
        exp, head = regions(CHANNELS)
        pairs = zip(audio.chunk(2, 1), motion.chunk(2, 1), TRUNCATION, strict=True)
        for number, (voice, clean, chance) in enumerate(pairs):
            batch, whole, whole_motion = len(clean), voice, clean
            end = torch.full((batch,), self.window, device=clean.device)
            if cut := self.rng.random() < chance:
                end = torch.randint(1, self.window, (batch,), device=clean.device)
                voice, clean = truncate(voice, clean, end, "zero")
            heard = features = self.hear(voice)
            dropped = torch.rand(batch, 1, 1, device=clean.device) < 0.1
            features = torch.where(dropped, denoiser.null_audio, features)
            if number == 0:
                past, past_audio = denoiser.start(batch, self.history)
            step = torch.randint(1, schedule.num_steps + 1, (batch,), device=clean.device)
            noisy = schedule.add_noise(clean, torch.randn_like(clean), step)
            out = self.plain(noisy, step, features, past, past_audio)
            valid = torch.arange(self.window, device=clean.device) < end[:, None]
            how = {"criterion": CRITERIA["l2"], "constrain_history": True, "exp": exp, "head": head}
            terms = published_terms(out, clean, past, first=number == 0, valid_BN=valid, **how)
            total = total + sum(WEIGHTS[name] * value for name, value in terms.items()) / 2
            if number == 0:
                if cut:
                    with torch.no_grad():
                        heard = self.hear(whole)
                past, past_audio = whole_motion[:, -self.history :], heard[:, -self.history :].detach()
        return total
