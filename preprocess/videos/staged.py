"""A piece's motion and reference picture as one file of the staging folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from joyvasa.io.files import named_in_utf8, replacing
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
    facts = json.dumps({"reference": moved.reference_facts, "crop": moved.crop}, sort_keys=True)
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {FACTS: facts})
    with replacing(path) as temporary:
        temporary.write_bytes(data)  # not by safetensors itself, whose error on a full disk is no OSError


def is_whole(path: Path) -> bool:
    """Whether the file is there and can be read: a crash of the machine can leave an empty one."""
    try:
        load_moved(path)
    except (OSError, SafetensorError, KeyError, ValueError):
        return False
    return True


def load_moved(path: Path) -> Moved:
    with named_in_utf8(path) as name, safe_open(name, "numpy") as file:
        facts = json.loads(file.metadata()[FACTS])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    return Moved(
        motion_NC=arrays["motion"],
        ratios_N3=arrays.get(RATIOS),
        canonical_K3=arrays["canonical"],
        reference_jpeg=arrays["picture"].tobytes(),
        reference_facts=facts["reference"],
        crop=facts["crop"],
    )
