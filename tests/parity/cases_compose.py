"""Motion laid on portraits, and the ratios that go with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from joyvasa.animate.compose import Composer
from joyvasa.animate.compose_settings import ANIMAL, EXPRESSION_FRIENDLY, HUMAN, Amplitude, Composition
from joyvasa.animate.compose_source import Source, motion_multiplier
from joyvasa.faces.ratios import eye_ratio, lip_ratio

from .case import Case
from .cases_liveportrait import portrait
from .networks import motion_of
from .registry import Outputs, covers


def settings_of(flags: dict[str, Any]) -> Composition:
    """Our settings for the official flags; retargeting there has no target of its own."""
    retargeting = {part: 0.0 if flags.get(f"flag_{part}_retargeting") else None for part in ("eye", "lip")}
    return Composition(
        region=flags.get("animation_region", "all"),
        driving=flags.get("driving_option", EXPRESSION_FRIENDLY),
        relative=flags.get("flag_relative_motion", True),
        multiplier=flags.get("driving_multiplier", 1.0),
        normalise_lip=flags.get("flag_normalize_lip", False),
        lip_threshold=flags.get("lip_normalize_threshold", 0.03),
        stitching=flags.get("flag_stitching", False),
        eye_retargeting=retargeting["eye"],
        lip_retargeting=retargeting["lip"],
        official_slips=True,
        amplitude=Amplitude(lips=1.0, eyes=1.0, brows=1.0, head=1.0),
    )


def ratios_of(landmarks_N2: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Eye ratios (1, 2) and lip ratio (1, 1) of a face's 203 landmarks."""
    eye, lip = (torch.tensor(ratio(landmarks_N2), dtype=torch.float32) for ratio in (eye_ratio, lip_ratio))
    return eye.reshape(1, 2), lip.reshape(1, 1)


def compose(case: Case, species: str) -> Outputs:
    canonical, own = case.tensor("src_kp")[0], motion_of(case.inputs, "src_")[0]
    motion = motion_of(case.inputs, "motion_")
    plain = Source(canonical=canonical, motion=own, eye_ratio=None, lip_ratio=None)
    stitcher = portrait("S").retargeting
    found: Outputs = {"x_s": plain.keypoints[None]}
    for name, variant in case.config["variants"].items():
        flags = {**case.config.get("base", {}), **variant}
        source = plain
        if flags.get("use_landmarks"):
            eye, lip = ratios_of(case.inputs["landmarks"])
            source = Source(canonical=canonical, motion=own, eye_ratio=eye[0], lip_ratio=lip[0])
        composer = Composer(
            source,
            motion[0],
            settings=settings_of(flags),
            species=species,
            retargeting=stitcher if flags.get("use_S") or flags.get("flag_stitching") else None,
        )
        # In two chunks, as a renderer asks for them.
        found[name] = torch.cat([composer(motion[:2]), composer(motion[2:])])
    return found


@covers("compose_human*")
@torch.no_grad()
def compose_human(case: Case) -> Outputs:
    return compose(case, HUMAN)


@covers("compose_animal*")
@torch.no_grad()
def compose_animal(case: Case) -> Outputs:
    return compose(case, ANIMAL)


@covers("ratios*")
def ratios(case: Case) -> Outputs:
    eye, lip = ratios_of(case.inputs["landmarks"])
    targets = {part: torch.tensor([[case.config[f"combined_{part}_target"]]]) for part in ("eye", "lip")}
    return {
        "eye": eye,
        "lip": lip,
        "combined_eye": torch.cat([eye, targets["eye"]], 1),
        "combined_lip": torch.cat([lip, targets["lip"]], 1),
        "motion_multiplier": np.array([motion_multiplier(case.tensor("kp_a")[0], case.tensor("kp_b")[0])]),
    }
