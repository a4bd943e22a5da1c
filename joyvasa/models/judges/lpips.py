"""LPIPS, version 0.1 on AlexNet (Zhang et al. 2018, arXiv 1801.03924): how different two pictures look to people.

    d = Σ over 5 layers: mean over places of Σ over channels  w_c (â_c − b̂_c)²

with features â, b̂ of length 1 along the channels, and w ≥ 0 learnt from people's answers. Official: lpips/lpips.py and
lpips/pretrained_networks.py of richzhang/PerceptualSimilarity.

B pairs, C channels, H, W pixels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from joyvasa import weights
from joyvasa.models.judges.judge import Judge, exact, expect
from joyvasa.models.judges.loading import RANDOM, WEIGHTS, _fill
from joyvasa.unpickle import load_torch
from joyvasa.weight_store import COMMAND, records

NAME = "lpips"
HEADS_FILE, TRUNK_FILE = "alex.pth", "alexnet-owt-7be5be79.pth"
# Inputs, outputs, kernel, stride, padding of the convolutions, and their places in torchvision's `features`.
CONVOLUTIONS = {
    0: (3, 64, 11, 4, 2),
    3: (64, 192, 5, 1, 2),
    6: (192, 384, 3, 1, 1),
    8: (384, 256, 3, 1, 1),
    10: (256, 256, 3, 1, 1),
}
POOLED_BEFORE = (3, 6)
# Of ImageNet's colours, in pixels from -1 to 1.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
SMALLEST = 31  # pixels: below, the second pool has nothing left
EPS = 1e-10  # added to a feature's length


class Trunk(nn.Module):
    """AlexNet's convolutions; names of tensors are torchvision's. Its classifier is in the file and not here."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict({str(place): nn.Conv2d(*numbers) for place, numbers in CONVOLUTIONS.items()})

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures (B, 3, H, W) -> what leaves each convolution and its ReLU."""
        found = []
        for place in CONVOLUTIONS:
            if place in POOLED_BEFORE:
                x = nn.functional.max_pool2d(x, 3, stride=2)
            x = nn.functional.relu(self.features[str(place)](x))
            found.append(x)
        return found


class Heads(nn.Module):
    """How much each channel counts. Names of tensors are the official ones: `lin0.model.1.weight` (1, C, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        for number, (_, channels, *_) in enumerate(CONVOLUTIONS.values()):
            self.add_module(f"lin{number}", _Head(channels))

    def forward(self, differences: list[Tensor]) -> Tensor:
        """Squared differences, (B, C, H, W) of each layer -> (B,)."""
        layers = [getattr(self, f"lin{number}").model["1"](each) for number, each in enumerate(differences)]
        return torch.stack([each.mean((1, 2, 3)) for each in layers]).sum(0)


class _Head(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"1": nn.Conv2d(channels, 1, 1, bias=False)})  # officially behind a dropout, "0"


class LPIPS(Judge):
    """sha256: of the two files' hashes in hexadecimal, the heads' first, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.heads = Trunk(), Heads()

    @exact
    def forward(self, one_BHW3: Tensor, other_BHW3: Tensor) -> Tensor:
        """uint8 RGB pictures (B, H, W, 3), twice, of one size and at least 31 pixels each way -> (B,), 0 for equal."""
        one = expect("pictures", one_BHW3, "pictures", "height", "width", 3, dtype=torch.uint8)
        other = expect("the other pictures", other_BHW3, *one.shape, dtype=torch.uint8)
        if min(one.shape[1:3]) < SMALLEST:
            raise ValueError(f"pictures of {one.shape[2]} x {one.shape[1]} (expected at least {SMALLEST} each way)")
        pairs = zip(self._directions(one), self._directions(other), strict=True)
        return self.heads([(a - b).square() for a, b in pairs])

    def _directions(self, image_BHW3: Tensor) -> list[Tensor]:
        shift, scale = (torch.tensor(each, device=self.device) for each in (SHIFT, SCALE))
        x = (image_BHW3.to(self.device).float() / 127.5 - 1 - shift) / scale
        layers = self.trunk(x.permute(0, 3, 1, 2))
        return [each / (each.square().sum(1, keepdim=True).sqrt() + EPS) for each in layers]


def build() -> LPIPS:
    """On the meta device: names and shapes, no numbers."""
    with torch.device("meta"):
        judge = LPIPS()
    judge.name = NAME
    return judge.eval()


def load_lpips(which: str) -> LPIPS:
    """float32 on the CPU. which and errors: as `joyvasa.models.judges.load`, of the entry lpips and its two files."""
    judge = build()
    if which == WEIGHTS:
        return _read(judge)
    asked = RANDOM.fullmatch(which)
    if not asked:
        raise ValueError(f"weights of {NAME}: {which!r} (expected {WEIGHTS}, or random:SEED with SEED a whole number)")
    _fill(judge, int(asked[1]))
    for tensor in judge.heads.parameters():
        tensor.abs_()  # a weight below 0 would make pictures closer than equal
    return judge


def _read(judge: LPIPS) -> LPIPS:
    from joyvasa.models.liveportrait.state import load_official  # its package takes as long to import as torch

    weights.where(NAME)
    next_step = f"expected that of {weights.get(NAME).source}: {COMMAND} pull {NAME}"
    for part, filename in ((judge.heads, HEADS_FILE), (judge.trunk, TRUNK_FILE)):
        path = weights.file(NAME, filename)
        state = _tensors(path, next_step)
        load_official(
            part, {name: each for name, each in state.items() if "classifier." not in name}, str(path), next_step
        )
    known = records(weights.get(NAME))
    hashes = "".join(known[each].sha256 for each in (HEADS_FILE, TRUNK_FILE))
    judge.sha256, judge.untrained = hashlib.sha256(hashes.encode()).hexdigest(), False
    return judge


def _tensors(path: Path, next_step: str) -> dict[str, Tensor]:
    state = load_torch(path)
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        raise ValueError(f"{path}: no state dict of tensors; {next_step}")
    return state
