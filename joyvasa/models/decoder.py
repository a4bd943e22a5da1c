"""Denoiser `decoder`: the published network (JoyVASA, `DitTalkingHead` and `DenoisingNetwork` in
src/modules/dit_talking_head.py), with its names in the state dict.

A post-norm transformer decoder over [history | window] frames: self-attention over all frames, cross-attention to the
voice under a band mask, the diffusion step and a sinusoidal position added to every token. Under a band of width 1 a
frame attends to its own voice alone: the softmax over one key is 1, so the attention is its value projection, needs
neither queries nor keys and does not depend on the step. It is computed once a window, not once a step.

B batch, T window frames, H history frames, L = H + T tokens, C channels, A audio width, D model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEP_ROWS = 501  # of the official file's table of diffusion steps, whatever the schedule's length
POSITION_ROWS = 600


def sinusoids(rows: int, width: int) -> Tensor:
    """Vanilla sinusoidal table (rows, width): sines in the even columns, cosines in the odd ones."""
    position = torch.arange(rows, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(position * frequency), torch.cos(position * frequency)], -1).flatten(1)


def band(frames: int, width: int) -> Tensor:
    """Alignment mask (frames, frames), True = blocked: the voice `width` or more frames away."""
    at = torch.arange(frames)
    return (at[:, None] - at).abs() >= width


@dataclass(frozen=True)
class Condition:
    """What the voice adds to each layer, and which frames count; the same for every diffusion step of a window.

    voice: per layer what its cross-attention adds (B, L, D) under a band of width 1, else its keys and values
    (2, B, heads, L, D / heads). valid: (B, L, 1) the indicator channel, where the network has one.
    """

    voice: list[Tensor]
    valid: Tensor | None


class Layer(nn.TransformerDecoderLayer):
    """torch's decoder layer (its parameters, names and initial weights) with a diagonal or banded cross-attention."""

    def __init__(self, *, width: int, heads: int, mlp_ratio: float, dropout: float, align_width: int):
        hidden = int(width * mlp_ratio)
        super().__init__(width, heads, hidden, dropout, activation="gelu", batch_first=True)
        self.heads, self.rate, self.align_width = heads, dropout, align_width

    def _split(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) -> (B, heads, L, D / heads)"""
        return x_BLD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _attend(self, block: nn.MultiheadAttention, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
        drop = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=drop)
        return F.linear(mixed.transpose(1, 2).flatten(2), block.out_proj.weight, block.out_proj.bias)

    def listen(self, audio_BLD: Tensor) -> Tensor:
        """What this layer needs of the voice, before any diffusion step; see `Condition`."""
        block = self.multihead_attn
        width = audio_BLD.shape[-1]
        if self.align_width != 1:
            projected = F.linear(audio_BLD, block.in_proj_weight[width:], block.in_proj_bias[width:])
            return torch.stack([self._split(part) for part in projected.chunk(2, -1)])
        value = F.linear(audio_BLD, block.in_proj_weight[2 * width :], block.in_proj_bias[2 * width :])
        if self.training and self.rate > 0:
            # Attention dropout acts on the one weight of each head and frame.
            kept = F.dropout(value.new_ones(*value.shape[:2], self.heads, 1), self.rate)
            value = (value.unflatten(-1, (self.heads, -1)) * kept).flatten(2)
        return F.linear(value, block.out_proj.weight, block.out_proj.bias)

    def cross(self, x_BLD: Tensor, voice: Tensor, allowed: Tensor | None) -> Tensor:
        if self.align_width == 1:
            return voice
        block, width = self.multihead_attn, x_BLD.shape[-1]
        query = F.linear(x_BLD, block.in_proj_weight[:width], block.in_proj_bias[:width])
        return self._attend(block, self._split(query), voice[0], voice[1], allowed)

    def forward(self, x_BLD: Tensor, voice: Tensor, allowed: Tensor | None) -> Tensor:
        block = self.self_attn
        q, k, v = map(self._split, F.linear(x_BLD, block.in_proj_weight, block.in_proj_bias).chunk(3, -1))
        x_BLD = self.norm1(x_BLD + self.dropout1(self._attend(block, q, k, v, None)))
        x_BLD = self.norm2(x_BLD + self.dropout2(self.cross(x_BLD, voice, allowed)))
        hidden = self.dropout(F.gelu(self.linear1(x_BLD)))
        return self.norm3(x_BLD + self.dropout3(self.linear2(hidden)))


class DenoisingNetwork(nn.Module):
    """The network between noisy and predicted motion; see the file's head."""

    def __init__(
        self,
        *,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        dropout: float,
        align_width: int,
        indicator: bool,
    ):
        super().__init__()
        self.align_width, self.indicator, self.rate = align_width, indicator, dropout
        self.register_buffer("steps", sinusoids(STEP_ROWS, width), persistent=False)
        self.register_buffer("positions", sinusoids(POSITION_ROWS, width), persistent=False)
        self.diff_step_map = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.feature_proj = nn.Linear(channels + int(indicator), width)
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(
            Layer(width=width, heads=heads, mlp_ratio=mlp_ratio, dropout=dropout, align_width=align_width)
            for _ in range(depth)
        )
        self.motion_dec = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, channels))

    def condition(self, audio_BLD: Tensor, history: int, valid_BT: Tensor | None) -> Condition:
        if self.indicator:
            if valid_BT is None:
                valid_BT = audio_BLD.new_ones(len(audio_BLD), audio_BLD.shape[1] - history)
            # The history counts as padding: so the published network was defined.
            valid_BT = F.pad(valid_BT.to(audio_BLD.dtype), (history, 0))[..., None]
        voice = [layer.listen(audio_BLD) for layer in self.transformer.layers]
        return Condition(voice, valid_BT if self.indicator else None)

    def forward(self, motion_BLC: Tensor, step_B: Tensor, condition: Condition) -> Tensor:
        if condition.valid is not None:
            motion_BLC = torch.cat([motion_BLC, condition.valid], -1)
        frames = motion_BLC.shape[1]
        tokens = self.feature_proj(motion_BLC) + self.positions[:frames]
        tokens = F.dropout(tokens, self.rate, self.training) + self.diff_step_map(self.steps[step_B])[:, None]
        allowed = None if self.align_width <= 1 else ~band(frames, self.align_width).to(tokens.device)
        for layer, voice in zip(self.transformer.layers, condition.voice, strict=True):
            tokens = layer(tokens, voice, allowed)
        return self.motion_dec(tokens)


class Decoder(nn.Module):
    """prediction (B, H + T, C) = decoder(noisy, step, condition, history): the last T frames are the window.

    `history` start tokens stand for what is before a first window; a call may use fewer. `align_width`: frames to
    either side (less one) whose voice a frame attends to; 0 attends to all. `indicator`: whether the network is told
    which frames count. Window and history together may have up to 600 frames, the schedule up to 500 steps.
    """

    def __init__(
        self,
        *,
        channels: int,
        audio_width: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        dropout: float,
        history: int,
        align_width: int,
        indicator: bool,
    ):
        super().__init__()
        self.channels, self.max_steps, self.reads_voice, self.tells_history = channels, STEP_ROWS - 1, False, True
        self.audio_feature_map = nn.Linear(audio_width, width)
        self.start_audio_feat = nn.Parameter(torch.randn(1, history, width))
        self.start_motion_feat = nn.Parameter(torch.randn(1, history, channels))
        self.null_audio_feat = nn.Parameter(torch.randn(1, 1, width))
        self.denoising_net = DenoisingNetwork(
            channels=channels,
            width=width,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            align_width=align_width,
            indicator=indicator,
        )

    @property
    def null_audio(self) -> Tensor:
        """What is heard instead of the voice in the unconditional branch, (D,)."""
        return self.null_audio_feat[0, 0]

    def embed(self, features_BTA: Tensor) -> Tensor:
        """Speech features -> the voice as this network takes it, (B, T, D)."""
        return self.audio_feature_map(features_BTA)

    def start(self, batch: int, history: int) -> tuple[Tensor, Tensor]:
        """Learned stand-ins for the history of a first window: motion (B, H, C), voice (B, H, D)."""
        longest = self.start_motion_feat.shape[1]
        if history > longest:
            raise ValueError(
                f"a history of {history} frames, but denoiser.history={longest} start tokens; lower data.history and "
                "generation.history, or train with more"
            )
        tokens = (
            feat[:, longest - history :].expand(batch, -1, -1)
            for feat in (self.start_motion_feat, self.start_audio_feat)
        )
        return tuple(tokens)

    def from_voice(self, audio_BTD: Tensor) -> None:
        """This network reads no motion from the voice alone."""
        return None

    def condition(self, audio_BTD: Tensor, history_audio_BHD: Tensor, valid_BT: Tensor | None) -> Condition:
        """What every diffusion step of this window needs of the voice; in training its dropout is drawn here."""
        history, frames = history_audio_BHD.shape[1], history_audio_BHD.shape[1] + audio_BTD.shape[1]
        if frames > POSITION_ROWS:
            raise ValueError(f"window and history of {frames} frames (expected at most {POSITION_ROWS}, the positions)")
        return self.denoising_net.condition(torch.cat([history_audio_BHD, audio_BTD], 1), history, valid_BT)

    def forward(self, noisy_BTC: Tensor, step_B: Tensor, condition: Condition, history_BHC: Tensor) -> Tensor:
        return self.denoising_net(torch.cat([history_BHC, noisy_BTC], 1), step_B, condition)
