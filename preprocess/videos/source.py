"""source=videos: folders of talking-face video -> shards. Finds the files, has an engine work on them, packs the clips.

Work lies in `.staging` of the output folder, a folder a file (see journal.py), so that nothing is done twice.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import DatasetInfo, open_dataset
from joyvasa.faces.detect import open_detector
from joyvasa.markup import shown
from preprocess.features import FeatureSource
from preprocess.report import NothingImported, Report
from preprocess.splits import settle_splits
from preprocess.videos.discover import discover
from preprocess.videos.embedding import FaceEmbedder, KeptEmbedder
from preprocess.videos.engines.progress import Died
from preprocess.videos.filming import film_clips
from preprocess.videos.journal import Journal
from preprocess.videos.motion import Extractor, identity_of
from preprocess.videos.output import (
    KIND,
    PACKING,
    STAGING,
    Packed,
    check_ours,
    forget_packed,
    note_packed,
    packed,
    put_in_place,
    room,
    tell_changes,
)
from preprocess.videos.pack import Accepted, Spoilt, Worked, clips_of, content_of, judged
from preprocess.videos.page import UNTRAINED
from preprocess.videos.page_facts import RejectRow
from preprocess.videos.progress import Bar, frames_to_work
from preprocess.videos.records import Source, Unusable
from preprocess.videos.settings import Settings, fingerprint
from preprocess.videos.speakers import WAYS, Embedder, name_speakers
from preprocess.videos.stages import look, move
from preprocess.videos.summary import write_report
from preprocess.videos.sync import check_expert
from preprocess.videos.task import Task, forget_unused, settled, start_again


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
        if speaker not in WAYS:
            raise ValueError(f"source.speaker={speaker} (expected one of {', '.join(WAYS)})")
        if clips_per_shard < 1 or not 0 <= validation_share <= 1:
            raise ValueError(
                f"source.clips_per_shard={clips_per_shard}, source.validation_share={validation_share} "
                "(expected 1 or more, and a share in [0, 1])"
            )

    def __call__(self, output: str) -> DatasetInfo:
        """Raises NothingImported where no clip is left or the disk is full, ValueError and OSError for what was asked
        wrongly."""
        folder, report = Path(output), Report()
        check_ours(folder)
        detector = open_detector(self.settings.following.detector)
        extractor = identity_of(self.settings.extracting, self.engine.device)
        expert = check_expert(self.settings.filters)
        print(f"faces     {detector.name}: {detector.note}\nmotion    {named(extractor)}", flush=True)
        if extractor["untrained"]:
            report.remark("motion", UNTRAINED, f"{named(extractor)}: random weights, the motion means nothing")
        embed = self._embedder(folder)
        if self.features is not None:
            FeatureSource(input=output, features=self.features, seed=self.seed).check()
        sources = discover(self.input, self.metadata, report, output=folder)
        with room(folder):
            tasks = [self._task(source, folder / STAGING, detector.name, extractor, expert) for source in sources]
            dataset = self._made(folder, tasks, embed, report)
            if self.features is not None:
                dataset = FeatureSource(input=output, features=self.features, seed=self.seed)(None)
        return dataset

    def _made(self, folder: Path, tasks: Sequence[Task], embed: Embedder | None, report: Report) -> DatasetInfo:
        """Work and pack; what a crash of the machine left unreadable is found out when it is packed, and made again."""
        spoilt: set[str] = set()
        while True:
            self._work(tasks)
            files = [Worked(task, Journal.open(task.folder, task.source.path)) for task in tasks]
            try:
                return self._pack(folder, files, embed, deepcopy(report))
            except Spoilt as error:
                if error.task.name in spoilt:
                    raise
                spoilt.add(error.task.name)
                print(f"again     {error.task.name}: {error}", flush=True)
                start_again(error.task.folder, Journal.open(error.task.folder, error.task.source.path))

    def _task(
        self, source: Source, staging: Path, detector: str, extractor: dict[str, Any], expert: str | None
    ) -> Task:
        return Task(source, staging / source.key, self.settings, detector, extractor, expert)

    def _work(self, tasks: Sequence[Task]) -> None:
        """Have the engine do what is left to do."""
        left = [task for task in tasks if not settled(task)]
        print(f"files     {len(tasks)}, {len(tasks) - len(left)} done before", flush=True)
        if left:
            make = partial(Extractor, self.settings.extracting)
            with Bar("files", left, frames_to_work) as bar:
                self.engine.run(left, look, move, make, partial(_ended, bar), bar.tick)
        for task in left:
            forget_unused(task)

    def _pack(self, folder: Path, files: Sequence[Worked], embed: Embedder | None, report: Report) -> DatasetInfo:
        clips, rejected = judged(files, report)
        report.imported = len(clips)
        facts = [clip.facts for clip in clips]
        found = name_speakers(facts, self.speaker, embed, report, same_face=self.same_face)
        speakers = found.speakers
        asked = [(speakers[clip.key], frozenset(filter(None, [clip.worked.task.source.split]))) for clip in clips]
        how = {"seed": self.seed, "validation_share": self.validation_share, "together": found.together}
        home = settle_splits(asked, report, **how) if clips else {}
        if self.settings.reference.film:
            film_clips(clips, speakers, home, self.engine, report)
        said = self._said(files)
        content = content_of(clips, speakers, home, [said, folder.name])
        before, names = packed(folder), tuple(sorted({clip.worked.name for clip in clips}))
        now = Packed(content, fingerprint(content, asdict(report)), names)
        if clips and before == now:
            print("nothing to do: the dataset is what these files and settings make")
            return open_dataset(folder)
        if clips and before:
            splits = {clip.key: home[speakers[clip.key]] for clip in clips}
            tell_changes(before, folder, [file.name for file in files], splits, report)
        forget_packed(folder)
        if clips and (before is None or before.content != content):
            self._write(folder, clips, speakers, home, said, report)
        page = write_report(folder, files, clips, rejected, speakers, home, report, self.settings, said)
        path = report.write(folder, said)
        print(f"{report.text()}\nreport    {page}, {path}")
        if not clips:
            kept = "; the dataset that was here before stays, without its report" if before else ""
            reasons = f"the reasons stand above and in {path}{_longest_stretch(rejected)}"
            raise NothingImported(f"{folder}: no clip was left to write; {reasons}{kept}")
        note_packed(folder, now)
        return open_dataset(folder)

    def _write(
        self,
        folder: Path,
        clips: Sequence[Accepted],
        speakers: dict[str, str],
        home: dict[str, str],
        said: dict[str, Any],
        report: Report,
    ) -> None:
        packing = folder / STAGING / PACKING
        shutil.rmtree(packing, ignore_errors=True)
        write_dataset(
            packing,
            clips_of(clips, speakers, home),
            name=folder.name,
            source=f"{KIND} {json.dumps(said, sort_keys=True)}",
            clips_per_shard=self.clips_per_shard,
        )
        for name in put_in_place(packing, folder):
            again = f"python -m preprocess source=shards input={shown(folder)} features=…"
            report.remark(name, "features", f"of the dataset that was here before; add them again: {again}")

    def _embedder(self, folder: Path) -> Embedder | None:
        """Raises FileNotFoundError with the command where faces are asked for and the networks are missing."""
        if self.speaker not in ("auto", "faces"):
            return None
        try:
            return KeptEmbedder(FaceEmbedder(), folder / STAGING / "faces")
        except FileNotFoundError:
            if self.speaker == "faces":
                raise
            return None  # there are other ways, which the report tells of

    def _said(self, files: Sequence[Worked]) -> dict[str, Any]:
        """Settings and what came of them, the same on every machine."""
        decoders = Counter(file.journal.decoder for file in files if file.journal.decoder)
        reasons = Counter(file.journal.why for file in files if file.journal.why)
        settings = asdict(self.settings)
        del settings["extracting"]["weights"]  # may be a path; `extractor` says what they are
        return {
            "settings": settings,
            "speaker": self.speaker,
            "same_face": self.same_face,
            "validation_share": self.validation_share,
            "clips_per_shard": self.clips_per_shard,
            "detector": files[0].task.detector if files else None,
            "extractor": files[0].task.extractor if files else None,
            "seed": self.seed,
            "decoders": dict(sorted(decoders.items())),
            "not_decord": dict(sorted(reasons.items())),
        }


def _longest_stretch(rejected: Sequence[RejectRow]) -> str:
    """Where stretches with a face were only too short: which setting takes the longest of them."""
    longest = max((row.seconds for row in rejected if row.code == "short"), default=0.0)
    seconds = math.floor(10 * longest) / 10
    if seconds <= 0:
        return ""
    return f"; the longest stretch with a face has {longest:.2f} s: filters.min_seconds={seconds:g} takes it"


def named(extractor: dict[str, Any]) -> str:
    """M in words."""
    sha256 = "" if extractor["sha256"] is None else f" ({extractor['sha256'][:12]}…)"
    return f"LivePortrait's motion extractor, {extractor['weights']}{sha256}"


def _ended(bar: Bar, task: Task, stage: str, result: Any) -> None:
    """A stage of a file has ended: what the process died of is noted, the rest stands in the journal already."""
    journal = Journal.open(task.folder, task.source.path)
    if isinstance(result, Died):
        journal.reject(Unusable("worker_killed", result.reason), task.asked(journal))
    if stage != "look" or result is not True:
        bar.file(task, journal.rejected is not None)
