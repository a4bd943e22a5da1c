"""Random weights for dry runs: a number fixes them all, and pictures come out neither black nor white.

They show that everything runs and at which speed, never how the trained networks look.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

# Deviations by ending of a tensor's name, where the rule of `_value` would not do: a face-like spread of keypoints,
# small movements, angles of a few degrees.
DEVIATIONS = {
    "fc_kp.weight": 0.002, "fc_kp.bias": 0.25, "fc_exp.weight": 0.0004, "fc_exp.bias": 0.005, "fc_scale.weight": 0.0004,
    "fc_t.weight": 0.0004, "fc_pitch.weight": 0.004, "fc_yaw.weight": 0.004, "fc_roll.weight": 0.004,
}  # fmt: skip
# Factors of the rule's deviation: residual branches and SPADE's gains must not pile up, the occlusion leaves most seen.
FACTORS = {
    "conv2.weight": 0.3, "pwconv2.weight": 0.3, "conv_1.weight": 0.5, "mlp_gamma.weight": 0.2, "mlp_beta.weight": 0.3,
    "occlusion.weight": 0.1, "conv_img.0.weight": 0.7,
}  # fmt: skip
CORRECTION = 0.3  # factor of every layer of S: what it adds to keypoints is small
ONES = ("running_var", "fc_scale.bias")
OCCLUSION_BIAS = 2.0  # 88 % seen


def _of(table: dict[str, float], name: str) -> float | None:
    return next((value for ending, value in table.items() if name.endswith(ending)), None)


def _value(letter: str, name: str, tensor: Tensor, seed: int) -> Tensor:
    """Kaiming's deviation for weights (variance is kept through a ReLU), nothing for offsets, one for gains."""
    if not tensor.is_floating_point():
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    if name.endswith("occlusion.bias"):
        return torch.full(tensor.shape, OCCLUSION_BIAS)
    deviation = _of(DEVIATIONS, name)
    if deviation is None:
        if name.endswith(ONES) or (name.endswith("weight") and tensor.ndim == 1):
            return torch.ones(tensor.shape)
        if tensor.ndim == 1 or name.endswith(("beta", "gamma")):
            return torch.zeros(tensor.shape)
        factor = CORRECTION if letter == "S" else _of(FACTORS, name) or 1.0
        deviation = factor * (2.0 / tensor[0].numel()) ** 0.5
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{letter}.{name}".encode()))
    return deviation * torch.randn(tensor.shape, generator=generator)


def fill(network: nn.Module, letter: str, seed: int) -> nn.Module:
    """Random weights for part `letter`, built on the meta device; the same for the same seed, part and sizes."""
    state = {name: _value(letter, name, tensor, seed) for name, tensor in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
