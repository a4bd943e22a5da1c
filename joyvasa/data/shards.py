"""Reading a dataset folder: WebDataset tars, with an index beside each so that slices are read by seek.

    dataset.json                       schema, shard lists with sizes and sha256, counts, hours, speakers, groups
    stats.safetensors                  MotionStats of the training split
    core/train-000000.tar              KEY.motion.npy (T, 70) float32, KEY.flac 640 T samples, KEY.json
    core/train-000000.idx.json         key, frames, speaker and the place of each member
    truth/train-000000.tar             KEY.npy (T, 70): the part of the motion that audio determines, where known
    features/<digest>/train-000000.tar cached speech features (joyvasa.data.feature_groups), added at any time

Each column group holds the same keys in the same order. `joyvasa.data.shard_writer` writes the folder,
`joyvasa.data.clips` reads a clip.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.data.clips import AGAIN, AUDIO, META, MOTION, Clip, ClipEntry, DatasetError, Member, forget_open_shards
from joyvasa.io.audio import decode_flac
from joyvasa.motion import MotionStats

FORMAT = "joyvasa-dataset"
SCHEMA = 1
SPLITS = ("train", "validation", "test")
DESCRIPTION, STATS = "dataset.json", "stats.safetensors"
FEATURES = "features/"  # column groups below it are derived from the others

__all__ = ["Clip", "ClipEntry", "DatasetError", "DatasetInfo", "iterate", "open_dataset"]


@dataclass(frozen=True)
class DatasetInfo:
    """What dataset.json says of a folder; clips are listed by `entries`, read one by one."""

    folder: Path
    description: dict[str, Any]

    @property
    def name(self) -> str:
        return self.description["name"]

    @property
    def schema(self) -> int:
        return self.description["schema"]

    @property
    def splits(self) -> dict[str, dict[str, Any]]:
        """Per split: clips, frames, hours, speakers, shards {group: [{file, bytes, sha256, clips}]}."""
        return self.description["splits"]

    @property
    def groups(self) -> dict[str, Any]:
        """Per column group, the specification of each member."""
        return self.description["groups"]

    @property
    def hours(self) -> float:
        return sum(split["hours"] for split in self.splits.values())

    @property
    def speakers(self) -> list[str]:
        return sorted(speaker for split in self.splits.values() for speaker in split["speakers"])

    @property
    def sha(self) -> str:
        """sha256 over all shards' names and hashes but those of cached features: equal for equal content."""
        shards = (shard for _, group, shard in self.shards() if not group.startswith(FEATURES))
        lines = sorted(f"{shard['file']} {shard['sha256']}" for shard in shards)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def stats(self) -> MotionStats:
        """Statistics of the training split. Raises DatasetError where there is none."""
        if self.description["stats"] is None:
            raise DatasetError(f"{self.folder}: no statistics, for it has no training split; use the checkpoint's")
        return MotionStats.load(self.folder / self.description["stats"])

    def shards(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(split, group, {file, bytes, sha256, clips}) of every shard."""
        for split, content in self.splits.items():
            for group, shards in content["shards"].items():
                for shard in shards:
                    yield split, group, shard

    def entries(self, split: str) -> list[ClipEntry]:
        """The clips of a split in stored order. Raises DatasetError for an unknown split or a broken index."""
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise DatasetError(f"{self.folder}: no split {split!r} (expected one of {known}); {AGAIN} with that split")
        shards = self.splits[split]["shards"]
        rows = self._rows(shards["core"])
        places = {row["key"]: _members(path, row) for path, row in rows}
        for group in shards.keys() - {"core"}:
            extra = self._rows(shards[group])
            if [row["key"] for _, row in extra] != list(places):
                raise DatasetError(f"{self.folder}: {group}/ and core/ of split {split} list different keys; {AGAIN}")
            for path, row in extra:
                places[row["key"]] |= _members(path, row, f"{group}/")
        return [ClipEntry(row["key"], split, row["frames"], row["speaker"], places[row["key"]]) for _, row in rows]

    def _rows(self, shards: list[dict[str, Any]]) -> list[tuple[Path, dict[str, Any]]]:
        return [(self.folder / shard["file"], row) for shard in shards for row in _index(self.folder, shard)]

    def verify(self) -> None:
        """Read every shard and compare its sha256. Raises DatasetError naming the first that differs."""
        for _, _, shard in self.shards():
            with open(self.folder / shard["file"], "rb") as stream:
                got = hashlib.file_digest(stream, "sha256").hexdigest()
            if got != shard["sha256"]:
                raise DatasetError(
                    f"{self.folder / shard['file']}: sha256 {got[:12]}… (expected {shard['sha256'][:12]}…); "
                    f"copy it again or {AGAIN}"
                )


def _members(path: Path, row: dict[str, Any], prefix: str = "") -> dict[str, Member]:
    return {prefix + name: Member(str(path), offset, size) for name, (offset, size) in row["members"].items()}


def _index(folder: Path, shard: dict[str, Any]) -> list[dict[str, Any]]:
    path = (folder / shard["file"]).with_suffix(".idx.json")
    rows = _json(path, "index")["clips"]
    if len(rows) != shard["clips"]:
        raise DatasetError(f"{path}: {len(rows)} clips (expected {shard['clips']}, by {DESCRIPTION}); {AGAIN}")
    return rows


def _json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"{path}: no such {what}; {AGAIN}")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{path}: unreadable {what} ({error}); {AGAIN}") from error


def open_dataset(folder: Path | str) -> DatasetInfo:
    """Check a dataset folder against its dataset.json (shards present and of full size) and describe it.

    Raises DatasetError for a missing folder, description or shard, a foreign or newer schema, half a tar, a split
    without a clip, or a speaker in two splits.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: no such dataset folder; make one with python -m preprocess source=synthetic output={folder}"
        )
    description = _json(folder / DESCRIPTION, "dataset description")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DatasetError(f"{folder / DESCRIPTION}: not a {FORMAT} description; convert it with python -m preprocess")
    if description.get("schema") != SCHEMA:
        raise DatasetError(
            f"{folder / DESCRIPTION}: schema {description.get('schema')!r} (this version reads {SCHEMA}); "
            f"update joyvasa or {AGAIN}"
        )
    info = DatasetInfo(folder, description)
    home: dict[str, str] = {}
    for split, content in info.splits.items():
        for speaker in content["speakers"]:
            claim_speaker(home, speaker, split, folder)
        if content["clips"] == 0:
            raise DatasetError(f"{folder}: split {split} has no clip; remove the split or {AGAIN}")
    for _, _, shard in info.shards():
        path = folder / shard["file"]
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            found = "missing" if size is None else f"{size:,} bytes"
            raise DatasetError(f"{path}: {found} (expected {shard['bytes']:,} bytes); copy it again or {AGAIN}")
    forget_open_shards()
    return info


def claim_speaker(home: dict[str, str], speaker: str, split: str, where: Path) -> None:
    """Note the split of a speaker. Raises DatasetError if another had it: scores would be of known voices."""
    if home.setdefault(speaker, split) != split:
        raise DatasetError(
            f"{where}: speaker {speaker} is in the splits {home[speaker]} and {split} (expected one split); "
            "split by speaker"
        )


def import_webdataset() -> Any:
    """webdataset with its unpickling and shell-command URLs switched off."""
    os.environ["WDS_SECURE"] = "1"
    import webdataset

    return webdataset


def iterate(folder: Path | str, split: str) -> Iterator[Clip]:
    """The clips of a split read from first byte to last by webdataset itself, without our index (truth left out)."""
    info = open_dataset(folder)
    shards = [str(info.folder.resolve() / shard["file"]) for shard in info.splits[split]["shards"]["core"]]
    # Explicit decoding: webdataset's own `.decode()` would unpickle some endings.
    dataset = import_webdataset().WebDataset(shards, shardshuffle=False, empty_check=False)
    for sample in dataset:
        motion = np.load(BytesIO(sample[MOTION]), allow_pickle=False)
        yield Clip(sample["__key__"], motion, decode_flac(sample[AUDIO]), json.loads(sample[META]))
