"""Our numbers against those of the reference implementations, in the folder that JOYVASA_PARITY names.

The same checks as `python -m tests.parity`, a test for each case that code covers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from . import rule
from .__main__ import complaints
from .case import names_in
from .check import check, settled
from .compare import PASS
from .registry import find

FOLDER = os.environ.get("JOYVASA_PARITY")
COVERED = [name for name in names_in(Path(FOLDER)) if find(name)] if FOLDER else []
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not FOLDER, reason="JOYVASA_PARITY names no folder of reference values"),
]


@pytest.mark.parametrize("name", COVERED)
def test_every_output_agrees(name):
    with settled():
        result = check(Path(FOLDER), name)
    assert result.verdict == PASS, "\n".join(complaints(result))


def test_weights_are_filled_by_the_rule():
    """Against the check sums of the manifests; weights of up to 2^18 numbers, which hold every kind."""
    kinds = set()
    for file in sorted((Path(FOLDER) / "manifest").glob("*.json")):
        tensors = {tensor["name"]: tensor for tensor in json.loads(file.read_text()).get("tensors", [])}
        shapes = {name: tuple(tensor["shape"]) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            integer = not tensor["dtype"].startswith("float")
            kind = rule.kind_of(name, shapes[name], integer)
            assert kind == tensor["fill"], f"{file.name}: {name}"
            of = shapes[f"{name.removesuffix('_v')}_orig"] if kind == "sn_v" else shapes[name]
            if kind in ("keep", "zero") or np.prod(of) > 1 << 18:
                continue
            value = rule.weight(name, shapes, integer).astype(np.float32)
            np.testing.assert_allclose(value.ravel()[:2], tensor["first"], rtol=1e-6, err_msg=f"{file.name}: {name}")
            assert value.sum(dtype=np.float64) == pytest.approx(tensor["sum"], rel=1e-6, abs=1e-5)
            kinds.add(kind)
    assert kinds == {"running_var", "running_mean", "sn_u", "sn_v", "gain", "bias", "unit", "fanin"}
