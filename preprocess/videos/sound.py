"""The sound of a film: one FLAC file, 16 kHz mono, whose sample 0 is heard with the film's first picture."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from joyvasa.decoding import first_frame, opened
from joyvasa.media import mono_pieces, pcm16, replacing, resampled
from joyvasa.motion import SAMPLE_RATE
from preprocess.report import reason_of
from preprocess.videos.records import Unusable

JITTER_SECONDS = 0.01  # by which sound may be stamped beside its place: stamps of Matroska are whole milliseconds
FULL_BYTES = 1_000_000  # left on a disk that counts as full
BLOCK = 65_536  # samples that are worked on at once


@dataclass(frozen=True)
class SoundFacts:
    """rate, channels: of the film's track. seconds: of the file written, from the film's first picture."""

    rate: int
    channels: int
    seconds: float


def write_sound(path: Path, out: Path, seconds: float) -> SoundFacts:
    """Write the film's sound to `out` (16 bit FLAC, 16 kHz, all channels averaged), at most `seconds` long.

    Sound before the first picture is left out, silence put before sound that begins later. Every piece is heard when
    its time stamp says: gaps become silence and overlaps are cut, so that nothing drifts. Memory is flat.
    Raises Unusable: no_sound, damaged; OSError where `out` cannot be written.
    """
    try:
        picture = first_frame(path)
        origin = Fraction(0) if picture.pts is None else picture.pts * picture.time_base
        with opened(path) as container:
            track = container.streams.best("audio")
            if track is None:
                raise Unusable("no_sound", "no sound track; a voice is needed to learn from")
            frames = decoded(container, track)
            first = next(frames, None)
            if first is None:
                raise Unusable("no_sound", "the sound track holds no samples; export it again")
            placed = in_place(mono_pieces(chain([first], frames)), origin)
            count = _write(resampled(joined(placed), path), out, math.ceil(seconds * SAMPLE_RATE))
            return SoundFacts(first.sample_rate, first.layout.nb_channels, count / SAMPLE_RATE)
    except Unusable:
        raise
    except ValueError as error:
        raise Unusable("damaged", f"the sound: {reason_of(error, path)}") from error


def read_sound(path: Path, first: int, last: int) -> np.ndarray:
    """Samples [first, last) of what `write_sound` wrote -> float32 (last - first,); zeros behind its end."""
    with soundfile.SoundFile(path) as sound:
        sound.seek(min(first, sound.frames))
        samples = sound.read(last - first, dtype="float32")
    return np.pad(samples, (0, last - first - len(samples)))


def in_place(
    pieces: Iterable[tuple[Fraction | None, int, np.ndarray]], origin: Fraction
) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces (seconds, rate, samples) -> (rate, samples) without a gap, from `origin` (seconds by the same clock) on.

    A piece begins where the one before it ended, unless its stamp is more than JITTER_SECONDS off: then, as the first
    piece, it is put where its stamp says to the sample. A piece without a stamp follows the one before it.
    """
    at, joins = 0, False
    for seconds, rate, block in pieces:
        gap = 0 if seconds is None else round((seconds - origin) * rate) - at
        if joins and abs(gap) <= JITTER_SECONDS * rate:
            gap = 0
        for start in range(0, gap, BLOCK):
            yield rate, np.zeros(min(BLOCK, gap - start), np.float32)
        kept = block[max(-gap, 0) :]
        yield rate, kept
        at, joins = at + max(gap, 0) + len(kept), len(kept) > 0


def joined(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """The same samples in fewer blocks (rate, samples), of BLOCK samples or a little more: frames of AAC have 1024."""
    held, rate = [], 0
    for own_rate, block in blocks:
        if held and (own_rate != rate or sum(map(len, held)) >= BLOCK):
            yield rate, np.concatenate(held)
            held = []
        held.append(block)
        rate = own_rate
    if held:
        yield rate, np.concatenate(held)


def decoded(container, track) -> Iterator:
    """The track's frames of sound. What cannot be decoded before the first is left out: a broadcast, as it is recorded,
    begins inside a frame. Raises Unusable "damaged" where nothing can be, and for anything broken behind it."""
    import av

    at, unheard = None, 0
    try:
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                if at is not None:
                    raise
                unheard += packet.size > 0
                continue
            for frame in frames:
                at = (at or 0.0) if frame.time is None else frame.time
                yield frame
    except av.FFmpegError as error:
        reason = f"the sound is broken behind {at or 0.0:.1f} s ({error.strerror}); export it again"
        raise Unusable("damaged", reason) from error
    if at is None and unheard:
        raise Unusable("damaged", f"none of the {unheard} pieces of sound can be decoded; export it again")


def _write(blocks: Iterable[np.ndarray], out: Path, most: int) -> int:
    """Number of samples written, at most `most`."""
    count = 0
    with replacing(out) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as sound:
                for block in blocks:
                    part = block[: most - count]
                    sound.write(pcm16(part))
                    count += len(part)
                    if count >= most:
                        break
        except (soundfile.LibsndfileError, AssertionError) as error:  # AssertionError: fewer samples taken than given
            full = shutil.disk_usage(out.parent).free < FULL_BYTES  # libsndfile does not say why
            reason = "no room left on the disk; free some" if full else f"the sound could not be written ({error})"
            raise OSError(errno.ENOSPC if full else errno.EIO, reason, str(out)) from error
    return count
