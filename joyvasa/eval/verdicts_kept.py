"""Answers that task=accept has heard, kept beside the weights in verdicts.json, with the hash of the files and that of
the code: what was found with others counts for nothing. A wrong answer takes the place of one that was right before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joyvasa.io.files import replacing
from joyvasa.weight_store import root


def _store() -> Path:
    return root() / "verdicts.json"


def _all() -> dict[str, Any]:
    """What is remembered; a file that cannot be read counts for nothing, as it can be found out again."""
    try:
        found = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(name: str, weights_sha256: str, code: str, said: Mapping[str, Any], fault: str = "") -> None:
    """Keep answers of an entry, or under CLIP, with what they depend on, in the place of earlier ones.

    fault: what is wrong with them; empty for answers that were accepted.
    """
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    found = {"weights": weights_sha256, "code": code, "said": dict(said), "fault": fault, "when": now}
    known = _all() | {name: found}
    _store().parent.mkdir(parents=True, exist_ok=True)
    with replacing(_store()) as temporary:
        temporary.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def recall(name: str, weights_sha256: str, code: str) -> dict[str, Any] | None:
    """The accepted answers, None where there are none of these files and this code, or wrong ones."""
    known = kept(name, weights_sha256, code)
    return None if known.get("fault") else known.get("said")


def kept(name: str, weights_sha256: str, code: str) -> dict[str, Any]:
    """Answers (`said`) and what is wrong with them (`fault`); empty where none are of these files and this code."""
    known = _all().get(name)
    fits = isinstance(known, dict) and (known.get("weights"), known.get("code")) == (weights_sha256, code)
    return known if fits else {}
