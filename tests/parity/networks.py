"""Our networks as a case wants them: built from its configuration, filled by the rule.

B batch, T frames, N window frames, H history frames, C channels, D width of the embedded voice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from joyvasa.data.official_template import CHANNELS_OF
from joyvasa.models.decoder import Decoder
from joyvasa.models.diffusion import NoiseSchedule, NoiseTarget, SampleTarget
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.speech import SpeechEncoder
from joyvasa.motion import AffineNormaliser, MotionStats, official_normaliser

from . import rule
from .case import Case

# What the official constructors take when nothing is said (the fixtures' README, section 6).
PUBLISHED_SIZES = {"n_layers": 8, "n_heads": 8, "mlp_ratio": 4, "align_mask_width": 1, "use_indicator": False}
TARGETS = {"sample": SampleTarget, "noise": NoiseTarget}
# Official names of the parts of a motion, in its order.
PARTS = dict(sorted(CHANNELS_OF.items(), key=lambda part: part[1].start))
STATISTICS = ("mean", "std", "min", "max")


def window_sizes(case: Case, model: dict[str, Any]) -> dict[str, Any]:
    """Official constructor arguments: those of `model`, else those the shapes of the inputs imply, else published."""
    implied = {}
    for name, axes in {
        "motion": {"motion_feat_dim": 2},
        "motion_at_T": {"motion_feat_dim": 2},
        "audio_feat": {"feature_dim": 2},
        "prev_motion": {"n_prev_motions": 1},
    }.items():
        if name in case.meta["inputs"]:
            implied.update({size: case.meta["inputs"][name]["shape"][axis] for size, axis in axes.items()})
    return {**PUBLISHED_SIZES, **implied, **model}


def build_decoder(case: Case, model: dict[str, Any], audio_width: int | None = None) -> Decoder:
    """The published denoiser, filled. `audio_width` None: the voice comes embedded, and embedding changes nothing."""
    sizes = window_sizes(case, model)
    width = sizes["feature_dim"]
    decoder = Decoder(
        channels=sizes["motion_feat_dim"],
        audio_width=audio_width or width,
        width=width,
        depth=sizes["n_layers"],
        heads=sizes["n_heads"],
        mlp_ratio=sizes["mlp_ratio"],
        dropout=0.1,
        history=sizes["n_prev_motions"],
        align_width=sizes["align_mask_width"],
        indicator=bool(sizes["use_indicator"]),
    )
    rule.fill(decoder, scaled=case.config.get("scaled", ()))
    if audio_width is None:
        with torch.no_grad():
            decoder.audio_feature_map.weight.copy_(torch.eye(width))
            decoder.audio_feature_map.bias.zero_()
    return decoder


class GivenFeatures(nn.Module):
    """In the place of a speech encoder: what it is handed are the features."""

    per_window = frozen = False

    def forward(self, features: Tensor) -> Tensor:
        return features


def no_change(channels: int) -> AffineNormaliser:
    """A normaliser that leaves motion as it is."""
    endless = torch.full((channels,), torch.inf)
    return AffineNormaliser(torch.zeros(channels), torch.ones(channels), -endless, endless)


def build_generator(
    denoiser: nn.Module,
    model: dict[str, Any],
    *,
    target: str | None = None,
    encoder: nn.Module | None = None,
    normaliser: AffineNormaliser | None = None,
    guidance_dropout: float = 0.0,
) -> MotionGenerator:
    """A motion generator around a filled denoiser, with the schedule and target of the official arguments `model`."""
    return MotionGenerator(
        encoder=encoder or GivenFeatures(),
        denoiser=denoiser,
        schedule=NoiseSchedule(name=model.get("diff_schedule", "cosine"), steps=model["n_diff_steps"]),
        target=TARGETS[target or model.get("target", "sample")](),
        guidance_dropout=guidance_dropout,
        history_noise=0.0,
        truncation_pad="zero",
        normaliser=normaliser or no_change(denoiser.channels),
    ).eval()


def build_speech_encoder(case: Case) -> SpeechEncoder:
    """The tiny audio encoder of a case, or of the case it refers to."""
    import transformers

    config = _encoder_config(case)
    kind = getattr(transformers, config["encoder_class"])
    model = rule.fill(kind(kind.config_class(**config["encoder"])), prefix="audio_encoder.")
    return SpeechEncoder(
        model=model,
        name="hubert" if config["encoder_class"] == "HubertModel" else "wav2vec2",
        layer=None,
        frozen=True,
        per_window=True,
        spec_augment=False,
        weights_sha256=None,
    ).eval()


def _encoder_config(case: Case) -> dict[str, Any]:
    if "encoder" in case.config:
        return case.config
    named = case.said(r"of the case (\w+)")
    other = Case(case.folder, named).config
    if "encoder" not in other:
        raise KeyError(f"config.encoder: neither this case nor {named} has one")
    return other


def motion_of(parts: dict[str, Any], prefix: str = "") -> Tensor:
    """The motion (..., C) whose parts are named `prefix`exp, `prefix`scale …"""
    return torch.cat([torch.as_tensor(parts[f"{prefix}{part}"]) for part in PARTS], -1)


def normaliser_of(case: Case) -> AffineNormaliser:
    """The official normaliser of the statistics among a case's inputs."""
    values = {name: motion_of(case.inputs, f"{name}_") for name in STATISTICS}
    stats = MotionStats(**values, low=values["min"], high=values["max"])
    return official_normaliser(stats, case.stated("eps", default=1e-9))
