"""What is found out about a recording before it is read: which track, which decoder, which mix, how long it is.

All of it is decoded once for that. Only the whole recording shows whether a track can be decoded, whether one channel
is inverted, and how long it lasts: a header may say anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from joyvasa.io.audio_clock import BLOCK, Clock
from joyvasa.io.audio_mix import Levels, Mix, choose_mix
from joyvasa.io.audio_tracks import (
    CHAINED,
    Broken,
    NoDecoder,
    NoSound,
    NothingDecoded,
    Piece,
    Track,
    audio_tracks,
    decode_soundfile,
    decode_track,
    soundfile_seconds,
)
from joyvasa.io.timeline import Damaged, opened
from joyvasa.io.wav import wav_parts

LOUDEST = 16.0  # decoders overshoot 1 a little; integers stored as floats overshoot it by thousands
SHORTER_SECONDS = 0.05  # by which one decoder may read less than the other
# FFmpeg's formats whose header states the length of what is there, not a guess by the bit rate.
STATED = ("flac", "aiff", "au", "caf", "w64", "mov,mp4,m4a,3gp,3g2,mj2")
MISSING_SECONDS = 0.5  # from the end that a header states, from which a recording counts as cut off
NOTED_SECONDS = 0.02  # of silence or cuts by time stamps, from which on they are noted
KEPT = 256  # surveys that are remembered


@dataclass(frozen=True, eq=False)
class AudioFacts:
    """What a recording holds.

    container: FFmpeg's name of the format. track: number of the stream that is read, None where libsndfile reads it.
    rate (Hz), channels, layout: of its beginning. mixes: layout -> how its channels become one or two.
    seconds: from the first sample to the end, as decoded, pauses by time stamps included.
    notes: what is to be said of it, each a sentence with the file's name.
    """

    container: str
    track: int | None
    rate: int
    channels: int
    layout: str
    mixes: dict[str, Mix]
    seconds: float
    notes: tuple[str, ...]

    @property
    def chained(self) -> bool:
        """Whether stamps that go back are those of another file, joined to this one."""
        return self.container == CHAINED


def survey_audio(path: Path | str) -> AudioFacts:
    """Decode all of a recording or of a video's best audio track, with flat memory. Asked again, it is remembered.

    Raises FileNotFoundError; NoSound for no audio track or no samples; NoDecoder naming the track; Damaged; ValueError
    for what is no audio, NaN, or samples far beyond full scale. All name the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such audio file; check the path")
    found = path.stat()
    if found.st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); export or download it again")
    return _surveyed(path, os.path.abspath(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(KEPT)
def _surveyed(path: Path, *identity: object) -> AudioFacts:
    """By FFmpeg; by libsndfile what FFmpeg refuses or reads shorter. identity: of the file's content."""
    clocks: list[Clock] = []  # of the tracks that FFmpeg began, also where it failed later
    try:
        facts = _by_ffmpeg(path, clocks)
    except ValueError as problem:
        reached = max((clock.seconds for clock in clocks), default=0.0)
        facts = _by_soundfile(path, reached, "FFmpeg cannot")
        if facts is None:
            raise problem
        return facts
    if facts.container == "mp3" or soundfile_seconds(path) <= facts.seconds + SHORTER_SECONDS:
        return facts
    return _by_soundfile(path, facts.seconds, f"FFmpeg reads {facts.seconds:.1f} s of it") or facts


def _by_ffmpeg(path: Path, clocks: list[Clock]) -> AudioFacts:
    """The best track that can be decoded. Raises as `survey_audio`."""
    with opened(path) as container:
        name = container.format.name
        described = container.format.long_name
        tracks = audio_tracks(container)
        stated = _stated_seconds(container)
    if not tracks:
        raise NoSound(f"{path}: no sound track (it reads as {described}); give a file that has one")
    first = max(tracks, key=lambda track: track.is_default)
    passed: list[str] = []
    faults: list[ValueError] = []
    for track in tracks:
        if track.fault:
            passed.append(f"{track.name} ({track.fault})")
            continue
        try:
            facts = _measure(path, name, track, stated.get(track.index), clocks)
        except (NoSound, NothingDecoded) as error:
            passed.append(f"{track.name} ({error.short})")
            faults.append(error)
            continue
        if track is not first and first.special and not track.special:
            passed.append(f"{first.name} (a commentary or the like)")
        if not passed:
            return facts
        note = f"audio of {path.name}: {track.name} is read; passed over: {', '.join(passed)}"
        return replace(facts, notes=(note, *facts.notes))
    undecodable = [f"{each.name} ({each.fault.rpartition(': ')[2]})" for each in tracks if each.fault]
    if not undecodable:
        raise faults[0]
    names = ", ".join(undecodable)
    raise NoDecoder(f"{path}: no decoder for its audio {names}; convert its audio to AAC, or export it again")


def _measure(path: Path, container: str, track: Track, stated: float | None, clocks: list[Clock]) -> AudioFacts:
    """Decode a track to its end. Raises NoSound where that gives no sample."""
    broken = Broken()
    clocks.append(Clock(None, restarts=container == CHAINED, bounded=True))
    gatherer = _Gatherer(path, clocks[-1])
    for piece in decode_track(path, track.index, broken):
        gatherer.add(piece)
    if not gatherer.count:
        raise NoSound(f"{path}: the sound track holds no samples; export or download it again")
    notes = [*_broken_notes(broken), *_clock_notes(gatherer.clock)]
    notes += _wav_notes(path) if container == "wav" else _length_notes(gatherer.clock.seconds, stated)
    return gatherer.facts(container, track.index, notes)


def _by_soundfile(path: Path, reached: float, why: str) -> AudioFacts | None:
    """Where libsndfile reads a recording to its end, and more of it than the seconds that FFmpeg reached."""
    gatherer = _Gatherer(path, Clock(None))
    try:
        for piece in decode_soundfile(path):
            gatherer.add(piece)
    except Damaged:
        return None
    if not gatherer.count or gatherer.clock.seconds <= reached + SHORTER_SECONDS:
        return None
    return gatherer.facts("libsndfile", None, [f"it is read by libsndfile ({why})"])


class _Gatherer:
    """Looks at pieces as they come: levels by layout, a block at a time, and their places in time."""

    def __init__(self, path: Path, clock: Clock):
        self.path = path
        self.clock = clock
        self.count = 0
        self._first: Piece | None = None
        self._rates: list[int] = []
        self._levels: dict[str, Levels] = {}
        self._held: list[Piece] = []
        self._held_count = 0

    def add(self, piece: Piece) -> None:
        samples = len(piece.samples_NC)
        if not samples:
            return
        if self._first is None:
            self._first = piece
        if not self._rates or self._rates[-1] != piece.rate:
            self._rates.append(piece.rate)
        last = self._held[-1] if self._held else piece
        if self._held_count >= BLOCK or (last.rate, last.layout) != (piece.rate, piece.layout):
            self._look()
        self._held.append(piece)
        self._held_count += samples
        self.count += samples
        self.clock.place(piece.stamp, piece.rate, samples)

    def _look(self) -> None:
        if not self._held:
            return
        first = self._held[0]
        samples_NC = np.concatenate([piece.samples_NC for piece in self._held])
        levels = self._levels.setdefault(first.layout, Levels(first.layout, samples_NC.shape[1]))
        levels.add(samples_NC, first.rate)
        if not levels.finite:
            raise ValueError(f"{self.path}: samples are NaN or infinite; export the file again")
        if levels.peak > LOUDEST:
            raise ValueError(f"{self.path}: peak {levels.peak:.0f} (expected within [-1, 1]); rescale the samples")
        self._held = []
        self._held_count = 0

    def facts(self, container: str, track: int | None, notes: list[str]) -> AudioFacts:
        """What was found. Raises ValueError for NaN, or samples far beyond full scale."""
        self._look()
        mixes = {layout: choose_mix(levels) for layout, levels in self._levels.items()}
        notes = notes + [mix.note for mix in mixes.values() if mix.note]
        if len(self._rates) > 1:
            notes.append(f"its sample rate changes: {', '.join(map(str, self._rates[:8]))} Hz")
        return AudioFacts(
            container=container,
            track=track,
            rate=self._first.rate,
            channels=self._first.samples_NC.shape[1],
            layout=self._first.layout,
            mixes=mixes,
            seconds=self.clock.seconds,
            notes=tuple(f"audio of {self.path.name}: {note}" for note in notes),
        )


def _stated_seconds(container) -> dict[int, float]:
    """Stream -> seconds that its header states, of formats whose headers are to be believed."""
    if container.format.name not in STATED:
        return {}
    streams = [stream for stream in container.streams.audio if stream.duration]
    return {stream.index: float(stream.duration * stream.time_base) for stream in streams}


def _broken_notes(broken: Broken) -> list[str]:
    if not broken.packets:
        return []
    place = f"the first at {broken.first:.1f} s"
    return [f"{broken.packets} pieces of it ({broken.seconds:.2f} s) cannot be decoded and are left out, {place}"]


def _clock_notes(clock: Clock) -> list[str]:
    notes = []
    if clock.silence > NOTED_SECONDS and clock.first_gap is not None:
        notes.append(f"its time stamps leave {clock.silence:.2f} s silent, first at {clock.first_gap:.1f} s")
    if clock.cut > NOTED_SECONDS:
        notes.append(f"its time stamps overlap by {clock.cut:.2f} s, which is cut")
    if clock.set_back is not None:
        place = f"at {clock.set_back:.1f} s, as in joined files"
        notes.append(f"its time stamps go back {place}; the parts follow one another")
    if clock.set_ahead is not None:
        jump = f"{clock.jump / 3600:.1f} h at {clock.set_ahead:.1f} s"
        notes.append(f"its time stamps jump ahead by {jump}: left out of a voice, silent beside a video")
    return notes


def _length_notes(seconds: float, stated: float | None) -> list[str]:
    if stated is None or seconds >= stated - MISSING_SECONDS:
        return []
    return [f"it ends at {seconds:.1f} s (its header states {stated:.1f} s): cut off, or not finished"]


def _wav_notes(path: Path) -> list[str]:
    """What FFmpeg does not say of a WAV: that its end is missing, or that another one is joined to it."""
    parts = wav_parts(path)
    if not parts:
        return []
    first = parts[0]
    if first.stated is not None and first.there < first.stated:
        there = first.there / first.stated
        return [f"{there:.0%} of the samples that its header states are there: cut off, or not finished"]
    if len(parts) > 1:
        return [f"another WAV joined to its end, from byte {first.end} on, is not read; join the audio with a program"]
    return []
