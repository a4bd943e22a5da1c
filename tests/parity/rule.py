"""Fixed numbers for parity: a name and a shape determine an array, so that neither inputs nor weights need be stored.

The seed is the CRC-32 of the name, the generator PCG64, the distribution standard normal; everything is computed in
float64 and rounded to float32 last.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Scaled = Sequence[tuple[str, float]]  # (ending of a name, factor of the numbers drawn for it)


def draw(name: str, shape: list[int] | tuple[int, ...]) -> np.ndarray:
    """The standard normal numbers (float64) that belong to this name and shape."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(shape))


def realise(recipe: dict[str, Any]) -> np.ndarray:
    """The float32 input a recipe describes: add + mul * draw, then clipped, rounded and enlarged where it says so."""
    unknown = set(recipe) - {"name", "shape", "mul", "add", "clip", "round", "repeat"}
    if unknown:
        raise ValueError(f"input {recipe['name']}: unknown steps {sorted(unknown)} in its recipe")
    value = recipe["add"] + recipe["mul"] * draw(recipe["name"], recipe["shape"])
    if recipe.get("clip"):
        value = np.clip(value, *recipe["clip"])
    if recipe.get("round"):
        value = np.rint(value)
    if recipe.get("repeat"):
        value = value.repeat(recipe["repeat"], axis=-2).repeat(recipe["repeat"], axis=-1)
    return value.astype(np.float32)


KEPT_ENDINGS = (".TE.pe", ".PE.pe", "alignment_mask")
TOKENS = ("start_audio_feat", "start_motion_feat", "null_audio_feat", "masked_spec_embed")
SCALES = {  # of layers that would otherwise saturate
    "detector.fc_kp.weight": 0.3,
    "detector.fc_exp.weight": 0.1,
    "detector.fc_t.weight": 0.1,
    "detector.fc_scale.weight": 0.1,
    "dense_motion_network.mask.weight": 10.0,
    "dense_motion_network.occlusion.weight": 10.0,
}


def kind_of(name: str, shape: list[int] | tuple[int, ...], integer: bool) -> str:
    """How the weight of this name is filled: the first rule that fits."""
    last = name.rsplit(".", 1)[-1]
    rules = (
        ("keep", name.endswith(KEPT_ENDINGS) or name.startswith("diffusion_sched.")),
        ("zero", integer),
        ("running_var", last == "running_var"),
        ("running_mean", last == "running_mean"),
        ("sn_u", last == "weight_u"),
        ("sn_v", last == "weight_v"),
        ("gain", last in ("original0", "weight_g", "gamma") or name == "detector.fc_scale.bias"),
        ("gain", last == "weight" and len(shape) == 1),
        ("bias", last == "beta" or name.endswith("bias")),
        ("unit", last in TOKENS),
        ("fanin", len(shape) >= 2),
    )
    for kind, fits in rules:
        if fits:
            return kind
    raise ValueError(f"weight {name} of shape {tuple(shape)}: no rule fits")


def _matrix(name: str, shape: list[int] | tuple[int, ...]) -> np.ndarray:
    """Unit variance behind each output (float64): the draw over the root of its fan-in."""
    return draw(name, shape) / np.sqrt(np.prod(shape[1:])) * SCALES.get(name, 1.0)


def weight(
    name: str, shapes: dict[str, tuple[int, ...]], integer: bool = False, scaled: Scaled = ()
) -> np.ndarray | None:
    """The float64 weight `name` among `shapes` (a whole state dict's), or None where the constructor's is kept.

    The right vector of a spectral norm is what one power iteration makes of the left one: it needs its layer's shape,
    and knows nothing of `scaled`.
    """
    value = _unscaled(name, shapes, integer)
    if value is not None and kind_of(name, shapes[name], integer) != "sn_v":
        for ending, factor in scaled:
            if name.endswith(ending):
                value = value * factor
    return value


def _unscaled(name: str, shapes: dict[str, tuple[int, ...]], integer: bool) -> np.ndarray | None:
    shape = shapes[name]
    kind = kind_of(name, shape, integer)
    if kind == "keep":
        return None
    if kind == "zero":
        return np.zeros(shape)
    if kind == "fanin":
        return _matrix(name, shape)
    if kind == "sn_v":
        original, left = f"{name.removesuffix('_v')}_orig", f"{name.removesuffix('_v')}_u"
        right = _matrix(original, shapes[original]).reshape(shapes[original][0], -1).T @ _unscaled(left, shapes, False)
        return right / np.linalg.norm(right)
    x = draw(name, shape)
    return {
        "running_var": lambda: 1 + 0.1 * np.abs(x),
        "running_mean": lambda: 0.1 * x,
        "sn_u": lambda: x / np.linalg.norm(x),
        "gain": lambda: 1 + 0.1 * x,
        "bias": lambda: 0.1 * x,
        "unit": lambda: x,
    }[kind]()


def fill(module: torch.nn.Module, prefix: str = "", scaled: Scaled = ()) -> torch.nn.Module:
    """Fill all of a module's state dict under the names `prefix` + key, in place; back in evaluation mode.

    A network's prefix is what stands before its keys in the official file: `denoising_net.` for a denoising network on
    its own, `audio_encoder.` for a speech encoder.
    """
    state = module.state_dict()
    shapes = {prefix + name: tuple(tensor.shape) for name, tensor in state.items()}
    for name, tensor in state.items():
        value = weight(prefix + name, shapes, not tensor.is_floating_point(), scaled)
        if value is not None:
            state[name] = torch.from_numpy(np.asarray(value)).to(tensor.dtype)
    module.load_state_dict(state)
    return module.eval()
