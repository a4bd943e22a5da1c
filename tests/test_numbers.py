"""Our own numbers of record: a change of the made corpus, of a schedule or of the keyed draws does not pass unseen.

A law can hold while every seeded result moves. The values are in `data/numbers.json`; when one is meant to change,
`python tests/test_numbers.py` writes the file anew, and the CHANGELOG says why.

Tolerances: schedules 1e-6 and clips 1e-5 of the largest value probed (libraries differ in the last bits of sums and
transforms); phones, shapes and keys are exact.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from joyvasa.data.keyed import generator, stable_hash
from joyvasa.data.synthetic import Corpus, make_clip
from joyvasa.models.diffusion import BETAS, NoiseSchedule
from joyvasa.models.mel import log_mel

FILE = Path(__file__).with_name("data") / "numbers.json"
CORPUS = Corpus(seed=0, train_speakers=1, validation_speakers=1, clips_per_speaker=1, seconds=2.0)
STEPS = 50


def probe(array: np.ndarray) -> dict[str, Any]:
    """Nine values spread over the array, and four numbers that depend on all of them."""
    flat = np.asarray(array, dtype=np.float64).ravel()
    at = np.linspace(0, flat.size - 1, 9).round().astype(int)
    # Alternating signs: a sum alone would not notice two values that changed places.
    waves = [float(np.mean(flat * np.cos(rate * np.arange(flat.size)))) for rate in (0.0, 1.0, 2.5)]
    rms = float(np.sqrt(np.mean(flat**2)))
    return {"shape": list(np.shape(array)), "values": flat[at].tolist(), "rms": rms, "waves": waves}


def clip_numbers() -> dict[str, Any]:
    clip = make_clip(CORPUS, *CORPUS.plan()[0])
    return {
        "key": clip.key,
        "phones": clip.meta["phones"],
        "motion": probe(clip.motion),
        "truth": probe(clip.truth),
        "audio": probe(clip.audio),
        "log_mel": probe(log_mel(torch.from_numpy(clip.audio)[None], 40, 160)[0].numpy()),
    }


def schedule_numbers(name: str) -> dict[str, Any]:
    schedule = NoiseSchedule(name=name, steps=STEPS)
    return {table: probe(value.numpy()) for table, value in schedule.named_buffers()}


def numbers() -> dict[str, Any]:
    return {
        "clip": clip_numbers(),
        "schedules": {name: schedule_numbers(name) for name in BETAS},
        "keyed": {"hash": stable_hash("clip"), "normal": generator(1, 2, "clip", 3).standard_normal(4).tolist()},
    }


def compare(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Two probes; `tolerance` relative to the largest value seen."""
    assert found["shape"] == expected["shape"]
    size = max(abs(value) for value in (*expected["values"], expected["rms"]))
    for part in ("values", "rms", "waves"):
        np.testing.assert_allclose(found[part], expected[part], rtol=0, atol=tolerance * size, err_msg=part)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def test_the_made_clip_is_the_recorded_one(recorded):
    found, expected = clip_numbers(), recorded["clip"]
    assert found["key"] == expected["key"] and found["phones"] == expected["phones"]
    for part in ("motion", "truth", "audio", "log_mel"):
        compare(found[part], expected[part], 1e-5)


@pytest.mark.parametrize("name", BETAS)
def test_the_schedules_are_the_recorded_ones(recorded, name):
    assert set(recorded["schedules"]) == set(BETAS)
    found, expected = schedule_numbers(name), recorded["schedules"][name]
    assert set(found) == set(expected)
    for table, value in found.items():
        # 1 - alpha_bar cancels in float32, and processors round the logarithm differently
        compare(value, expected[table], 1e-5 if table == "sigmas_inflex" else 1e-6)


def test_keyed_draws_are_the_recorded_ones(recorded):
    assert stable_hash("clip") == recorded["keyed"]["hash"]
    draws = generator(1, 2, "clip", 3).standard_normal(4)
    np.testing.assert_allclose(draws, recorded["keyed"]["normal"], rtol=1e-12)


if __name__ == "__main__":
    FILE.write_text(json.dumps(numbers(), indent=1) + "\n")
