"""Foreign motion and voices -> shards: what the importers of both layouts share.

Everything is read twice: once to know which clips are good (and so which speakers there are to be split), once to write
them. Memory holds one clip at a time.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.data.clips import Clip, DatasetError
from joyvasa.data.official import OfficialMotion
from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import DESCRIPTION, DatasetInfo
from joyvasa.io.audio import Sound, read_audio
from joyvasa.io.files import FILM_ENDINGS, SOUND_ENDINGS, out_of_files
from joyvasa.io.listing import examples, list_files
from joyvasa.markup import shown
from joyvasa.motion import FPS, SAMPLES_PER_FRAME, resample
from joyvasa.progress import progress_bar
from joyvasa.weights import sha256_of
from preprocess.report import HOW_READ, NothingImported, Report, Unusable, reason_of
from preprocess.splits import settle_splits


@dataclass(frozen=True)
class Candidate:
    """A motion and a voice for it, neither read yet.

    name and voice_name: what they are called in the layout, the same on every machine. source: the file whose sha256
    is noted. asked: the splits that the layout asks for, if any. paired: the face was speaking with this voice.
    """

    name: str
    source: Path
    read: Callable[[], OfficialMotion]
    voice: Path
    voice_name: str
    speaker: str
    asked: frozenset[str]
    paired: bool

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.name}\n{self.voice_name}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Import:
    """Settings of an import.

    min_frames: least length at 25 a second; length_tolerance_frames: by how much a voice and its motion may differ
    without a remark; validation_share: part of the speakers for whom no split is asked.
    """

    extractor: str
    seed: int
    min_frames: int
    length_tolerance_frames: int
    validation_share: float
    clips_per_shard: int

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.length_tolerance_frames < 0 or not 0 <= self.validation_share <= 1:
            raise ValueError(f"{self} (expected min_frames >= 1, length_tolerance_frames >= 0, a share in [0, 1])")

    def run(
        self, folder: Path, candidates: Sequence[Candidate], report: Report, settings: dict[str, Any]
    ) -> DatasetInfo:
        """Write the usable candidates as shards, and import.json; print what was left out.

        Raises NothingImported where no candidate is usable, DatasetError where the folder holds a dataset.
        """
        good = self._check(candidates, report, folder)
        report.imported = len(good)
        settings = settings | {"extractor": self.extractor, "seed": self.seed, "min_frames": self.min_frames}
        if not good:
            raise NothingImported(f"nothing to import\n{report.text()}\nreport    {report.write(folder, settings)}")
        asked = [(candidate.speaker, candidate.asked) for candidate in good]
        home = settle_splits(asked, report, seed=self.seed, validation_share=self.validation_share)
        dataset = write_dataset(
            folder,
            self._clips(good, home, folder),
            name=folder.name,
            source=f"{self.extractor} {settings}",
            clips_per_shard=self.clips_per_shard,
        )
        path = report.write(folder, settings)
        print(f"{report.text()}\nreport    {path}")
        return dataset

    def _check(self, candidates: Sequence[Candidate], report: Report, folder: Path) -> list[Candidate]:
        """The candidates that can be read and are long enough; the others are reported."""
        good: dict[str, Candidate] = {}
        for candidate in progress_bar(candidates, what=f"checking for {folder}", unit="clip"):
            try:
                if candidate.key in good:
                    raise Unusable("listed twice", f"listed twice with {candidate.voice_name}; kept once")
                _, remarks = self._read(candidate)
            except Unusable as problem:
                if out_of_files(problem) is not None:  # no fault of this file
                    raise
                report.reject(candidate.name, problem)
                continue
            good[candidate.key] = candidate
            for kind, reason in remarks:
                report.remark(candidate.name, kind, reason)
        return list(good.values())

    def _clips(self, good: Sequence[Candidate], home: dict[str, str], folder: Path) -> Iterator[Clip]:
        for candidate in progress_bar(good, what=f"writing {folder}", unit="clip"):
            clip, _ = self._read(candidate)
            yield Clip(clip.key, clip.motion, clip.audio, clip.meta | {"split": home[candidate.speaker]})

    def _read(self, candidate: Candidate) -> tuple[Clip, list[tuple[str, str]]]:
        """The clip, no split in it yet, and (kind, remark) of what was put right. Raises Unusable."""
        official = self._motion(candidate)
        motion = official.motion if official.fps == FPS else resample(official.motion, official.fps)
        if len(motion) < self.min_frames:
            raise Unusable("too short", f"{len(motion)} frames at {FPS} a second (min_frames={self.min_frames})")
        sound = self._voice(candidate)
        voice = sound.samples
        remarks = [("taken for granted", remark) for remark in official.remarks]
        remarks += [(HOW_READ, note) for note in sound.notes]
        surplus = len(voice) / SAMPLES_PER_FRAME - len(motion)
        if candidate.paired and abs(surplus) > self.length_tolerance_frames:
            done = f"voice cut by {surplus:.0f} frames" if surplus > 0 else f"{-surplus:.0f} frames of silence added"
            remarks.append(("lengths differ", f"{len(motion)} frames with {candidate.voice_name}: {done}"))
        audio = fit_voice(voice, len(motion), loop=not candidate.paired)
        quality = {"source_fps": official.fps, "voice_surplus_frames": round(surplus, 2) if candidate.paired else None}
        return Clip(candidate.key, motion, audio, self._meta(candidate, len(motion), quality)), remarks

    def _voice(self, candidate: Candidate) -> Sound:
        try:
            return read_audio(candidate.voice)
        except (ValueError, OSError) as error:
            reason = f"{candidate.voice_name}: {reason_of(error, candidate.voice)}"
            raise Unusable("unreadable audio", reason) from error

    def _motion(self, candidate: Candidate) -> OfficialMotion:
        try:
            return candidate.read()
        except (ValueError, OSError) as error:
            raise Unusable("unreadable motion", reason_of(error, candidate.source, candidate.name)) from error

    def _meta(self, candidate: Candidate, frames: int, quality: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": candidate.key,
            "parent": candidate.key,
            "part": 0,
            "speaker": candidate.speaker,
            "language": None,
            "source": candidate.name,
            "source_sha256": sha256_once(candidate.source),
            "voice": candidate.voice_name,
            "paired": candidate.paired,
            "frames": frames,
            "extractor": self.extractor,
            "quality": quality,
            "labels": {},
            "sync": {"offset": None, "confidence": None},
            "licence": None,
            "consent": None,
        }


def fit_voice(voice: np.ndarray, frames: int, *, loop: bool) -> np.ndarray:
    """Samples (S,) -> (640 frames,): the beginning; what is missing is the voice again (loop) or silence."""
    samples = frames * SAMPLES_PER_FRAME
    if loop:
        return np.resize(voice, samples)
    return np.pad(voice[:samples], (0, max(samples - len(voice), 0)))


@lru_cache(maxsize=1)  # of one motions.pkl all clips come; other sources are asked for once a pass
def sha256_once(path: Path) -> str:
    return sha256_of(path)


def find_files(folder: Path, endings: Sequence[str]) -> list[Path]:
    """Files of these endings in the folder and below, sorted by name; which, see `joyvasa.io.listing`."""
    return [path for path in list_files(folder, endings, below=True).files if path.is_file()]


def find_voices(place: Path) -> list[Path]:
    """The file, or the sound files and films below a folder, a film left out where its sound lies beside it.

    Raises FileNotFoundError when there is none.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"audio={shown(place)}: no such file or folder")
    sounds = find_files(place, SOUND_ENDINGS)
    beside = {path.with_suffix("") for path in sounds}
    voices = sorted(
        [*sounds, *(film for film in find_files(place, FILM_ENDINGS) if film.with_suffix("") not in beside)]
    )
    if not voices:
        raise FileNotFoundError(
            f"audio={shown(place)}: no sound file ({examples(SOUND_ENDINGS)}; {examples(FILM_ENDINGS)})"
        )
    return voices


def check_output(folder: Path) -> None:
    """Raise DatasetError for a folder that holds a dataset, before hours are spent on reading."""
    if (folder / DESCRIPTION).exists():
        raise DatasetError(f"{folder / DESCRIPTION}: a dataset is there already; choose another folder or remove it")
