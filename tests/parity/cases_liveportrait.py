"""LivePortrait's networks, in the form in which they run: spectral and batch norms folded, through `LivePortrait`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from joyvasa.models.liveportrait.bundle import LivePortrait
from joyvasa.models.liveportrait.loading import build
from joyvasa.models.liveportrait.sizes import OFFICIAL
from joyvasa.models.liveportrait.state import load_official, official_shapes
from joyvasa.motion import EXP, KEYPOINTS, PITCH, ROLL, SCALE, TRANSLATION, YAW, euler_to_matrix, transform_keypoints

from . import rule
from .case import Case
from .registry import Outputs, covers


def filled(letter: str, scaled: rule.Scaled = ()) -> nn.Module:
    """A network of official sizes with the fixtures' weights, loaded as from its official file."""
    network = build(letter, OFFICIAL)
    shapes = official_shapes(network)
    drawn = {name: rule.weight(name, shapes, name.endswith("num_batches_tracked"), scaled) for name in shapes}
    # As files have them: in float32 before the norms are folded.
    state = {name: torch.from_numpy(np.asarray(value, dtype=np.float32)) for name, value in drawn.items()}
    return load_official(network, state, f"case weights of {letter}", "mend the rule")


def portrait(parts: str, scaled: rule.Scaled = ()) -> LivePortrait:
    networks = {letter: filled(letter, scaled) for letter in parts}
    made = LivePortrait(sizes=OFFICIAL, networks=networks, sha256=None, untrained=False, name="parity")
    return made.to_runtime(device="cpu", dtype=torch.float32, channels_last=False, compile=False, exact=True)


def to_bytes(image_B3HW: Tensor) -> np.ndarray:
    return (image_B3HW.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


@covers("F")
def appearance(case: Case) -> Outputs:
    return {"feature_3d": portrait("F").features(case.tensor("image"))}


@covers("M")
@torch.no_grad()
def motion(case: Case) -> Outputs:
    """Raw heads, the motion vector taken apart, and the keypoints."""
    made, image = portrait("M"), case.tensor("image")
    canonical, motion_BC = made.motion(image)
    angles = {"pitch": PITCH, "yaw": YAW, "roll": ROLL}
    return {
        **{f"raw_{name}": value for name, value in made.part("M")(image).items()},
        **{f"refined_{name}": motion_BC[:, channel, None] for name, channel in angles.items()},
        "refined_t": motion_BC[:, TRANSLATION],
        "refined_exp": motion_BC[:, EXP].unflatten(1, (KEYPOINTS, 3)),
        "refined_scale": motion_BC[:, SCALE],
        "refined_kp": canonical,
        "rotation": euler_to_matrix(*(motion_BC[:, channel] for channel in angles.values())),
        "keypoints": transform_keypoints(canonical, motion_BC),
    }


@covers("M_small")
@torch.no_grad()
def motion_with_small_weights(case: Case) -> Outputs:
    found: Outputs = {}
    for prefix, scaled in case.config["scaled"].items():
        heads = portrait("M", scaled).part("M")(case.tensor("image"))
        found |= {f"{prefix}_{name}": value for name, value in heads.items()}
    return found


def _driving(case: Case) -> tuple[Tensor, Tensor]:
    source = case.tensor("kp_source")
    return source, source + case.tensor("kp_delta")


@covers("W")
def warping(case: Case) -> Outputs:
    warped = portrait("W").warp(case.tensor("feature_3d"), *_driving(case))
    return {
        "occlusion_map": warped.motion.occlusion,
        "deformation": warped.motion.deformation,
        "mask": warped.motion.mask,
        "out": warped.feature,
    }


@covers("G", "G_small")
@torch.no_grad()
def generator(case: Case) -> Outputs:
    return {"image": portrait("G", case.config.get("scaled", ())).part("G")(case.tensor("feature"))}


@covers("WG")
def warping_and_generator(case: Case) -> Outputs:
    made, feature = portrait("WG"), case.tensor("feature_3d")
    image = made.decode(feature, *_driving(case))
    return {
        "image": image,
        "uint8": to_bytes(image),
        "occlusion_map": made.warp(feature, *_driving(case)).motion.occlusion,
    }


@covers("S")
def retargeting(case: Case) -> Outputs:
    made, source, driving = portrait("S").retargeting, case.tensor("kp_source"), case.tensor("kp_driving")
    return {
        "stitch_delta": made.stitch_delta(source, driving),
        "stitched_kp_driving": made.stitch(source, driving),
        "eye_delta": made.eye_delta(source, case.tensor("eye_ratio")),
        "lip_delta": made.lip_delta(source, case.tensor("lip_ratio")),
    }


@covers("chain")
def chain(case: Case) -> Outputs:
    """A source and a driving picture all the way to the decoded picture."""
    made = portrait("FMWGS")
    canonical, source_C = made.motion(case.tensor("source"))
    _, driving_C = made.motion(case.tensor("driving"))
    x_s, x_d = transform_keypoints(canonical, source_C), transform_keypoints(canonical, driving_C)
    x_st, feature = made.retargeting.stitch(x_s, x_d), made.features(case.tensor("source"))
    image, warped = made.decode(feature, x_s, x_st), made.warp(feature, x_s, x_st)
    return {
        "x_s": x_s,
        "x_d": x_d,
        "x_st": x_st,
        "feature_3d": feature,
        "image": image,
        "uint8": to_bytes(image),
        "occlusion_map": warped.motion.occlusion,
        "deformation": warped.motion.deformation,
    }
