"""Tables and formulas of one variable: noise schedules, sinusoids, learning rates, feature resampling, padding."""

from __future__ import annotations

import re
from functools import partial
from unittest.mock import patch

import torch

from joyvasa.lit.schedules import Warmup, WarmupDecay
from joyvasa.models import diffusion
from joyvasa.models.decoder import sinusoids
from joyvasa.models.speech import pad_waveform, resample_features

from .case import Case
from .registry import Outputs, covers

TABLES = ("betas", "alphas", "alpha_bars", "sigmas_flex", "sigmas_inflex")
PUBLISHED_BETAS = {"beta_1": 1e-4, "beta_T": 0.02, "s": 0.008}


def beta_functions(config: dict) -> dict:
    """Ours as they are; with the ends a case states where these are not the published ones."""
    ends = {name: config.get(name, value) for name, value in PUBLISHED_BETAS.items()}
    if ends == PUBLISHED_BETAS:
        return diffusion.BETAS
    limits = {"beta_1": ends["beta_1"], "beta_n": ends["beta_T"]}
    return {
        name: partial(function, offset=ends["s"]) if name == "cosine" else partial(function, **limits)
        for name, function in diffusion.BETAS.items()
    }


@covers("schedules*")
def schedules(case: Case) -> Outputs:
    found: Outputs = {}
    with patch.dict(diffusion.BETAS, beta_functions(case.config)):
        for key in case.outputs:
            table = re.fullmatch(rf"(\w+?)_(\d+)_({'|'.join(TABLES)})", key)
            sinusoid = re.fullmatch(r"sinusoid_(\d+)", key)
            if table and table[1] in diffusion.BETAS:
                found[key] = getattr(diffusion.NoiseSchedule(name=table[1], steps=int(table[2])), table[3])
            elif sinusoid:
                found[key] = sinusoids(case.shape(key)[1], int(sinusoid[1]))[None]
    return found


@covers("lr*")
def learning_rates(case: Case) -> Outputs:
    factor = case.stated("lr") * float(case.said(r"multiplied by ([\d.e]+)", "1"))
    rise = int(case.stated("warm_iter"))

    def decay() -> WarmupDecay:
        end, ratio = int(case.stated("cos_max_iter")), case.stated("min_lr_ratio")
        return WarmupDecay(warmup_steps=rise, decay_until=end, final_ratio=ratio)

    schedules = {"warmup": lambda: Warmup(warmup_steps=rise), "warmup_decay": decay}
    found: Outputs = {}
    for key in case.outputs.keys() & schedules.keys():
        schedule = schedules[key]()
        rates = [factor * schedule(step) for step in range(case.shape(key)[0])]
        found[key] = torch.tensor(rates, dtype=torch.float64)
    return found


@covers("interpolation*")
def interpolation(case: Case) -> Outputs:
    (features,) = (case.tensor(name) for name in case.inputs)
    found: Outputs = {}
    for key in case.outputs:
        rates = re.fullmatch(r"r(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)_(none|\d+)", key)
        if rates:
            frames = None if rates[3] == "none" else int(rates[3])
            found[key] = resample_features(features, float(rates[1]), float(rates[2]), frames)
    return found


@covers("pad_audio*")
def padding(case: Case) -> Outputs:
    """Of each waveform: the first samples, the last ones, and how many there are."""
    found: Outputs = {}
    for name in case.inputs:
        padded, which = pad_waveform(case.tensor(name)), re.search(r"\d+$", name)[0]
        for key in (f"head_{which}", f"tail_{which}"):
            if key in case.outputs:
                count = case.shape(key)[1]
                found[key] = padded[:, :count] if key.startswith("head") else padded[:, -count:]
        found[f"len_{which}"] = torch.tensor(padded.shape[1])
    return found
