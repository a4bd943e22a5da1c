"""Reading the files that Weights & Biases leaves: what an offline run holds, before anything is sent.

A `.wandb` file is a 7-byte header and records in blocks of 32 kB, as in LevelDB's log: crc32, length and kind (whole,
first, middle, last piece) before each piece, zeros where no header fits the block any more. A record is a protobuf.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER_BYTES, BLOCK_BYTES, PIECE = 7, 32_768, struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4


def run_files(folder: Path) -> list[Path]:
    """The `.wandb` files under a run folder, oldest first: one for each time the run was started."""
    return sorted(Path(folder, "wandb").glob("*run-*/run-*.wandb"))


def records(path: Path) -> Iterator[Any]:
    """The records (`wandb_internal_pb2.Record`) of a file; an end that a kill left unfinished or torn is left out."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, held = path.read_bytes(), HEADER_BYTES, b""
    while place + PIECE.size <= len(data):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < PIECE.size:
            place += left
            continue
        _, length, kind = PIECE.unpack_from(data, place)
        place += PIECE.size
        if kind == 0 or place + length > len(data):
            return
        held = data[place : place + length] if kind in (_WHOLE, _FIRST) else held + data[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            record = Record()
            try:
                record.ParseFromString(held)
            except DecodeError:
                return
            yield record


def items(pairs: Any) -> dict[str, Any]:
    """{"train/loss": 0.3, "val/sample": {"path": …}, …} of a record's history, summary or configuration items."""
    found: dict[str, Any] = {}
    for pair in pairs:
        *path, last = pair.nested_key or [pair.key]
        place = found
        for name in path:
            place = place.setdefault(name, {})
        place[last] = json.loads(pair.value_json)
    return found


def history(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of the curves under a run folder, in the order they were written; `_step` is the step."""
    for path in run_files(folder):
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                yield items(record.history.item)


def last_step(folder: Path) -> int:
    """The last step that any row under a run folder holds, -1 where there is none."""
    return max((row.get("_step", -1) for row in history(folder)), default=-1)
