"""Sampling a window: guidance, thresholding and the ancestral sampler, with every random number given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from joyvasa.models.generation import Guidance
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.samplers import Ancestral

from .case import Case
from .networks import build_decoder, build_generator
from .registry import Outputs, covers

UNGUIDED = 1.0


class FromGiven:
    """The ancestral sampler from a given first noise, with given noise terms (zero where there are none).

    `states[t]` is what the denoiser was given at step t.
    """

    def __init__(self, start_BTC: Tensor, flexibility: float, terms: dict[int, Tensor] | None = None):
        self.start, self.flexibility, self.terms = start_BTC, flexibility, terms or {}
        self.states: dict[int, Tensor] = {}

    def __call__(self, denoise, noise_BTC, schedule, draw) -> Tensor:
        # Walked downwards; there is none at the last step.
        drawn = iter(range(schedule.num_steps, 1, -1))

        def term() -> Tensor:
            return self.terms.get(next(drawn), torch.zeros_like(self.start))

        def watched(noisy_BTC: Tensor, step: int) -> Tensor:
            self.states[step] = noisy_BTC
            return denoise(noisy_BTC, step)

        return Ancestral(steps=schedule.num_steps, flexibility=self.flexibility)(watched, self.start, schedule, term)


@dataclass(frozen=True)
class Setting:
    """How one output was sampled."""

    model: dict[str, Any]
    guidance: Guidance
    given_past: bool
    flexibility: float
    state: int | None  # the diffusion step whose state is the output; None: the sampled motion


def model_of(case: Case, key: str) -> dict[str, Any]:
    """`config.model_X` whose X the output's name begins with, the longest; else `config.model`."""
    named = [name for name in case.config if name.startswith("model_") and key.startswith(name.removeprefix("model_"))]
    return case.config[max(named, key=len) if named else "model"]


def guidance_scale(case: Case, text: str, default: float | None = None) -> float:
    """What `text` says of the guidance ("cfg 2.0", "cfg_cond empty"), else `config.cfg_scale`, else the default."""
    if "cfg_cond empty" in text:
        return UNGUIDED
    said = re.search(r"cfg (\d+(?:\.\d+)?)", text)
    return float(said[1]) if said else case.stated("cfg_scale", default)


def setting_of(case: Case, key: str) -> Setting:
    """From what `config.variants` says of an output; "the same run" is that of the variant before it."""
    variants, state = case.config.get("variants", {}), None
    moment = re.fullmatch(r"(.+)_(\d+)", key)
    if key not in variants and moment and moment[1] in variants:
        key, state = moment[1], int(moment[2])
    text = variants.get(key, "")
    if text.startswith("the same run"):
        names = list(variants)
        text = variants[names[names.index(key) - 1]]
    threshold = re.search(r"dynamic_threshold \(([^)]*)\)", text)
    flexibility = re.fullmatch(r"flex(\d+(?:\.\d+)?)", key)
    return Setting(
        model=model_of(case, key),
        guidance=Guidance(
            scale=guidance_scale(case, text),
            threshold=tuple(float(part) for part in threshold[1].split(",")) if threshold else None,
        ),
        given_past="given previous" in text,
        flexibility=float(flexibility[1]) if flexibility else case.stated("flexibility", default=0),
        state=state,
    )


def sample(
    generator: MotionGenerator, audio_BTD: Tensor, sampler: FromGiven, guidance: Guidance, past: tuple | None = None
) -> Tensor:
    """A window (B, T, C), normalised, from the start tokens where no `past` (motion, voice) is given."""
    start = past or generator.denoiser.start(len(audio_BTD), generator.denoiser.start_motion_feat.shape[1])
    denoise = generator.guided(audio_BTD, *start, guidance)
    return sampler(denoise, sampler.start, generator.schedule, None)


@covers("ddpm*")
@torch.no_grad()
def ancestral(case: Case) -> Outputs:
    terms = {int(name[1:]): case.tensor(name) for name in case.inputs if re.fullmatch(r"z\d+", name)}
    past = (case.tensor("prev_motion"), case.tensor("prev_audio")) if "prev_motion" in case.inputs else None
    generators: dict[str, MotionGenerator] = {}
    found: Outputs = {}
    runs: dict[tuple, tuple[Tensor, dict[int, Tensor]]] = {}
    for key in case.outputs:
        setting = setting_of(case, key)
        name = repr(sorted(setting.model.items()))
        if name not in generators:
            decoder = build_decoder(case, setting.model)
            generators[name] = build_generator(decoder, setting.model)
        run = (name, setting.guidance, setting.given_past, setting.flexibility)
        if run not in runs:
            sampler = FromGiven(case.tensor("motion_at_T"), setting.flexibility, terms)
            audio = generators[name].denoiser.embed(case.tensor("audio_feat"))
            motion = sample(generators[name], audio, sampler, setting.guidance, past if setting.given_past else None)
            runs[run] = (motion, sampler.states)
        motion, states = runs[run]
        found[key] = motion if setting.state is None else states[setting.state]
    return found
