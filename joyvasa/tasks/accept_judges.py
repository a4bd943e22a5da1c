"""Steps of task=accept: the files of the registry, speech encoders, SyncNet's clip, every metric."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import numpy as np
import torch

from joyvasa import weights
from joyvasa.download import DownloadError, WrongFile
from joyvasa.eval.known_answers import ask, compared, published
from joyvasa.eval.known_judges import code_of, trained
from joyvasa.eval.lip_crop import LipCrop, LipTrack, embed_tracks, lip_crops
from joyvasa.eval.lip_track import SYNCNET_RULE, detector_boxes, no_track
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocols import SYNCNET_PROTOCOL
from joyvasa.eval.sync import ClipSync, audio_windows, clip_sync, window_count
from joyvasa.eval.verdicts import CLIP, METRICS, VERIFIED, WRONG, Examiner, accept_judge, digest_of
from joyvasa.eval.verdicts_kept import recall, remember
from joyvasa.faces.detect import open_detector
from joyvasa.io.video_reader import VideoReader
from joyvasa.io.video_sound import read_film_sound
from joyvasa.models.judges import load
from joyvasa.models.judges.syncnet import SIDE, SyncNet
from joyvasa.tasks.accept_step import Outcome, Step, files_of
from joyvasa.weight_store import COMMAND

JUDGE = "syncnet"
PIECE_FRAMES = 50  # of a clip, through the network at once


@dataclass
class Fetcher:
    """Pulls entries, and asks no host again that gave no answer. unfetched: entry -> why it could not be fetched."""

    examiner: Examiner
    silent: dict[str, str] = field(default_factory=dict)  # host -> the entry for which it was asked
    unfetched: dict[str, str] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        return Step(f"weights {name}", lambda: self._run(name), lambda: files_of(name))

    def _run(self, name: str) -> Outcome:
        if weights.state(weights.get(name)) in ("absent", "incomplete"):
            self._pull(name)
        found, entry = self.examiner.holding(name), weights.get(name)
        terms = "" if entry.commercial_use else f"; no commercial use: {entry.licence}"
        return Outcome(found.verdict.state, f"{found.verdict.detail}{terms}", files_of(name))

    def _pull(self, name: str) -> None:
        hosts = _hosts(name)
        asked = [host for host in hosts if host in self.silent]
        if asked:
            self.unfetched[name] = self.unfetched[self.silent[asked[0]]]
            raise DownloadError(
                f"not fetched: {asked[0]} gave no answer for {self.silent[asked[0]]}; "
                f"`{COMMAND} pull {name}` tries again, `{COMMAND} import PATH --as {name}` takes it from elsewhere"
            )
        try:
            weights.pull(name)
        except DownloadError as error:
            if isinstance(error.__cause__, WrongFile):
                raise ValueError(str(error)) from error
            refused = error.__cause__ is not None and isinstance(error.__cause__.__cause__, HTTPError)
            if not refused:
                self.silent |= dict.fromkeys(hosts, name)
            told = str(error.__cause__ or error)
            self.unfetched[name] = told.partition(": ")[2] or told  # behind the address
            raise


def _hosts(name: str) -> list[str]:
    entry, hub = weights.get(name), os.environ.get("JOYVASA_HUB", weights.HUB)
    files = [entry.archive] if entry.archive else entry.files
    return sorted({str(urlsplit(entry.address(each, hub)).netloc) for each in files})


def encoder_step(name: str, examiner: Examiner) -> Step:
    """A speech encoder hears a second of sound: numbers, and those that it gave when it was accepted."""

    def run() -> Outcome:
        files = examiner.holding(name)
        if files.verdict.state != VERIFIED:
            return Outcome(files.verdict.state, files.verdict.detail)
        accepted = recall(name, files.sha256, code_of(name))
        wrong = [str(each) for each in ask(name, [partial(trained, name, accepted)]) if not each.right]
        if wrong:
            return Outcome(WRONG, "; ".join(wrong))
        if accepted is None:
            accept_judge(name, files.sha256)
        said = "its numbers are kept" if accepted is None else "the numbers that were kept"
        return Outcome(VERIFIED, f"a second of sound is heard, {said}; {files.verdict.detail}")

    return Step(f"encoder {name}", run)


def metric_step(name: str, examiner: Examiner) -> Step:
    """The known answers of a metric; what its judge says is remembered, for later ones to be held against."""

    def run() -> Outcome:
        verdict, entry = examiner.verdict(name), METRICS[name].entry
        files = examiner.files.get(entry) if entry else None
        if files and verdict.state != WRONG and files.verdict.state == VERIFIED:
            if recall(entry, files.sha256, code_of(entry)) is None:
                accept_judge(entry, files.sha256)
        return Outcome(verdict.state, verdict.detail)

    return Step(f"metric {name}", run)


def clip_step(clip: Path | None, detector: str, examiner: Examiner) -> Step:
    """SyncNet's numbers of its authors' clip, within a tenth of those they publish."""
    expected = published(CLIP)

    def run() -> Outcome:
        if clip is None:
            raise FileNotFoundError(
                f"needs the authors' clip: fetch {expected['address']}, then give reference=PATH of it"
            )
        files = examiner.holding(JUDGE)
        if files.verdict.state != VERIFIED:
            return Outcome(files.verdict.state, files.verdict.detail)
        sync, way = score_clip(clip, load(JUDGE, "weights"), detector)
        score = sync.reference
        got = {"offset": score.offset, "distance": score.distance, "confidence": score.confidence}
        answers = [compared(name, expected[name], value, expected["within"][name]) for name, value in got.items()]
        wrong = [str(each) for each in answers if not each.right]
        facts = {name: round(float(value), 3) for name, value in got.items()} | {"way": way}
        fault = "; ".join([*wrong, way]) if wrong else ""
        remember(CLIP, files.sha256, code_of(JUDGE), facts, fault)
        if fault:
            return Outcome(WRONG, fault, facts)
        said = f"offset {score.offset}, distance {score.distance:.3f}, confidence {score.confidence:.3f}"
        return Outcome(VERIFIED, f"{said}, as published; {way}", facts)

    def inputs() -> dict[str, str]:
        # Another call, with another clip and out=, may have found otherwise since.
        known = recall(CLIP, digest_of(JUDGE), code_of(JUDGE)) is not None
        seen = {"clip": weights.sha256_of(clip) if clip else "", "code": code_of(JUDGE), "kept": str(known)}
        return files_of(JUDGE) | seen

    return Step("syncnet clip", run, inputs)


def score_clip(path: Path, judge: SyncNet, detector: str) -> tuple[ClipSync, str]:
    """SyncNet's scores of a film, and in words how its faces were found.

    A film of 224 by 224 pixels is a crop already, as the authors' demo takes it; in others the longest track of a face
    is cropped, seen by our detector, which is not theirs. Raises ValueError for a film without a face.
    """
    film = VideoReader(path)
    cepstra_of = read_film_sound(path, film.info.seconds)
    if (film.info.width, film.info.height) == (SIDE, SIDE):
        lip = judge.lip_windows(_pieces(film))
        return _sync(judge, lip, len(film), cepstra_of), "frames as they are, a crop already"
    seen = open_detector(detector)
    tracks: list[LipTrack] = []
    events = _noted(lip_crops(film, detector_boxes(seen, 0.0), SYNCNET_RULE, str(path)), tracks)
    embedded = embed_tracks(events, lambda piece: judge.lip_windows([piece]), piece_frames=PIECE_FRAMES)
    found = [(track, lip) for track, lip in embedded if lip is not None]
    if not found:
        raise ValueError(f"{path}: {no_track(tracks)}; give the authors' clip")
    track, lip = max(found, key=lambda each: len(each[1]))
    sound = cepstra_of[track.samples.start : track.samples.stop]
    return _sync(judge, lip, track.stop - track.start, sound), f"a face found by {seen.name}, which is not the authors'"


def _noted(events: Iterable[LipCrop | LipTrack], tracks: list[LipTrack]) -> Iterable[LipCrop | LipTrack]:
    for event in events:
        if isinstance(event, LipTrack):
            tracks.append(event)
        yield event


def _pieces(film: VideoReader) -> Iterable[torch.Tensor]:
    frames = iter(film)
    while piece := list(islice(frames, PIECE_FRAMES)):
        yield torch.from_numpy(np.stack(piece))


def _sync(judge: SyncNet, lip_ND: torch.Tensor, frames: int, sound_S: np.ndarray) -> ClipSync:
    windows = window_count(frames, len(sound_S))
    audio = judge.audio(torch.tensor(audio_windows(mfcc(sound_S), windows)))
    return clip_sync(lip_ND[:windows], audio, max_shift=SYNCNET_PROTOCOL.max_shift)
