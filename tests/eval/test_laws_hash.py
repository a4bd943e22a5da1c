"""No number of a metric stays out of its hash: change a constant in the code, and the hash of a protocol is another.

`test_protocols` changes every field of every record; here it is the constants of the modules that compute, which the
records are made of. One that enters no hash has to be in `NO_PARAMETER`, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from numbers import Number
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import joyvasa.eval
import joyvasa.models.judges
from joyvasa.eval.films.identity_gauge import IdentityInstrument
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.kernel_distance import squared_mmd
from joyvasa.eval.protocol_fields import LipSync
from joyvasa.eval.protocol_hash import hash_of
from joyvasa.eval.protocols import IN_MEMORY, KID, PROTOCOLS, PSNR, REFERENCE_SYNC
from joyvasa.eval.quality import decibels
from joyvasa.eval.sync import window_count
from tests.eval.test_protocols import changes

SHA = "0123456789abcdef" * 4
# How modules begin whose constants are no part of a number that is hashed.
OTHERS = {
    "baselines": "systems to compare with, no metric",
    "bootstrap": "intervals, not the numbers they are around",
    "jackknife": "as bootstrap",
    "known_": "answers known beforehand, several modules",
    "protocol_hash": "of the hash itself",
    "verdicts": "what became of those answers",
}
METRICS = [
    f"joyvasa.eval.{module.name}"
    for module in pkgutil.iter_modules(joyvasa.eval.__path__)
    if not module.ispkg and not module.name.startswith(tuple(OTHERS))
]
JUDGES = [
    f"joyvasa.models.judges.{module.name}"
    for module in pkgutil.iter_modules(joyvasa.models.judges.__path__)
    if module.name != "loading"  # random weights
]
MODULES = [*METRICS, *JUDGES, "joyvasa.faces.haar", "joyvasa.faces.scrfd", "joyvasa.faces.track"]
LAYERS = "the shape of a network, as its weights have it"
REFUSED = "only says what is refused"
BLOCKS = "bounds the memory"
NO_PARAMETER = {
    "distribution.FEATURES": "from COMPONENTS, which is one", "kernel_distance.BLOCK_ROWS": BLOCKS,
    "lip_crop.OVERLAP_FRAMES": "from WINDOW_FRAMES, which is one", "lip_track.SMALLEST_BOX_PX": REFUSED,
    "mfcc.BLOCK_FRAMES": BLOCKS, "moments.BLOCK": BLOCKS, "quality.SSIM_REACH": "half of SSIM_SIDE, which is one",
    "quality.SAME_RATE": REFUSED, "sync.BLOCK_WINDOWS": BLOCKS,
    "track.MEDIAN": "of the path of a face that is animated", "track.FALSE_SHIFT": "as MEDIAN",
    "track.FALSE_GROWTH": "as MEDIAN", "track.ROLL": "the place of a number in a row", "track.CENTRES": "as ROLL",
    "arcface.NEAREST": REFUSED, "i3d.SHORTEST": REFUSED, "inception.CLASSES": LAYERS, "lpips.POOLED_BEFORE": LAYERS,
    "lpips.SMALLEST": REFUSED, "syncnet.WINDOW_FRAMES": LAYERS, "syncnet.WINDOW_COLUMNS": LAYERS,
    "syncnet.COEFFICIENTS": LAYERS, "syncnet.FEATURES": LAYERS, "syncnet.AUDIO_BLOCK": BLOCKS,
}  # fmt: skip


def constants(module: ModuleType) -> list[str]:
    """Names in capitals that the module itself gives a number, numbers, or words."""
    targets = [
        target
        for line in ast.parse(Path(module.__file__).read_text()).body
        if isinstance(line, ast.Assign)
        for target in line.targets
    ]
    names = [name for target in targets for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
    found = [name.id for name in names if isinstance(name, ast.Name) and name.id.isupper()]
    return [name for name in found if changed(getattr(module, name)) is not None]


def changed(value: object) -> object | None:
    """Another value of the kind; None for what is no number, numbers, or set of words."""
    if isinstance(value, Number) and not isinstance(value, bool):
        return value * 2 + 1
    if isinstance(value, tuple | list) and value and all(isinstance(each, Number) for each in value):
        return type(value)([value[0] * 2 + 1, *value[1:]])
    return value | {"another"} if isinstance(value, frozenset) else None


def fresh(name: str) -> ModuleType:
    """The module as it would be, were it imported now."""
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of all protocols, made anew of the constants as they are now; and of one seen by each of our detectors."""
    with monkeypatch.context() as patch:
        for part in ("joyvasa.eval.protocol_haar", "joyvasa.eval.protocol_motion"):
            patch.setitem(sys.modules, part, fresh(part))
        protocols = fresh("joyvasa.eval.protocols")
    seen = [protocols.seen_by(protocols.SYNCNET_PROTOCOL, each) for each in (protocols.SCRFD, protocols.HAAR)]
    every = [*protocols.PROTOCOLS.values(), *seen]
    return [each.hash({network.key: SHA for network in each.networks}, IN_MEMORY) for each in every]


@pytest.mark.parametrize("name", MODULES)
def test_every_constant_of_a_metric_is_in_a_hash(monkeypatch, name):
    module, before, loose = importlib.import_module(name), hashes(monkeypatch), []
    for constant in constants(module):
        with monkeypatch.context() as patch:
            patch.setattr(module, constant, changed(getattr(module, constant)))
            try:
                entered = hashes(monkeypatch) != before
            except ValueError:  # a record that does not take the value has seen it
                entered = True
        if not entered:
            loose.append(f"{name.rpartition('.')[2]}.{constant}")
    assert loose == [each for each in NO_PARAMETER if each.startswith(f"{name.rpartition('.')[2]}.")]


def test_haar_boxes_are_in_the_hash(monkeypatch):
    """Of the cascade's box to the square of the face: a private table."""
    crop, before = importlib.import_module("joyvasa.faces.crop"), hashes(monkeypatch)
    for place in range(3):
        numbers = list(crop._BOX_TO_SQUARE["haar"])
        numbers[place] += 0.2
        with monkeypatch.context() as patch:
            patch.setitem(crop._BOX_TO_SQUARE, "haar", tuple(numbers))
            assert hashes(monkeypatch) != before, numbers


def test_numbers_that_stand_in_formulas_are_those_of_the_records():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))

    def kernel(a, b):
        return (a @ b.T / 3 + KID.constant) ** KID.degree

    others = ~torch.eye(5, dtype=torch.bool)
    expected = kernel(x, x)[others].mean() + kernel(y, y)[others].mean() - 2 * kernel(x, y).mean()
    every = torch.ones(1, 5, dtype=torch.float64)
    assert float(squared_mmd(x, y, every, every)) == pytest.approx(float(expected), rel=1e-12)
    for protocol in REFERENCE_SYNC:
        fit = 40 - protocol.window_frames + 1
        assert window_count(40, 10**6) == fit - protocol.left_out
    twenty = torch.tensor(PSNR.data_range**2 / PSNR.base**2)
    assert float(decibels(twenty)) == pytest.approx(20)
    assert np.isinf(float(decibels(torch.tensor(0.0)))) == (PSNR.equal == "infinite")


def kept_under(protocol) -> str:
    """What a reading of a film for this protocol is kept under."""
    weights = {network.key: SHA for network in protocol.networks}
    kind = LipInstrument if isinstance(protocol, LipSync) else IdentityInstrument
    return hash_of(kind(protocol, weights, IN_MEMORY, None, None).identity)


@pytest.mark.parametrize(
    ("name", "scoring"),
    [("syncnet", {"metric", "name", "max_shift", "eps", "ends", "median", "smoothing", "within", "tracks", "offsets"}),
     ("csim", {"name", "percentile", "absent"})],
)  # fmt: skip
def test_a_reading_is_kept_under_all_that_moves_it(name, scoring):
    """Else a changed parameter would get what was read for the old one."""
    protocol = PROTOCOLS[name]
    same = {path for path, changed in changes(protocol) if kept_under(changed) == kept_under(protocol)}
    assert same == scoring
