"""Motion without a network: statistics, normalisation, rotation and keypoints, filters, and what is done to windows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.data.official_template import template_of
from joyvasa.data.windows import WINDOWS, fill
from joyvasa.models.smoothing import ExponentialAverage, NoSmoothing, RunningMean, RunningMedian
from joyvasa.motion import (
    EXP,
    HEAD,
    KEYPOINTS,
    SAMPLES_PER_FRAME,
    bins_to_degrees,
    euler_to_matrix,
    transform_keypoints,
)

from .case import Case
from .cases_speech import generate, parts_of
from .networks import build_generator, motion_of, normaliser_of
from .registry import Outputs, covers

ANGLES = ("pitch", "yaw", "roll")


@covers("keypoints*")
def keypoints(case: Case) -> Outputs:
    """From degrees and, `…_from_bins_flat`, from 66 bins with keypoints and expression flat."""
    inputs = {name: case.tensor(name) for name in case.inputs}
    degrees = {angle: bins_to_degrees(inputs[f"{angle}_bins"]) for angle in ANGLES}
    flat = {name: value.flatten(1) for name, value in inputs.items()}
    binned = {**flat, **{angle: value[:, None] for angle, value in degrees.items()}}
    canonical = flat["kp"].unflatten(-1, (KEYPOINTS, 3))
    return {
        **{f"{angle}_deg": value for angle, value in degrees.items()},
        "rotation": euler_to_matrix(*(inputs[angle][:, 0] for angle in ANGLES)),
        "keypoints": transform_keypoints(inputs["kp"], motion_of(flat)),
        "keypoints_from_bins_flat": transform_keypoints(canonical, motion_of(binned)),
    }


@covers("template*")
def template(case: Case) -> Outputs:
    """Clips are the inputs of one prefix, in the order given; eyes and lip are those of the last."""
    prefixes = list(dict.fromkeys(name.removesuffix("exp") for name in case.inputs if name.endswith("_exp")))
    ratios = [case.inputs[name] for part in ("eyes", "lip") if (name := f"{prefixes[-1]}{part}") in case.inputs]
    return template_of([motion_of(case.inputs, prefix).numpy() for prefix in prefixes], ratios or None)


@covers("normalise*")
def training_items(case: Case) -> Outputs:
    """A clip normalised the official way, cut into a pair of windows at its beginning or end; a short one repeated."""
    window, normaliser = case.config["n_motions"], normaliser_of(case)
    items = {match[1]: match[2] for key in case.outputs if (match := re.fullmatch(r"((?:begin|end)_(\w+))_exp0", key))}
    found: Outputs = {}
    for item, clip in items.items():
        motion = motion_of(case.inputs, f"{clip}_").numpy()
        audio = case.inputs[f"wave_{clip}" if f"wave_{clip}" in case.inputs else "wave"][0]
        # The official recipe doubles a clip until it is longer than the pair.
        frames = len(motion)
        while frames < WINDOWS * window + 1:
            frames *= 2
        if frames > len(motion):
            motion = fill(motion, frames, "repeat", silent=False)
            audio = fill(audio, frames * SAMPLES_PER_FRAME, "repeat", silent=True)
        normal = normaliser.normalise(torch.from_numpy(motion))
        start = 0 if item.startswith("begin") else len(motion) - WINDOWS * window
        for number in range(WINDOWS):
            first, last = start + number * window, start + (number + 1) * window
            found[f"{item}_exp{number}"] = normal[first:last, EXP]
            found[f"{item}_pose{number}"] = normal[first:last, HEAD]
            found[f"{item}_audio{number}"] = audio[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
    return found


@covers("smooth*")
def filters(case: Case) -> Outputs:
    """Outputs are named after the filter, `ema_`, `median_` or `mean_`."""
    methods = {
        "ema": lambda: ExponentialAverage(weight=case.stated("alpha")),
        "median": lambda: RunningMedian(frames=int(case.said(r"median \(window (\d+)\)"))),
        "mean": lambda: RunningMean(frames=int(case.said(r"mean \(window (\d+)\)"))),
    }
    motion = motion_of(case.inputs, "motion_").numpy()
    found: Outputs = {}
    for name in {key.split("_")[0] for key in case.outputs} & methods.keys():
        found |= {f"{name}_{part}": value for part, value in parts_of(methods[name]()(motion)).items()}
    return found


class Recorder(nn.Module):
    """In the place of encoder, denoiser and sampler: hands out the given windows and notes what it was called with."""

    per_window, context, frozen, max_steps = True, (0, 0), True, None

    def __init__(self, windows_NTC: Tensor):
        super().__init__()
        self.windows, self.channels = windows_NTC, windows_NTC.shape[2]
        self.null_audio = torch.zeros(1)
        self.heard: list[Tensor] = []
        self.valid: list[Tensor] = []
        self.starts = 0

    def forward(self, audio_BS: Tensor) -> Tensor:
        self.heard.append(audio_BS)
        return audio_BS.new_zeros(len(audio_BS), audio_BS.shape[1] // SAMPLES_PER_FRAME, 1)

    def embed(self, features: Tensor) -> Tensor:
        return features

    def start(self, batch: int, history: int) -> tuple[Tensor, Tensor]:
        self.starts += 1
        return torch.zeros(batch, history, self.channels), torch.zeros(batch, history, 1)

    def condition(self, audio: Tensor, history_audio: Tensor, valid: Tensor | None) -> None:
        self.valid.append(valid)

    def sample(self, denoise, noise, schedule, draw) -> Tensor:
        return self.windows[len(self.heard) - 1][None]


def wave_of(case: Case, name: str, samples: int) -> np.ndarray:
    """The waveform a variant is about: of its length, and of the longest name the variant's begins with."""
    fitting = [
        key
        for key, recipe in case.meta["inputs"].items()
        if key.startswith("wave_") and recipe["shape"] == [samples] and name.startswith(key.removeprefix("wave_"))
    ]
    if not fitting:
        raise KeyError(f"variant {name}: no waveform of {samples} samples among the inputs")
    return case.inputs[max(fitting, key=len)]


def check_calls(name: str, variant: dict[str, Any], seen: Recorder, motion: np.ndarray) -> None:
    """Compare what the metadata says of a variant's calls with what happened. Raises AssertionError."""
    happened = {
        "n_frames": len(motion),
        "calls": len(seen.heard),
        "ones_in_indicator": [int(valid.sum()) for valid in seen.valid],
        "prev_given": [number >= seen.starts for number in range(len(seen.heard))],
        "windows_samples": [heard.shape[1] for heard in seen.heard],
    }
    wrong = {key: (variant[key], value) for key, value in happened.items() if variant.get(key, value) != value}
    if wrong:
        raise AssertionError(f"variant {name} (stated, found): {wrong}")


@covers("gen_motion*")
@torch.no_grad()
def windows_to_motion(case: Case) -> Outputs:
    """`MotionGenerator.generate` with given windows in the place of sampled ones."""
    windows, normaliser = case.tensor("window"), normaliser_of(case)
    found: Outputs = {}
    for name, variant in case.config["variants"].items():
        recorder = Recorder(windows)
        generator = build_generator(recorder, {"n_diff_steps": 1}, encoder=recorder, normaliser=normaliser)
        smoothing = (
            ExponentialAverage(weight=case.stated("weight", default=0.01)) if variant["smooth"] else NoSmoothing()
        )
        motion = generate(
            generator,
            wave_of(case, name, variant["samples"]),
            recorder.sample,
            window=windows.shape[1],
            history=1,
            scale=1.0,
            smoothing=smoothing,
        )
        check_calls(name, variant, recorder, motion)
        outputs = {**parts_of(motion), "audio_first": recorder.heard[0], "audio_last": recorder.heard[-1]}
        found |= {f"{name}_{part}": value for part, value in outputs.items()}
    return found
