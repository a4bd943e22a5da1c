"""Scores of which too little is as wrong as too much, as closeness to the truth, so that more is better.

    closeness(g, t) = exp(-|log(g / t)|) = min(g, t) / max(g, t)

1 where generated and true value are equal, 0.5 at half and at twice the truth, falling either way towards 0. Values are
rates, deviations, and ratios of these: none is negative.

| generated, truth | closeness |
|---|---|
| both 0 | 1: nothing was asked for and nothing came |
| one of them 0 | 0 |
| one of them infinite | 0 |
| both infinite, or one unknown (NaN) | NaN |

The rows are called as the scores they are made of (`motion`), with `_closeness` behind, and are made of the pooled
score: a system that is twice too lively in one half of its clips and half so lively in the other is not seen by them;
`motion.per_clip` shows it. No resample is closer than 1, so near 1 the interval lies below the value: read it as a
spread.

Shape suffixes: R resamples, N clips.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from joyvasa.eval.bootstrap import Estimate

Array = np.ndarray

FORM = "min(generated, truth) / max(generated, truth)"
SUFFIX = "_closeness"
# Score -> the score that is its truth; None: it is a ratio to the truth already.
TWO_SIDED: dict[str, str | None] = {
    "std_ratio_lips": None, "std_ratio_eyes": None, "std_ratio_pose": None, "jerk_ratio_lips": None,
    "jerk_ratio_pose": None, "blink_rate": "blink_rate_truth",
}  # fmt: skip


def closeness(generated: Array | float, truth: Array | float) -> Array:
    """Element by element, float64 of the broadcast shape, in 0 ... 1. Raises ValueError for a negative number."""
    generated, truth = np.broadcast_arrays(np.asarray(generated, np.float64), np.asarray(truth, np.float64))
    least, most = np.minimum(generated, truth), np.maximum(generated, truth)  # NaN of either is kept
    if (least < 0).any():
        raise ValueError(
            f"closeness of {np.nanmin(least):g} (expected numbers of 0 or more: rates, deviations, ratios)"
        )
    quotient = np.divide(least, most, out=np.full(least.shape, np.nan), where=(most > 0) & np.isfinite(least))
    return np.where(most == 0, 1.0, quotient)


def of_values(values: Mapping[str, Array]) -> dict[str, Array]:
    """The rows of `TWO_SIDED` whose scores are among `values`, name -> any shape."""
    return {
        name + SUFFIX: closeness(values[name], 1.0 if truth is None else values[truth])
        for name, truth in TWO_SIDED.items()
        if name in values
    }


def of_estimates(estimates: Mapping[str, tuple[Estimate, int, str]]) -> dict[str, tuple[Estimate, int, str]]:
    """As `of_values`, of pooled scores: name -> (estimate, clips that enter, note)."""

    def close(name: str, truth: str | None) -> Estimate:
        score = estimates[name][0]
        against = None if truth is None else estimates[truth][0]
        return lambda weights_RN: closeness(score(weights_RN), 1.0 if against is None else against(weights_RN))

    return {
        name + SUFFIX: (close(name, truth), *estimates[name][1:])
        for name, truth in TWO_SIDED.items()
        if name in estimates
    }
