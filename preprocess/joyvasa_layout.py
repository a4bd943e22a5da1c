"""source=joyvasa: the folder that JoyVASA's own data preparation leaves.

    motions.pkl            {audio name: motion dictionary}
    train.json test.json   [{"audio_name": ..., "motion_name": ..., "video_name": ...}, ...]
    motion_template.pkl    statistics of all clips, test.json's included; also spelt motion_templete.pkl
    and the voices, wherever the audio names lead

Official: src/prepare_data/02_gen_labels.py, 03_merge_motions.py, 04_gen_template.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from pathlib import Path

from joyvasa.data.official import OfficialMotion, read_motion, read_template, stats_of_template, template_of
from joyvasa.data.official_template import TEMPLATES
from joyvasa.data.shards import DatasetInfo
from joyvasa.io.files import FILM_ENDINGS, SOUND_ENDINGS
from joyvasa.markup import shown
from joyvasa.motion import STD_FLOOR, MotionStats
from joyvasa.unpickle import load_pickle
from preprocess.importing import Candidate, Import, check_output, find_files
from preprocess.report import Report, Unusable, reason_of
from preprocess.splits import TRAIN, VALIDATION
from preprocess.tables import nfc

MOTIONS = "motions.pkl"
LISTS = {"train.json": TRAIN, "test.json": VALIDATION}
TEMPLATE_TOLERANCE = 0.05  # of a channel's deviation: the official sums are float32, over millions of frames
SPEAKERS = ("auto", "folder", "stem")


class JoyVASASource:
    """Reads such a folder; called with the output folder it writes the dataset.

    motions.pkl is loaded at once, which takes several times its size in memory; what is held afterwards is 1 GB for
    40 hours. train.json becomes train and test.json validation, by speaker: a speaker in both goes to train as a whole.
    Where a list is missing or broken, speakers are split by their hash. speaker: `folder` (of the voice), `stem` (every
    voice another), or `auto`, the folder where there are several.
    """

    def __init__(self, *, input: str | None, speaker: str, **settings):
        if input is None:
            raise ValueError("input= is missing: the folder that holds motions.pkl, train.json and test.json")
        if speaker not in SPEAKERS:
            raise ValueError(f"source.speaker={speaker} (expected one of {', '.join(SPEAKERS)})")
        self.input, self.speaker = Path(input), speaker
        self.settings = Import(extractor="joyvasa", **settings)

    def __call__(self, output: str) -> DatasetInfo:
        folder, report = Path(output), Report()
        check_output(folder)
        if not (self.input / MOTIONS).is_file():
            raise FileNotFoundError(f"input={shown(self.input)}: no {MOTIONS} there; give JoyVASA's data folder")
        motions = self._motions(report)
        self._compare_template(motions, report)
        candidates = list(self._candidates(motions, report))
        return self.settings.run(folder, candidates, report, {"input": shown(self.input), "speaker": self.speaker})

    def _motions(self, report: Report) -> dict[str, OfficialMotion | Unusable]:
        """Every motion by audio name, or what is wrong with it; nothing, reported, for a broken motions.pkl."""
        path, motions = self.input / MOTIONS, {}
        try:
            content = load_pickle(path)
            if not isinstance(content, dict):
                raise ValueError(f"holds {type(content).__name__} (expected a dictionary by audio name)")
        except ValueError as error:
            report.reject(MOTIONS, Unusable("unreadable motions", reason_of(error, path)))
            return motions
        for name in list(content):
            motion, name = content.pop(name), nfc(str(name))  # the arrays take less memory than the dictionaries
            try:
                if not isinstance(motion, dict):
                    raise ValueError(f"holds {type(motion).__name__} (expected a motion dictionary)")
                motions[name] = read_motion(motion, name)
            except ValueError as error:
                motions[name] = Unusable("unreadable motion", reason_of(error, name))
        return motions

    def _compare_template(self, motions: dict[str, OfficialMotion | Unusable], report: Report) -> None:
        """Remark on a template that was not made of these motions."""
        clips = [motion.motion for motion in motions.values() if isinstance(motion, OfficialMotion)]
        for path in (self.input / name for name in TEMPLATES):
            if not clips or not path.is_file():
                continue
            try:
                worst = _difference(read_template(path), stats_of_template(template_of(clips, None), MOTIONS))
            except ValueError as error:
                report.reject(path.name, Unusable("unreadable template", reason_of(error, path)))
                continue
            if worst > TEMPLATE_TOLERANCE:
                reason = (
                    f"off by up to {worst:.2g} deviations from the {len(clips)} clips of {MOTIONS}, test split "
                    f"included; the dataset has its own statistics, of {TRAIN} alone"
                )
                report.remark(path.name, "other template", reason)

    def _candidates(self, motions: dict[str, OfficialMotion | Unusable], report: Report) -> Iterator[Candidate]:
        if not motions:
            return
        asked = self._asked(list(motions), report)
        speakers = _speakers(list(asked), self.speaker)
        for name in (name for name in motions if name not in asked):
            report.reject(name, Unusable("not listed", f"in {MOTIONS}, but in neither of {', '.join(LISTS)}"))
        for name, splits in asked.items():
            try:
                motion = motions.get(name, Unusable("no motion", f"listed, but not in {MOTIONS}"))
                if isinstance(motion, Unusable):
                    raise motion
                voice = self._voice(name)
            except Unusable as problem:
                report.reject(name, problem)
                continue
            yield Candidate(
                name=name,
                source=self.input / MOTIONS,
                read=lambda motion=motion: motion,
                voice=voice,
                voice_name=name,
                speaker=speakers[name],
                asked=frozenset(splits),
                paired=True,
            )

    def _asked(self, names: list[str], report: Report) -> dict[str, set[str]]:
        """The splits that the lists ask for, by audio name; without any readable list every motion."""
        asked: dict[str, set[str]] = {}
        lists = 0
        for file, split in LISTS.items():
            try:
                listed = _listed(self.input / file, report)
            except (ValueError, OSError) as error:
                reason = f"{reason_of(error, self.input / file)}; speakers are split by hash"
                report.reject(file, Unusable("unreadable list", reason))
                continue
            lists += 1
            for name in listed:
                asked.setdefault(name, set()).add(split)
        if lists == len(LISTS):
            return asked
        return {name: set() for name in (asked if lists else names)}

    def _voice(self, name: str) -> Path:
        """The file of an audio name: as given, relative to the folder, else the one below it that ends most alike."""
        parts = _parts(name)
        for path in (Path(name), self.input / name):
            if os.path.isfile(path):
                return path
        found = self._voices.get(parts[-1], [])
        alike = [_common_tail(parts, _parts(nfc(path.as_posix()))) for path in found]
        best = [path for path, length in zip(found, alike, strict=True) if length == max(alike)]
        if len(best) == 1:
            return best[0]
        if best:
            names = ", ".join(nfc(path.relative_to(self.input).as_posix()) for path in best[:4])
            raise Unusable("several voices", f"{len(best)} files are called so below the folder: {names}")
        raise Unusable("no voice", f"no such file, nor one called {parts[-1]} below {shown(self.input)}")

    @cached_property
    def _voices(self) -> dict[str, list[Path]]:
        """Sound and film files below the folder by name."""
        by_name: dict[str, list[Path]] = {}
        for path in find_files(self.input, SOUND_ENDINGS + FILM_ENDINGS):
            by_name.setdefault(nfc(path.name), []).append(path)
        return by_name


def _listed(path: Path, report: Report) -> list[str]:
    """The audio names of train.json or test.json, each once. Raises ValueError or OSError for a broken file."""
    with open(path, encoding="utf-8") as stream:
        entries = json.load(stream)
    if not isinstance(entries, list):
        raise ValueError(f"holds {type(entries).__name__} (expected a list of dictionaries with audio_name)")
    names: dict[str, None] = {}
    for number, entry in enumerate(entries):
        name = entry.get("audio_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            report.reject(f"{path.name} entry {number}", Unusable("broken entry", f"no audio_name in {entry!r:.80}"))
        elif nfc(name) in names:
            report.reject(f"{path.name} entry {number}", Unusable("listed twice", f"{nfc(name)} again; kept once"))
        else:
            names[nfc(name)] = None
    return list(names)


def _parts(name: str) -> list[str]:
    """Folders and name of a path, whichever system wrote it."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")] or [name]


def _common_tail(one: list[str], other: list[str]) -> int:
    """How many last parts two paths share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _speakers(names: list[str], how: str) -> dict[str, str]:
    """The speaker of every audio name: its folder, below the folder that all share, or its stem."""
    folders = {name: _parts(name)[:-1] for name in names}
    several = len(set(map(tuple, folders.values()))) > 1
    if how == "stem" or how == "auto" and not several:
        return {name: Path(_parts(name)[-1]).stem for name in names}
    shared = len(os.path.commonprefix(list(folders.values())))
    return {name: "/".join(folder[shared:] or folder[-1:]) or "." for name, folder in folders.items()}


def _difference(found: MotionStats, expected: MotionStats) -> float:
    """Largest difference of mean, std, min or max, in deviations of the channel."""
    unit = expected.std.clamp(min=STD_FLOOR)
    pairs = ((getattr(found, field.name), getattr(expected, field.name)) for field in fields(MotionStats))
    return max(float(((a - b).abs() / unit).max()) for a, b in pairs)
