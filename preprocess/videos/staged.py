"""A piece's motion and reference picture as one file of the staging folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from joyvasa.media import replacing
from preprocess.videos.motion import Moved

FACTS, RATIOS = "facts", "ratios"


def save_moved(moved: Moved, path: Path) -> None:
    """Under a temporary name, then renamed; equal content gives equal bytes."""
    arrays = {
        "motion": moved.motion_NC,
        "canonical": moved.canonical_K3,
        "picture": np.frombuffer(moved.reference_jpeg, np.uint8),
    }
    if moved.ratios_N3 is not None:
        arrays[RATIOS] = moved.ratios_N3
    said = {"reference": moved.reference_facts, "crop": moved.crop, "precision": moved.precision}
    facts = json.dumps(said, sort_keys=True)
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, {FACTS: facts})


def load_moved(path: Path) -> Moved:
    with safe_open(path, "numpy") as file:
        facts = json.loads(file.metadata()[FACTS])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    return Moved(
        motion_NC=arrays["motion"],
        ratios_N3=arrays.get(RATIOS),
        canonical_K3=arrays["canonical"],
        reference_jpeg=arrays["picture"].tobytes(),
        reference_facts=facts["reference"],
        crop=facts["crop"],
        precision=facts["precision"],
    )
