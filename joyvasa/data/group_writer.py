"""Adding a column group to a dataset folder: the same keys in the same order, in shards cut like those of core/.

dataset.json names the group only when all of it is there, so a folder is whole at any time. A shard that was finished
before an interruption is kept where its bytes, and the shard it was made from, are those its index tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from joyvasa.data.clips import ClipEntry
from joyvasa.data.shard_writer import Shard, write_json
from joyvasa.data.shards import DESCRIPTION, DatasetInfo, open_dataset

Columns = Callable[[list[ClipEntry]], Iterable[dict[str, bytes]]]


def add_group(dataset: DatasetInfo, group: str, said: dict[str, Any], columns: Columns, on_kept: Callable) -> None:
    """Write group `group` and then, at once, name it in dataset.json with the description `said`.

    `columns(clips of a shard)` gives each clip's members as bytes by ending, in the order of the clips;
    `on_kept(clips)` hears of the clips of a shard that was there already.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    for split, content in dataset.splits.items():
        entries, first = dataset.entries(split), 0
        for core in content["shards"]["core"]:
            clips = entries[first : first + core["clips"]]
            file = f"{group}/{Path(core['file']).name}"
            line = kept_shard(dataset.folder, file, core, clips)
            if line:
                on_kept(clips)
            lines.setdefault(split, []).append(line or _write_shard(dataset.folder, file, core, clips, columns))
            first += core["clips"]
    # Read again: another group may have been added while this one was made.
    description = open_dataset(dataset.folder).description
    description["groups"][group] = said
    for split, shards in lines.items():
        description["splits"][split]["shards"][group] = shards
    write_json(dataset.folder / DESCRIPTION, description)


def _write_shard(
    folder: Path, file: str, core: dict[str, Any], clips: list[ClipEntry], columns: Columns
) -> dict[str, Any]:
    shard = Shard(folder, file)
    try:
        for clip, members in zip(clips, columns(clips), strict=True):
            shard.add({"key": clip.key, "frames": clip.frames}, members)
    except BaseException:
        shard.abandon()
        raise
    return shard.close(of=core["sha256"])


def kept_shard(folder: Path, file: str, core: dict[str, Any], clips: list[ClipEntry]) -> dict[str, Any] | None:
    """The line in dataset.json of a shard that is whole and made from this one of core/, read and hashed; else None."""
    path = folder / file
    index = path.with_suffix(".idx.json")
    if not path.is_file() or not index.is_file():
        return None
    try:
        said = json.loads(index.read_bytes())
        rows = [(row["key"], row["frames"]) for row in said["clips"]]
    except (ValueError, KeyError, TypeError):
        return None
    with open(path, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if (sha256, core["sha256"]) != (said.get("sha256"), said.get("of")) or rows != [
        (clip.key, clip.frames) for clip in clips
    ]:
        return None
    return {"file": file, "bytes": path.stat().st_size, "sha256": sha256, "clips": len(rows)}
