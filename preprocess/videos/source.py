"""source=videos: folders of talking-face video -> shards. Finds the files, has an engine work on them, packs the clips.

Work lies in `.staging` of the output folder, a folder a file (see journal.py), so that nothing is done twice.
"""

from __future__ import annotations

import errno
import fcntl
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from joyvasa.data.clips import DatasetError
from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import DESCRIPTION, DatasetInfo, open_dataset
from joyvasa.faces.detect import open_detector
from joyvasa.media import replacing
from preprocess.features import FeatureSource
from preprocess.report import NothingImported, Report, shown
from preprocess.splits import settle_splits
from preprocess.videos.discover import discover
from preprocess.videos.embedding import FaceEmbedder, KeptEmbedder
from preprocess.videos.engines.progress import Died
from preprocess.videos.journal import Journal
from preprocess.videos.motion import Extractor, identity_of
from preprocess.videos.pack import VALIDATION, Accepted, Worked, clips_of, content_of, judged
from preprocess.videos.progress import Bar
from preprocess.videos.records import Source, Unusable
from preprocess.videos.settings import Settings
from preprocess.videos.speakers import name_speakers
from preprocess.videos.stages import NO_ROOM, look, move, shoot
from preprocess.videos.summary import write_report
from preprocess.videos.task import Task, film_name, forget_unused, settled

STAGING, PACKED, KIND = ".staging", "packed.json", "videos"


class VideoSource:
    """Called with the output folder it writes the dataset, or says that nothing is to be done.

    input: a folder, a video, or a list of such; metadata: a .csv, or None; engine: what runs the stages; features: as
    of FeatureSource, or None; speaker: auto, metadata, faces, folder or file.
    """

    def __init__(
        self,
        *,
        input: str | None,
        metadata: str | None,
        engine: Any,
        features: dict | None,
        speaker: str,
        same_face: float,
        validation_share: float,
        clips_per_shard: int,
        settings: Settings,
        seed: int,
    ):
        if input is None:
            raise ValueError(
                "input= is missing; for example: python -m preprocess source=videos input=VIDEOS output=data/mine"
            )
        self.input, self.metadata = Path(input), None if metadata is None else Path(metadata)
        self.engine, self.features = engine, features
        self.speaker, self.same_face = speaker, same_face
        self.validation_share, self.clips_per_shard = validation_share, clips_per_shard
        self.settings, self.seed = settings, seed

    def __call__(self, output: str) -> DatasetInfo:
        """Raises NothingImported where no clip is left or the disk is full, ValueError and OSError for what was asked
        wrongly."""
        folder, report = Path(output), Report()
        check_ours(folder)
        detector = open_detector(self.settings.following.detector)
        extractor = identity_of(self.settings.extracting)
        print(f"faces     {detector.name}: {detector.note}\nmotion    {named(extractor)}", flush=True)
        if extractor["untrained"]:
            report.remark("motion", "untrained", f"{named(extractor)}: random weights, the motion means nothing")
        sources = discover(self.input, self.metadata, report)
        with alone(folder / STAGING), room(folder):
            tasks = [self._task(source, folder / STAGING, detector.name, extractor) for source in sources]
            self._work(tasks)
            files = [Worked(task, Journal.open(task.folder, task.source.path)) for task in tasks]
            dataset = self._pack(folder, files, report)
            if self.features is not None:
                dataset = FeatureSource(input=output, features=self.features, seed=self.seed)(None)
        return dataset

    def _task(self, source: Source, staging: Path, detector: str, extractor: dict[str, Any]) -> Task:
        return Task(source, staging / source.key, self.settings, detector, extractor)

    def _work(self, tasks: Sequence[Task]) -> None:
        """Have the engine do what is left to do."""
        left = [task for task in tasks if not settled(task)]
        print(f"files     {len(tasks)}, {len(tasks) - len(left)} done before", flush=True)
        if left:
            make = partial(Extractor, self.settings.extracting)
            with Bar("files", len(left)) as bar:
                self.engine.run(left, look, move, make, partial(_ended, bar), bar.tick)
        for task in left:
            forget_unused(task)

    def _films(self, clips: Sequence[Accepted], speakers: dict[str, str], home: dict[str, str]) -> None:
        """Have the engine film the clips for validation."""
        if not self.settings.reference.film:
            return
        wanted: dict[str, list[str]] = {}
        by_name = {clip.worked.name: clip.worked.task for clip in clips}
        for clip in clips:
            if home[speakers[clip.key]] == VALIDATION:
                wanted.setdefault(clip.worked.name, []).append(clip.verdict.file)
        tasks = [replace(by_name[name], films=tuple(files)) for name, files in sorted(wanted.items())]
        left = [task for task in tasks if not filmed(task)]
        if left:
            with Bar("films", len(left)) as bar:
                make = partial(Extractor, self.settings.extracting)  # not made: shoot leaves nothing to move
                self.engine.run(left, shoot, move, make, partial(_ended, bar), bar.tick)

    def _pack(self, folder: Path, files: Sequence[Worked], report: Report) -> DatasetInfo:
        clips, rejected = judged(files, report)
        report.imported = len(clips)
        speakers = self._speakers(clips, folder, report)
        asked = [(speakers[clip.key], frozenset(filter(None, [clip.worked.task.source.split]))) for clip in clips]
        home = settle_splits(asked, report, seed=self.seed, validation_share=self.validation_share) if clips else {}
        self._films(clips, speakers, home)
        said = self._said(files)
        content = content_of(clips, speakers, home, [asdict(report), said, self.clips_per_shard, folder.name])
        if packed(folder) == content and clips:
            print("nothing to do: the dataset is what these files and settings make")
            return open_dataset(folder)
        (folder / DESCRIPTION).unlink(missing_ok=True)  # from here on the folder is no dataset, until it is whole again
        if clips:
            write_dataset(
                folder,
                clips_of(clips, speakers, home),
                name=folder.name,
                source=f"{KIND} {json.dumps(said, sort_keys=True)}",
                clips_per_shard=self.clips_per_shard,
            )
        page = write_report(folder, files, clips, rejected, speakers, home, report, self.settings, said)
        path = report.write(folder, said)
        print(f"{report.text()}\nreport    {page}, {path}")
        if not clips:
            raise NothingImported(f"{folder}: no clip was left to write; the reasons stand above and in {path}")
        with replacing(folder / STAGING / PACKED) as temporary:
            temporary.write_text(json.dumps({"content": content}) + "\n")
        return open_dataset(folder)

    def _speakers(self, clips: Sequence[Accepted], folder: Path, report: Report) -> dict[str, str]:
        embed = None
        if self.speaker in ("auto", "faces"):
            with suppress(FileNotFoundError):  # without the networks there are other ways, which the report tells of
                embed = KeptEmbedder(FaceEmbedder(), folder / STAGING / "faces")
        facts = [clip.facts for clip in clips]
        return name_speakers(facts, self.speaker, embed, report, same_face=self.same_face)

    def _said(self, files: Sequence[Worked]) -> dict[str, Any]:
        """Settings and what came of them, the same on every machine."""
        decoders = Counter(file.journal.decoder for file in files if file.journal.decoder)
        reasons = Counter(file.journal.why for file in files if file.journal.why)
        return {
            "settings": asdict(self.settings),
            "speaker": self.speaker,
            "detector": files[0].task.detector if files else None,
            "extractor": files[0].task.extractor if files else None,
            "seed": self.seed,
            "decoders": dict(sorted(decoders.items())),
            "not_decord": dict(sorted(reasons.items())),
        }


def named(extractor: dict[str, Any]) -> str:
    """M in words."""
    sha256 = "" if extractor["sha256"] is None else f" ({extractor['sha256'][:12]}…)"
    return f"LivePortrait's motion extractor, {extractor['weights']}{sha256}"


def filmed(task: Task) -> bool:
    journal = Journal.open(task.folder, task.source.path)
    names = [film_name(verdict, task.settings) for verdict in journal.verdicts if verdict.file in task.films]
    return all((task.folder / name).is_file() for name in names)


def _ended(bar: Bar, task: Task, stage: str, result: Any) -> None:
    """A stage of a file has ended: what the process died of is noted, the rest stands in the journal already."""
    if isinstance(result, Died):
        journal = Journal.open(task.folder, task.source.path)
        at = task.moved(journal.probed.sha256) if journal.probed else task.unread
        journal.reject(Unusable("worker_killed", result.reason), at)
    if stage != "look" or result is not True:
        bar.file(Journal.open(task.folder, task.source.path).rejected is not None)


def packed(folder: Path) -> str | None:
    """Fingerprint of the dataset that is there, whole; None where there is none."""
    try:
        content = json.loads((folder / STAGING / PACKED).read_bytes())["content"]
        open_dataset(folder)
    except (OSError, ValueError, KeyError):
        return None
    return content


def check_ours(folder: Path) -> None:
    """Raises DatasetError for a folder with a dataset of another source, before hours are spent."""
    if (folder / DESCRIPTION).exists() and not open_dataset(folder).description["source"].startswith(KIND):
        raise DatasetError(f"{folder / DESCRIPTION}: a dataset of another source; choose another folder or remove it")


@contextmanager
def alone(staging: Path) -> Iterator[None]:
    """Raises ValueError where another process is at work in this folder."""
    staging.mkdir(parents=True, exist_ok=True)
    with open(staging / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            where = shown(staging.parent)
            raise ValueError(f"{where}: another preprocess is at work in this folder; wait for it") from error
        yield


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """A full disk ends the run with one sentence; what is done is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise NothingImported(
            f"{shown(folder)}: {error.strerror} ({errno.errorcode[error.errno]}) at {error.filename}; what is done is "
            "kept: free some room and type the same command again"
        ) from error
