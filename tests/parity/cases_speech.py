"""From a waveform to features, to a window, and to a whole motion."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from joyvasa.models.generation import Guidance, Temperature, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.smoothing import NoSmoothing, Smoothing
from joyvasa.models.speech import pad_waveform
from joyvasa.motion import PITCH, ROLL, SAMPLES_PER_FRAME, YAW, euler_to_matrix

from .case import Case
from .cases_sampling import FromGiven, guidance_scale, sample
from .networks import PARTS, build_decoder, build_generator, build_speech_encoder, normaliser_of
from .registry import Outputs, covers

UNSAID_SCALE = 2.0  # of the guidance where a window is sampled from the waveform: found by trying, no text has it
LEAD, TAIL = 2, 1  # frames of silence the official inference puts around the voice (1280 and 640 samples)


def voiced(case: Case, **changes) -> MotionGenerator:
    """The generator of the case with its tiny speech encoder."""
    model, encoder = case.config["model"], build_speech_encoder(case)
    return build_generator(build_decoder(case, model, encoder.width), model, encoder=encoder, **changes)


@covers("audio_*")
@torch.no_grad()
def speech_features(case: Case) -> Outputs:
    """hidden_N, hidden_no_frame_num, audio_feat(_WHICH_N) of wave(_WHICH), and a window sampled from the waveform."""
    generator = voiced(case)
    encoder, embed, wave = generator.encoder, generator.denoiser.embed, case.tensor("wave")
    found: Outputs = {}
    for key in case.outputs:
        hidden, features = re.fullmatch(r"hidden_(\d+)", key), re.fullmatch(r"audio_feat(_\w+)_(\d+)", key)
        if key == "conv_features":
            found[key] = encoder.conv_features(pad_waveform(wave))
        elif hidden:
            found[key] = encoder.hidden(pad_waveform(wave), int(hidden[1]))
        elif key == "hidden_no_frame_num":
            # The reference called its encoder alone here, and the padding is done before it.
            found[key] = encoder.hidden(wave, None)
        elif features:
            found[key] = embed(encoder.features(case.tensor(f"wave{features[1]}"), int(features[2])))
        elif key == "audio_feat":
            found[key] = embed(encoder.features(wave, case.shape(key)[1]))
        elif key == "sample_from_wave":
            noise = case.tensor("motion_at_T")
            voice = embed(encoder.features(wave, noise.shape[1]))
            guidance = Guidance(guidance_scale(case, case.meta["description"], UNSAID_SCALE), None)
            found[key] = sample(generator, voice, FromGiven(noise, 0.0), guidance)
    return found


def parts_of(motion_TC: np.ndarray) -> Outputs:
    """A motion as the official dictionary has it, frames stacked: the parts, and R (T, 9)."""
    parts = {name: motion_TC[:, channels] for name, channels in PARTS.items()}
    angles = (torch.from_numpy(motion_TC[:, channel]) for channel in (PITCH, YAW, ROLL))
    return {**parts, "R": euler_to_matrix(*angles).flatten(1)}


def generate(
    generator: MotionGenerator,
    wave_S: np.ndarray,
    sampler,
    *,
    window: int,
    history: int,
    scale: float,
    smoothing: Smoothing,
) -> np.ndarray:
    """The motion as the official inference gives it, its surplus frames included."""
    (motion,) = generator.generate(
        [np.pad(wave_S, (0, TAIL * SAMPLES_PER_FRAME))],
        sampler=sampler,
        guidance=Guidance(scale, None),
        windowing=Windowing(window=window, history=history, overlap=0, noise="shared", lead=LEAD),
        temperature=Temperature(1.0, 1.0),
        smoothing=smoothing,
        seeds=[0],
        keep_lead=True,
    )
    return motion


@covers("audio_to_motion*")
@torch.no_grad()
def audio_to_motion(case: Case) -> Outputs:
    noise: Tensor = case.tensor("motion_at_T")
    generator = voiced(case, normaliser=normaliser_of(case))
    motion = generate(
        generator,
        case.inputs["wave"],
        FromGiven(noise, 0.0),
        window=noise.shape[1],
        history=generator.denoiser.start_motion_feat.shape[1],
        scale=guidance_scale(case, case.meta["description"]),
        smoothing=NoSmoothing(),
    )
    return parts_of(motion)
