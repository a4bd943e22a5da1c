"""Writing a dataset folder (layout in `joyvasa.data.shards`): equal clips in equal order give equal bytes.

Every file gets its name only when it is whole, and dataset.json comes last: a folder without it is no dataset.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.data.clips import AUDIO, META, MOTION, Clip, DatasetError
from joyvasa.data.shards import (
    DESCRIPTION,
    FORMAT,
    SCHEMA,
    SPLITS,
    STATS,
    DatasetInfo,
    claim_speaker,
    import_webdataset,
    open_dataset,
)
from joyvasa.io.audio import LOUDEST, encode_flac
from joyvasa.io.files import remove_leftovers, replacing, temporary_beside
from joyvasa.motion import FPS, SAMPLES_PER_FRAME, MotionStats, check_motion

# A dot would end the key in WebDataset, and leading underscores mark its own metadata.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
SHARD = re.compile(r"(train|validation|test)-\d{6}\.(tar|idx\.json|tar\.tmp|idx\.json\.tmp)")
GROUPS = {
    "core": {
        "motion.npy": "float32 (frames, 70), 25 a second, not normalised",
        "flac": "16 bit, 16 kHz, mono, 640 samples a frame",
        "json": "id, speaker, split, frames, source and what else is known",
    },
    "truth": {"npy": "float32 (frames, 70): the part of the motion that audio determines"},
    "render": {
        "jpg": "the reference picture: the face of one frame, cut out upright",
        "npy": "float32 (21, 3): canonical keypoints of the reference picture",
        "json": "where the reference picture was cut from",
        "ratios.npy": "float32 (frames, 3): how far left eye, right eye and lips are open, where known",
        "mp4": "of validation clips: the face with its sound, 25 a second",
    },
}


class Shard:
    """One tar of a column group, under a temporary name until `close`."""

    def __init__(self, folder: Path, file: str):
        self.folder, self.file = folder, file
        self.temporary = temporary_beside(folder / file)
        self.temporary.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.temporary.parent, once=True)
        self.rows: list[dict[str, Any]] = []
        self.stream = open(self.temporary, "wb")  # noqa: SIM115
        # Time and owner are fixed so that equal content is equal bytes.
        self.tar = import_webdataset().TarWriter(
            self.stream, user="joyvasa", group="joyvasa", mtime=0, encoder=False, mode=0o644
        )

    def add(self, row: dict[str, Any], members: dict[str, bytes]) -> None:
        self.tar.write({"__key__": row["key"], **members})
        self.rows.append({**row, "members": {}})

    def close(self, **said: str) -> dict[str, Any]:
        """Finish the tar, write its index, `said` in it, give both their names; returns its line of dataset.json."""
        self.tar.close()
        self.stream.close()
        rows = {row["key"]: row for row in self.rows}
        with tarfile.open(self.temporary) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                rows[key]["members"][ending] = [member.offset_data, member.size]
        path = self.folder / self.file
        with open(self.temporary, "rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = self.temporary.stat().st_size
        whole = {"bytes": size, "sha256": sha256}
        write_json(path.with_suffix(".idx.json"), {"shard": path.name, **said, **whole, "clips": self.rows})
        self.temporary.replace(path)
        return {"file": self.file, **whole, "clips": len(self.rows)}

    def abandon(self) -> None:
        # Closing writes the tar's end: on a full disk that fails again, for a file that is removed anyway.
        for file in (self.tar, self.stream):
            with suppress(OSError):
                file.close()
        self.temporary.unlink(missing_ok=True)


class _Split:
    """The shards of one split, all column groups cut at the same clips."""

    def __init__(self, folder: Path, name: str, clips_per_shard: int):
        self.folder, self.name, self.clips_per_shard = folder, name, clips_per_shard
        self.open: dict[str, Shard] = {}
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.clips = self.frames = 0
        self.speakers: set[str] = set()

    def add(self, clip: Clip, columns: dict[str, dict[str, bytes]]) -> None:
        if self.clips % self.clips_per_shard == 0:
            self.close()
            number = self.clips // self.clips_per_shard
            for group in columns:
                self.open[group] = Shard(self.folder, f"{group}/{self.name}-{number:06d}.tar")
        row = {"key": clip.key, "frames": len(clip.motion)}
        for group, members in columns.items():
            self.open[group].add(row | ({"speaker": clip.meta["speaker"]} if group == "core" else {}), members)
        self.clips += 1
        self.frames += len(clip.motion)
        self.speakers.add(clip.meta["speaker"])

    def close(self) -> None:
        for group, shard in self.open.items():
            self.lines.setdefault(group, []).append(shard.close())
        self.open = {}

    def abandon(self) -> None:
        for shard in self.open.values():
            shard.abandon()

    def description(self) -> dict[str, Any]:
        return {
            "clips": self.clips,
            "frames": self.frames,
            "hours": self.frames / FPS / 3600,
            "speakers": sorted(self.speakers),
            "shards": self.lines,
        }


def write_dataset(
    folder: Path | str, clips: Iterable[Clip], *, name: str, source: str, clips_per_shard: int
) -> DatasetInfo:
    """Write clips, taken one at a time, as shards with statistics of the training split and dataset.json.

    Either every clip carries `truth` or none does, and so with `render`. Raises DatasetError for a folder that holds a
    dataset already, for no clip, a repeated key, a speaker in two splits, and a clip that breaks the format (named);
    leftovers of an interrupted writing are removed.
    """
    folder = Path(folder)
    _clear(folder)
    splits: dict[str, _Split] = {}
    groups: set[str] | None = None
    keys: set[str] = set()
    home: dict[str, str] = {}
    try:
        for clip in clips:
            columns = _columns(clip)
            if clip.key in keys:
                raise DatasetError(f"clip {clip.key}: the key appears twice (expected once); make keys from the source")
            keys.add(clip.key)
            groups = set(columns) if groups is None else groups
            if groups != set(columns):
                raise DatasetError(
                    f"clip {clip.key}: column groups {sorted(columns)} (expected {sorted(groups)}, as before); "
                    "give truth and render for all clips or for none"
                )
            split = clip.meta["split"]
            claim_speaker(home, clip.meta["speaker"], split, folder)
            splits.setdefault(split, _Split(folder, split, clips_per_shard)).add(clip, columns)
        for part in splits.values():
            part.close()
    finally:
        for part in splits.values():
            part.abandon()
    return _describe(folder, splits, sorted(groups or ()), name=name, source=source)


def _describe(folder: Path, splits: dict[str, _Split], groups: list[str], *, name: str, source: str) -> DatasetInfo:
    if not splits:
        raise DatasetError(f"{folder}: no clip to write (expected at least one); check the source {source}")
    description = {
        "format": FORMAT,
        "schema": SCHEMA,
        "name": name,
        "source": source,
        "groups": {group: GROUPS[group] for group in groups},
        "splits": {split: splits[split].description() for split in SPLITS if split in splits},
        "stats": STATS if "train" in splits else None,
    }
    if "train" in splits:
        train = DatasetInfo(folder, description).entries("train")
        MotionStats.fit(lambda: (entry.motion() for entry in train)).save(folder / STATS)
    write_json(folder / DESCRIPTION, description)
    return open_dataset(folder)


def _columns(clip: Clip) -> dict[str, dict[str, bytes]]:
    """The bytes of a clip per column group and ending, checked. Raises DatasetError naming the clip."""
    where = f"clip {clip.key}"
    if not KEY.fullmatch(clip.key):
        raise DatasetError(f"{where}: key of other characters (expected letters, digits, - and _, at most 80, no dot)")
    frames = len(clip.motion)
    split, speaker = clip.meta.get("split"), clip.meta.get("speaker")
    if split not in SPLITS or not isinstance(speaker, str) or not speaker:
        raise DatasetError(f"{where}: split {split!r} and speaker {speaker!r} (expected one of {SPLITS} and a name)")
    if np.shape(clip.audio) != (frames * SAMPLES_PER_FRAME,):
        raise DatasetError(
            f"{where}: audio of shape {np.shape(clip.audio)} for {frames} frames "
            f"(expected ({frames * SAMPLES_PER_FRAME:,},)); cut both to the same length"
        )
    peak = np.abs(clip.audio).max(initial=0)
    if peak > LOUDEST:
        raise DatasetError(f"{where}: audio peaks at {peak:.0f} (expected within [-1, 1]); rescale the samples")
    try:
        core = {
            MOTION: npy_bytes(check_motion(clip.motion, where)),
            AUDIO: encode_flac(clip.audio),
            META: _json_bytes({"id": clip.key, **clip.meta, "frames": frames}),
        }
        columns = {"core": core}
        if clip.truth is not None:
            if np.shape(clip.truth) != np.shape(clip.motion):
                shapes = f"{np.shape(clip.truth)} (expected {np.shape(clip.motion)}, as the motion)"
                raise ValueError(f"truth of shape {shapes}")
            columns["truth"] = {"npy": npy_bytes(check_motion(clip.truth, where))}
        if clip.render is not None:
            if surplus := clip.render.keys() - GROUPS["render"].keys():
                raise ValueError(f"render has {', '.join(sorted(surplus))} (expected {', '.join(GROUPS['render'])})")
            columns["render"] = clip.render
        return columns
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from error


def npy_bytes(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _json_bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def write_json(path: Path, value: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(_json_bytes(value) + b"\n")


def _clear(folder: Path) -> None:
    """Refuse a folder that holds a dataset; remove what an interrupted writing left."""
    if (folder / DESCRIPTION).exists():
        raise DatasetError(f"{folder / DESCRIPTION}: a dataset is there already; choose another folder or remove it")
    for group in GROUPS:
        remove_leftovers(folder / group)
        for path in (folder / group).glob("*"):
            if SHARD.fullmatch(path.name):
                path.unlink()
