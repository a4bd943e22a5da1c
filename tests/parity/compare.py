"""Whether an array agrees with the stored one of its output: the part that is stored, and the projection of the whole.

A float32 number may differ by 10 times the error of the reference's own float32 evaluation, or 2e-6 of the largest
value of its array; so may the projection, and by as much as single numbers of the reference were off: the sum of many
such errors of either sign, over the root of their number, is as large as one of them, and smaller ones are luck.
Integers are exact; an image of bytes may differ by 1 in 1 % of its values. A sinusoidal table may be off by what the
last bit of a frequency makes of its last row, and the rounding of that product: this bit of a float32 exponential
differs between processors, the published code's too, and the floor that is given, 0, was found on one of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from . import rule
from .case import Case

PASS, FAIL, NOT_COVERED = "pass", "fail", "not covered"
IMAGE_SHARE = 0.01  # of an image's values, that may differ by 1
LAST_BIT = 2.0**-24  # of a float32 number just below 1, as the frequencies of a sinusoidal table are


@dataclass(frozen=True)
class Comparison:
    """Of one output: largest absolute error and the bound it has to keep, the same for the projection, a remark."""

    key: str
    verdict: str
    error: float | None = None
    bound: float | None = None
    proj_error: float | None = None
    proj_bound: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Worst error in units of its bound; None where nothing was measured."""
        pairs = ((self.error, self.bound), (self.proj_error, self.proj_bound))
        ratios = [
            0.0 if error == 0 else error / bound if bound else math.inf for error, bound in pairs if error is not None
        ]
        return max(ratios, default=None)

    def record(self) -> dict[str, Any]:
        """As JSON has it: no infinity and no NaN."""
        values = {**asdict(self), "ratio": self.ratio}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
            if name != "key"
        }


def tolerance(floor: float | None, absmax: float) -> float:
    return max(10 * (floor or 0.0), 2e-6 * absmax)


def is_image(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.ndim >= 3 and array.shape[-1] == 3


def compare(case: Case, key: str, found: Any) -> Comparison:
    """Judge `found` (an array, a tensor, a number, or None) as output `key` of `case`."""
    about = case.outputs[key]
    if about.get("none"):
        absent = found is None
        return Comparison(
            key, PASS if absent else FAIL, note="" if absent else "computed, but does not exist in this variant"
        )
    if found is None:
        return Comparison(key, FAIL, note="None (expected an array)")
    if f"out.{key}" not in case.stored:
        return Comparison(key, FAIL, note=f"the case lists this output, but its file has no out.{key}")
    expected = case.stored[f"out.{key}"]
    whole = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    if list(whole.shape) != case.shape(key):
        return Comparison(key, FAIL, note=f"shape {list(whole.shape)} (expected {case.shape(key)})")
    steps, starts = about.get("steps", [1] * whole.ndim), about.get("start", [0] * whole.ndim)
    part = whole[tuple(slice(a, None, b) for a, b in zip(starts, steps, strict=True))]
    if part.shape != expected.shape:
        return Comparison(key, FAIL, note=f"stored {expected.shape} is not the stated part {part.shape} of the whole")
    if expected.dtype.kind in "iub":
        return _exact(case, key, part, expected, whole)
    return _close(case, key, part, expected, whole)


def _projection_error(case: Case, key: str, whole: np.ndarray) -> float | None:
    about = case.outputs[key]
    if "proj" not in about:
        return None
    weights = rule.draw(about["proj_name"], about["shape"])
    return abs(float((whole.astype(np.float64) * weights).sum() / np.sqrt(whole.size)) - about["proj"])


def _exact(case: Case, key: str, part: np.ndarray, expected: np.ndarray, whole: np.ndarray) -> Comparison:
    off = np.abs(part.astype(np.float64) - expected.astype(np.float64))
    share, bound, proj_bound = float((off > 0).mean()), 0.0, tolerance(None, float(np.abs(expected).max(initial=0)))
    note = f"{share:.2%} of the values differ" if share else ""
    if is_image(expected):
        # Ones of either sign in so many places add up to a normal number of this deviation: five of it.
        bound, proj_bound = 1.0, 5 * IMAGE_SHARE**0.5
        if whole.dtype != np.uint8:
            return Comparison(key, FAIL, note=f"{whole.dtype} (expected uint8)")
    few = share <= IMAGE_SHARE
    return _judged(key, float(off.max(initial=0.0)), bound, _projection_error(case, key, whole), proj_bound, few, note)


def _close(case: Case, key: str, part: np.ndarray, expected: np.ndarray, whole: np.ndarray) -> Comparison:
    about, floor = case.outputs[key], case.floors.get(key)
    note = "" if floor else "no floor given: bound by the largest value alone"
    if not np.array_equal(np.isnan(part), np.isnan(expected)):
        return Comparison(key, FAIL, note="not-a-number in other places than expected")
    floor = floor or {}
    largest = about.get("absmax", floor.get("absmax", float(np.nanmax(np.abs(expected), initial=0.0))))
    error = float(np.nanmax(np.abs(part.astype(np.float64) - expected), initial=0.0))
    bound, proj_bound = (tolerance(floor.get(name), largest) for name in ("floor", "proj_floor"))
    proj_bound = max(proj_bound, floor.get("floor", 0.0))
    if key.startswith("sinusoid"):
        bound = max(bound, 2 * LAST_BIT * whole.shape[1])
    return _judged(key, error, bound, _projection_error(case, key, whole), proj_bound, True, note)


def _judged(
    key: str, error: float, bound: float, proj_error: float | None, proj_bound: float, also: bool, note: str
) -> Comparison:
    # Written so that not-a-number fails.
    fine = also and error <= bound and (proj_error is None or proj_error <= proj_bound)
    return Comparison(
        key, PASS if fine else FAIL, error, bound, proj_error, None if proj_error is None else proj_bound, note
    )
