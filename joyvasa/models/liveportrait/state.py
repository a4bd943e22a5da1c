"""Official state dicts in and out: prefixes, counters, spectral norms; names and shapes must agree exactly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from joyvasa.models.liveportrait.generator import SpadeBlock

COUNTER = "num_batches_tracked"  # old files lack it, and nothing at inference reads it
SHOWN = 4  # names of tensors in an error


def _spectral(network: nn.Module) -> list[str]:
    """Names, in `network`, of the convolutions that are spectrally normalised in the official file."""
    return [
        f"{owner}.{conv}" if owner else conv
        for owner, block in network.named_modules()
        if isinstance(block, SpadeBlock)
        for conv in ("conv_0", "conv_1", "conv_s")
        if hasattr(block, conv)
    ]


def official_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the official file of `network`, the spectral norms unfolded."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for conv in _spectral(network):
        shape = shapes.pop(f"{conv}.weight")
        rest = int(torch.Size(shape[1:]).numel())
        shapes |= {f"{conv}.weight_orig": shape, f"{conv}.weight_u": shape[:1], f"{conv}.weight_v": (rest,)}
    return shapes


def fold_spectral(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weight_orig`, `weight_u`, `weight_v` -> weight = weight_orig / (u · W v) with the stored vectors.

    W is the weight as a matrix (outputs, rest). What is folded already stays. Official: torch's spectral_norm in
    evaluation mode, which iterates no further.
    """
    folded = dict(state)
    for name in [name for name in state if name.endswith(".weight_orig")]:
        conv = name.removesuffix("_orig")
        if not {f"{conv}_u", f"{conv}_v"} <= folded.keys():
            continue
        weight, left, right = (folded.pop(f"{conv}_{part}").double() for part in ("orig", "u", "v"))
        folded[conv] = (weight / torch.dot(left, weight.flatten(1) @ right)).float()
    return folded


def load_official(network: nn.Module, state: Mapping[str, Tensor], where: str, next_step: str) -> nn.Module:
    """Give `network` the tensors of an official state dict, in place; the network may be on the meta device.

    Prefixes `module.` are dropped. Raises ValueError naming `where`, what lacks, is too much or has another shape, and
    the `next_step`.
    """
    found = fold_spectral({name.replace("module.", ""): tensor for name, tensor in state.items()})
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)}
    found = {name: tensor for name, tensor in found.items() if not name.endswith(COUNTER)}
    faults = {
        "lacks": [name for name in expected if name not in found],
        "has surplus": [name for name in found if name not in expected],
        "has of another shape": [
            f"{name} {tuple(found[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    wrong = [
        f"{what} {len(names)} tensors ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
        for what, names in faults.items()
        if names
    ]
    if wrong:
        raise ValueError(f"{where}: not a {type(network).__name__} of these sizes: it {', '.join(wrong)}; {next_step}")
    counters = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if name.endswith(COUNTER)}
    network.load_state_dict({name: found[name].float() for name in expected} | counters, assign=True)
    return network.eval().requires_grad_(False)
