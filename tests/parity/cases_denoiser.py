"""The denoising network alone, and the training forward pass around it."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from joyvasa.models.decoder import Decoder, band

from .case import Case
from .networks import build_decoder, build_generator, window_sizes
from .registry import Outputs, covers


def steps_of(case: Case, batch: int) -> Tensor:
    """One diffusion step a row: those of the configuration, else the one the description names."""
    steps = case.config.get("steps") or [int(case.stated("step"))]
    return torch.tensor(steps if len(steps) > 1 else list(steps) * batch)


def denoise(decoder: Decoder, case: Case, *, started: bool = False, valid: Tensor | None = None) -> Tensor:
    """History and window (B, H + T, C) on the inputs of the case; `started`: from the start tokens."""
    motion = case.tensor("motion")
    if started:
        past, past_audio = decoder.start(len(motion), decoder.start_motion_feat.shape[1])
    else:
        past, past_audio = case.tensor("prev_motion"), case.tensor("prev_audio")
    condition = decoder.condition(decoder.embed(case.tensor("audio_feat")), past_audio, valid)
    return decoder(motion, steps_of(case, len(motion)), condition, past)


@covers("dit_*")
@torch.no_grad()
def denoising_network(case: Case) -> Outputs:
    """Outputs named after a variant of the configuration; start_…; alignment_mask_width…; else the plain network."""
    sizes = {**case.config.get("model", {}), **case.config.get("denoising_net", {})}
    plain = build_decoder(case, sizes)
    motion = case.tensor("motion")
    lengths = torch.tensor(case.config.get("indicator_lengths", [motion.shape[1]] * len(motion)))
    valid = (torch.arange(motion.shape[1]) < lengths[:, None]).float()
    found: Outputs = {}
    for key in case.outputs:
        mask = re.fullmatch(r"alignment_mask_width(\d+)", key)
        if mask:
            found[key] = band(case.shape(key)[0], int(mask[1])).to(torch.uint8)
        elif isinstance(case.config.get(key), dict):
            found[key] = denoise(build_decoder(case, {**sizes, **case.config[key]}), case, valid=valid)
        elif key == "max_abs_effect_of_indicator":
            half = valid * (torch.arange(motion.shape[1]) < motion.shape[1] // 2)
            found[key] = (denoise(plain, case, valid=half) - denoise(plain, case)).abs().max()[None]
        elif key in ("target", "prev_target", "start_target"):
            found[key] = denoise(plain, case, started=key.startswith("start_"), valid=valid)
    return found


@covers("dit_train_forward*")
@torch.no_grad()
def training_forward(case: Case) -> Outputs:
    """Both windows of `MotionGenerator.forward`; the given history is made the end of a window before the second."""
    model = case.config["model"]
    history = window_sizes(case, model)["n_prev_motions"]
    decoder = build_decoder(case, model)
    dropout = float(case.said(r"below (\d*\.\d+)"))

    def forward(motion: list[Tensor], audio: list[Tensor], target: str):
        steps = torch.tensor(case.config["steps"], dtype=torch.float32)
        generator = build_generator(decoder, model, target=target, guidance_dropout=dropout)
        middle = (steps - 0.5) / generator.schedule.num_steps
        batch = {
            "motion": torch.cat(motion, 1),
            "audio": torch.cat(audio, 1),
            "noise": case.tensor("eps").repeat(1, 2, 1),
            "step_u": middle[:, None].repeat(1, 2),
            "drop_u": torch.tensor(case.config["cfg_uniform_draw"])[:, None].repeat(1, 2),
            "valid": torch.ones(len(steps), 2 * motion[0].shape[1]),
        }
        return generator(batch, history)

    motion, audio = case.tensor("motion"), case.tensor("audio_feat")
    before, before_audio = torch.zeros_like(motion), torch.zeros_like(audio)
    before[:, -history:], before_audio[:, -history:] = case.tensor("prev_motion"), case.tensor("prev_audio")
    view = forward([before, motion], [before_audio, audio], "sample")
    first = forward([motion, motion], [audio, audio], "sample")
    noise = forward([motion, motion], [audio, audio], "noise").target
    half = len(motion)
    schedule = build_generator(decoder, model).schedule
    return {
        "first_target": torch.cat([first.history_prediction, first.prediction], 1)[:half],
        "second_target": torch.cat([view.history_prediction, view.prediction], 1)[half:],
        "max_abs_eps_returned_minus_eps": (noise[:half] - case.tensor("eps")).abs().max()[None],
        "alpha_bar": schedule.alpha_bars[case.config["steps"]],
    }
