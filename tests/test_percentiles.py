"""Percentiles in passes are numpy's of everything at once, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from joyvasa.percentiles import percentiles

PERCENTS = (0, 0.1, 12.5, 50, 99.9, 100)


def clips_of(kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    draw = {
        "normal": lambda n: rng.standard_normal((n, 3)),
        "ties": lambda n: rng.integers(0, 4, (n, 3)).astype(float),
        "constant": lambda n: np.full((n, 3), 1.25),
        "outlier": lambda n: rng.standard_normal((n, 3)) * 1e-6 + (rng.random((n, 3)) > 0.999) * 1e3,
        "float32": lambda n: rng.standard_normal((n, 3)).astype(np.float32),
    }[kind]
    return [draw(n) for n in (1, 250, 37, 1000)]


@pytest.mark.parametrize("kind", ["normal", "ties", "constant", "outlier", "float32"])
def test_equal_to_numpy(kind):
    clips = clips_of(kind)
    whole = np.concatenate(clips).astype(np.float64)
    found = percentiles(lambda: clips, PERCENTS, whole.min(0), whole.max(0))
    np.testing.assert_array_equal(found, np.percentile(whole, PERCENTS, axis=0))


def test_clips_that_change_between_passes_are_noticed():
    clips = clips_of("normal")
    whole = np.concatenate(clips)
    with pytest.raises(ValueError, match="outside the given extremes"):
        percentiles(lambda: [*clips, whole + 9], (50,), whole.min(0), whole.max(0))
    with pytest.raises(ValueError, match="no row"):
        percentiles(lambda: [], (50,), whole.min(0), whole.max(0))
