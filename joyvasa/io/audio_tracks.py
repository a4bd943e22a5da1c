"""The audio tracks of a file and their decoders: FFmpeg (PyAV) for nearly all, libsndfile for what FFmpeg refuses.

Only `joyvasa.io.audio_survey` and `joyvasa.io.audio` use this: everything else opens audio with `open_audio`.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from joyvasa.io.timeline import Damaged, opened
from joyvasa.io.wav import Window, wav_parts

SOUNDFILE_BLOCK = 65_536
# FFmpeg's formats that are nothing but packets in a row, each of which says where it begins. A broken packet costs that
# packet alone: where files were joined byte by byte, the first of each part is one.
SELF_SYNCHRONISING = ("mp3", "aac", "ac3", "eac3", "loas", "amr")
BROKEN_SHARE = 0.2  # of their packets, above which such a file is damaged
# Formats in which FFmpeg counts the time instead of reading it: its stamps say nothing about gaps.
COUNTED = (*SELF_SYNCHRONISING, "wav", "w64", "aiff", "au", "caf", "dts", "truehd")
CHAINED = "ogg"  # files joined end to end are one file, whose clock begins again with each
ENCRYPTED = ("enca", "drms", "drmi")  # sample entries of mov and mp4
# Dispositions of FFmpeg: tracks that speak about the video, or for those who cannot see or hear it.
SPECIAL = 0x8 | 0x10 | 0x20 | 0x80 | 0x100 | 0x200 | 0x20000  # comment lyrics karaoke impaired clean descriptions
DEFAULT = 0x1
TRACK_LINE = re.compile(r"Stream #0:(\d+).*?: Audio: (\S+).*?(?:\(([^()/]+) / 0x[0-9A-Fa-f]+\)|$)", re.MULTILINE)

_log_level = threading.Lock()


class NoSound(ValueError):
    """A file without an audio track, or with one that holds no samples. short: a word or two on a track."""

    short = "no samples"


class NoDecoder(NoSound):
    """A file whose audio tracks are there, but no decoder for any of them is."""

    short = "no decoder"


class Encrypted(NoDecoder):
    """A track that cannot be read without a key."""

    short = "encrypted"


class NothingDecoded(Damaged):
    """A track of which not one packet could be decoded."""

    short = "cannot be decoded"


@dataclass(frozen=True, eq=False)
class Piece:
    """Decoded audio. stamp: seconds by the file's clock, None where unknown; rate: Hz; layout: FFmpeg's name of the
    channel layout; samples_NC: float32 (samples, channels)."""

    stamp: Fraction | None
    rate: int
    layout: str
    samples_NC: np.ndarray


@dataclass(frozen=True)
class Track:
    """An audio track. name: for messages. fault: why it cannot be decoded, "" where it seems it can. special: a
    commentary, a description for the blind or the like. is_default: the one that FFmpeg chooses."""

    index: int
    name: str
    fault: str
    special: bool
    is_default: bool


@dataclass
class Broken:
    """Packets that could not be decoded and were left out: how many of how many, seconds of them, where the first."""

    packets: int = 0
    of: int = 0
    seconds: float = 0.0
    first: float | None = None


def audio_tracks(container) -> list[Track]:
    """Tracks of audio, the best first: FFmpeg's own choice, unless it is a commentary or the like and another is not.

    Tracks that cannot be decoded come in their places.
    """
    best = container.streams.best("audio")
    streams = sorted(container.streams.audio, key=lambda stream: _rank(stream, best), reverse=True)
    tags = {}
    if "mov" in container.format.name or any(stream.codec_context is None for stream in streams):
        tags = _codec_tags(container)
    tracks = []
    for stream in streams:
        codec, tag = tags.get(stream.index, ("", ""))
        fault = ""
        if stream.codec_context is None:
            fault = f"no decoder: {tag or codec or 'unknown codec'}"
        elif tag in ENCRYPTED:
            fault = f"encrypted: {tag}"
        is_default = best is not None and stream.index == best.index
        special = bool(int(stream.disposition) & SPECIAL)
        tracks.append(Track(stream.index, _name_of(stream), fault, special, is_default))
    return tracks


def _rank(stream, best) -> tuple:
    """What av_find_best_stream looks at, behind what a track is for; larger is better."""
    disposition = int(stream.disposition)
    context = stream.codec_context
    return (
        not disposition & SPECIAL,
        best is not None and stream.index == best.index,
        bool(disposition & DEFAULT),
        (context.bit_rate or 0) if context else 0,
        context.channels if context else 0,
        -stream.index,
    )


def _name_of(stream) -> str:
    """As a player lists it: its number, language and title."""
    titles = [stream.metadata.get(key, "") for key in ("title", "handler_name")]
    title = next((each for each in titles if each and "Handler" not in each), "")
    language = stream.metadata.get("language", "und")
    words = [f"track {stream.index}"]
    if language != "und":
        words.append(language)
    if title:
        words.append(f'"{title}"')
    return " ".join(words)


def _codec_tags(container) -> dict[int, tuple[str, str]]:
    """index -> (codec, codec tag), as FFmpeg prints them: PyAV does not give tags of unknown codecs (18.1).

    The description goes through FFmpeg's log, which PyAV keeps silent unless told otherwise.
    """
    import av.logging

    with _log_level:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            text = container.dumps_format()
        finally:
            av.logging.set_level(level)
    return {int(index): (codec, (tag or "").strip()) for index, codec, tag in TRACK_LINE.findall(text)}


def decode_track(path: Path, index: int, broken: Broken) -> Iterator[Piece]:
    """A track by FFmpeg, piece after piece. What of it could not be decoded is counted in `broken`.

    Raises Damaged naming the file and the second; NothingDecoded where not one packet can be decoded.
    """
    import av

    with opened(path) as container:
        stream = container.streams[index]
        stamped = container.format.name not in COUNTED
        to_float = None
        before = None
        for frame in _frames(container, stream, path, broken):
            kind = frame.format.name, frame.layout.name, frame.sample_rate
            if kind != before:  # broadcasts go from two channels to six and back
                # Interleaved: PyAV cannot hold planes of more than seven channels.
                to_float = av.AudioResampler(format="flt")
                before = kind
            channels = frame.layout.nb_channels
            for part in to_float.resample(frame):
                stamp = None
                if stamped and part.pts is not None:
                    stamp = part.pts * part.time_base
                yield Piece(stamp, part.sample_rate, kind[1], part.to_ndarray().reshape(-1, channels))


def _frames(container, stream, path: Path, broken: Broken) -> Iterator:
    """The track's frames. What cannot be decoded before the first is left out: a broadcast, as it is recorded, begins
    inside a frame. Behind it, only formats that synchronise themselves may have broken packets."""
    import av

    at = None
    unheard = 0
    tolerant = container.format.name in SELF_SYNCHRONISING
    try:
        for packet in container.demux(stream):
            broken.of += packet.size > 0
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                unheard += packet.size > 0
                if at is not None:
                    if not tolerant:
                        raise
                    _count(broken, packet, at)
                continue
            for frame in frames:
                at = (at or 0.0) if frame.time is None else frame.time
                yield frame
    except av.error.PermissionError as error:
        raise Encrypted(f"{path}: its audio {_name_of(stream)} is encrypted; export it without protection") from error
    except av.FFmpegError as error:
        if at is None:
            raise NothingDecoded(f"{path}: the sound cannot be decoded ({error.strerror}); export it again") from error
        reason = f"the sound is broken behind {at or 0.0:.1f} s ({error.strerror}); export it again"
        raise Damaged(f"{path}: {reason}") from error
    if at is None and unheard:
        raise NothingDecoded(f"{path}: none of the {unheard} pieces of sound can be decoded; export it again")
    if broken.packets > BROKEN_SHARE * broken.of:
        reason = f"{broken.packets} of {broken.of} pieces of sound cannot be decoded; export it again"
        raise Damaged(f"{path}: {reason}")


def _count(broken: Broken, packet, at: float) -> None:
    broken.packets += 1
    broken.seconds += float((packet.duration or 0) * packet.time_base)
    if broken.first is None:
        broken.first = at


def decode_soundfile(path: Path) -> Iterator[Piece]:
    """A recording by libsndfile, and all the parts of WAVs that were joined byte by byte. Raises Damaged naming the
    file, also for what it cannot open."""
    try:
        parts = wav_parts(path)
        if len(parts) < 2:
            with soundfile.SoundFile(os.fsencode(path)) as file:  # bytes: the name need not be UTF-8
                yield from _soundfile_pieces(file)
            return
        with path.open("rb") as whole:
            for part in parts:
                with soundfile.SoundFile(Window(whole, part.begin, part.end)) as file:
                    yield from _soundfile_pieces(file)
    except (soundfile.LibsndfileError, TypeError, ValueError, RuntimeError) as error:
        # TypeError: a file called .raw, which has no header to read; ValueError: one that cannot be sought.
        raise Damaged(f"{path}: damaged audio ({error}); export or download it again") from error


def _soundfile_pieces(file: soundfile.SoundFile) -> Iterator[Piece]:
    layout = {1: "mono", 2: "stereo"}.get(file.channels, f"{file.channels} channels")
    while len(block_NC := file.read(SOUNDFILE_BLOCK, dtype="float32", always_2d=True)):
        yield Piece(None, file.samplerate, layout, block_NC)


def soundfile_seconds(path: Path) -> float:
    """Length that libsndfile expects, by the header of the file; 0 for what it cannot open, and for MP3, which it fills
    with silence up to the length that is stated there. Infinite for joined WAVs: they have a header each."""
    if len(wav_parts(path)) > 1:
        return math.inf
    try:
        found = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError, ValueError, RuntimeError):
        return 0.0
    return 0.0 if found.subtype.startswith("MPEG") else float(found.duration)
