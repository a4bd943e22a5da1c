"""Denoiser `dit`: a diffusion transformer over [history | window] frames.

adaLN-zero from the diffusion step (Peebles & Xie 2023, arXiv 2212.09748), rotary positions counted from the window's
first frame (arXiv 2104.09864), scaled-dot-product attention, the voice added frame by frame. Window and history length
are those of the arguments. Two shortcuts lead to the output, each channel weighted by the diffusion step: the noisy
motion (nearly the answer at small steps) and a linear map of the voice (nearly the answer at large ones), so that the
transformer has only the rest to learn.

B batch, T window frames, H history frames, L = H + T tokens, C channels, A audio width, D model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def step_embedding(step_B: Tensor, width: int) -> Tensor:
    """Sinusoids of the step, (B, width)."""
    frequency = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=step_B.device) / (width // 2))
    angle = step_B[:, None].float() * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


def rotary(history: int, window: int, width: int, device) -> tuple[Tensor, Tensor]:
    """cos, sin (L, width / 2) of positions -H … T - 1."""
    position = torch.arange(-history, window, device=device, dtype=torch.float32)
    frequency = 10_000 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = position[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head's channels by the positions' angles, (..., L, width) -> same."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


class Block(nn.Module):
    """Attention and feed-forward, each scaled, shifted and gated by the diffusion step."""

    def __init__(self, *, width: int, heads: int, mlp_ratio: float, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.norm_mlp = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def attend(self, x_BLD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = self.qkv(x_BLD).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, dropout_p=drop)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x_BLD: Tensor, condition_BD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(condition_BD)[:, None].chunk(6, -1)
        x_BLD = x_BLD + gate_a * self.attend(self.norm_attention(x_BLD) * (1 + scale_a) + shift_a, cos, sin)
        return x_BLD + gate_m * self.mlp(self.norm_mlp(x_BLD) * (1 + scale_m) + shift_m)


@dataclass(frozen=True)
class Condition:
    """What the voice adds: to each token (B, L, D), and to the output by the shortcut (B, T, C)."""

    tokens: Tensor
    reading: Tensor


class DiT(nn.Module):
    """prediction (B, T, C) = dit(noisy, step, condition, history)."""

    def __init__(
        self,
        *,
        channels: int,
        audio_width: int,
        width: int,
        depth: int,
        heads: int,
        kernel: int,
        mlp_ratio: float,
        dropout: float,
    ):
        super().__init__()
        self.channels, self.width, self.heads = channels, width, heads
        self.max_steps: int | None = None
        self.reads_voice, self.tells_history = True, False
        # A few frames at once: the window's first frames see the last of the history without having to attend to them
        self.motion_in = nn.Conv1d(channels, width, kernel, padding=kernel // 2)
        self.audio_in = nn.Linear(audio_width, width)
        self.voice_out = nn.Linear(audio_width, channels)
        self.shortcuts = nn.Linear(width, 2 * channels)
        self.kind = nn.Parameter(torch.randn(2, width) * 0.02)  # history frames are clean, window frames noisy
        self.start_motion = nn.Parameter(torch.randn(channels) * 0.02)
        self.start_audio = nn.Parameter(torch.randn(audio_width) * 0.02)
        self.null_audio = nn.Parameter(torch.randn(audio_width) * 0.02)
        self.step_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(
            Block(width=width, heads=heads, mlp_ratio=mlp_ratio, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(width, 2 * width)
        self.motion_out = nn.Linear(width, channels)
        for layer in (self.modulation, self.motion_out, self.shortcuts):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.shortcuts.bias[channels:])

    def start(self, batch: int, history: int) -> tuple[Tensor, Tensor]:
        """Learned stand-ins for the history of a first window: motion (B, H, C), audio (B, H, A)."""
        return self.start_motion.expand(batch, history, -1), self.start_audio.expand(batch, history, -1)

    def from_voice(self, audio_BTA: Tensor) -> Tensor:
        """Normalised motion (B, T, C) read from the voice by a linear map: the shortcut, and the loss term `voice`."""
        return self.voice_out(audio_BTA)

    def embed(self, features_BTA: Tensor) -> Tensor:
        """The voice as this network takes it: the features themselves."""
        return features_BTA

    def condition(self, audio_BTA: Tensor, history_audio_BHA: Tensor, valid_BT: Tensor | None) -> Condition:
        """What every diffusion step of this window needs of the voice; which frames count is not looked at."""
        return Condition(self.audio_in(torch.cat([history_audio_BHA, audio_BTA], 1)), self.from_voice(audio_BTA))

    def forward(self, noisy_BTC: Tensor, step_B: Tensor, condition: Condition, history_BHC: Tensor) -> Tensor:
        history, window = history_BHC.shape[1], noisy_BTC.shape[1]
        tokens = self.motion_in(torch.cat([history_BHC, noisy_BTC], 1).transpose(1, 2)).transpose(1, 2)
        tokens = tokens + condition.tokens
        tokens = tokens + torch.cat([self.kind[:1].expand(history, -1), self.kind[1:].expand(window, -1)])
        modulated = self.step_in(step_embedding(step_B, self.width))
        cos, sin = rotary(history, window, self.width // self.heads, noisy_BTC.device)
        for block in self.blocks:
            tokens = block(tokens, modulated, cos, sin)
        shift, scale = self.modulation(modulated)[:, None].chunk(2, -1)
        out = self.motion_out(self.norm(tokens[:, history:]) * (1 + scale) + shift)
        keep, follow = self.shortcuts(modulated)[:, None].chunk(2, -1)
        return out + keep * noisy_BTC + follow * condition.reading
