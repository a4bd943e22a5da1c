"""source=liveportrait: a folder of LivePortrait motion files and a folder of voices."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from joyvasa.data.official import read_motion
from joyvasa.data.shards import DatasetInfo
from joyvasa.markup import shown
from preprocess.importing import Candidate, Import, check_output, find_files, find_voices
from preprocess.pairing import Pair, by_stem, from_csv, in_turn
from preprocess.report import Report
from preprocess.tables import nfc

STEM, CYCLE, LIST = "stem", "cycle", ".csv"


class LivePortraitSource:
    """Reads the *.pkl below `input`; called with the output folder it writes the dataset.

    pairs: `stem`, the voice of the same name below `audio` (by default `input`); a .csv list, see `pairing.from_csv`;
    or `cycle`, voices in turn, which belong to another face: marked `paired: false`, from their beginning, repeated
    where shorter than the motion. A paired voice is cut, or padded with silence. Speaker: the list's, else the motion's
    stem. Split: the list's, else by hash of the speaker.
    """

    def __init__(self, *, input: str | None, audio: str | None, pairs: str, **settings):
        if pairs not in (STEM, CYCLE) and Path(pairs).suffix.lower() != LIST:
            raise ValueError(f"pairs={pairs} (expected {STEM}, {CYCLE} or a {LIST} file with columns motion,audio)")
        if input is None and pairs in (STEM, CYCLE):
            raise ValueError("input= is missing: the folder of motion files (*.pkl)")
        if audio is None and pairs == CYCLE:
            raise ValueError("audio= is missing: the folder of voices that pairs=cycle takes in turn")
        self.input, self.pairs = None if input is None else Path(input), pairs
        self.audio = self.input if audio is None else Path(audio)
        self.settings = Import(extractor="liveportrait", **settings)

    def __call__(self, output: str) -> DatasetInfo:
        folder, report = Path(output), Report()
        check_output(folder)
        candidates = [self._candidate(pair) for pair in self._pairs(report)]
        facts = {"input": self.input, "audio": self.audio, "pairs": self.pairs}
        said = {name: None if value is None else shown(value) for name, value in facts.items()}
        return self.settings.run(folder, candidates, report, said)

    def _pairs(self, report: Report) -> list[Pair]:
        for name, place in (("input", self.input), ("audio", self.audio)):
            if place is not None and not place.exists():
                raise FileNotFoundError(f"{name}={shown(place)}: no such folder")
        if self.pairs not in (STEM, CYCLE):
            if not Path(self.pairs).is_file():
                raise FileNotFoundError(f"pairs={self.pairs}: no such file")
            return from_csv(Path(self.pairs), self.input, self.audio, report)
        motions = find_files(self.input, (".pkl",))
        if not motions:
            raise FileNotFoundError(f"input={shown(self.input)}: no motion file (*.pkl) in this folder or below")
        pair = by_stem if self.pairs == STEM else in_turn
        return pair(motions, find_voices(self.audio), self.input, self.audio, report)

    def _candidate(self, pair: Pair) -> Candidate:
        return Candidate(
            name=pair.name,
            source=pair.motion,
            read=partial(read_motion, pair.motion, pair.name),
            voice=pair.voice,
            voice_name=pair.voice_name,
            speaker=pair.speaker or nfc(pair.motion.stem),
            asked=frozenset([pair.split] if pair.split else []),
            paired=self.pairs != CYCLE,
        )
