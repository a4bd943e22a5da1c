"""The stages of one file, run in any process of any engine: `look` (a CPU), `move` (M's device), `shoot` (films).

Each finds what was done before in the file's staging folder and does the rest. What is wrong with a file is noted in
its journal; only what is wrong with the machine (a full disk) is raised.

T kept frames of the film, N motion frames at 25 a second.
"""

from __future__ import annotations

import errno
import traceback
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from joyvasa.faces.detect import open_detector
from joyvasa.faces.face import Detector
from joyvasa.io.files import OUT_OF_FILES, out_of_files, replacing
from joyvasa.motion import FPS, SAMPLES_PER_FRAME
from preprocess.videos import look as looking
from preprocess.videos.cut import pieces
from preprocess.videos.engines.progress import advance
from preprocess.videos.filters import (
    check_after,
    check_before,
    check_rate,
    face_measures,
    motion_measures,
    sound_measures,
)
from preprocess.videos.frames import Frames, open_frames
from preprocess.videos.journal import Journal, Verdict
from preprocess.videos.motion import Extractor, move_piece
from preprocess.videos.probe import probe
from preprocess.videos.records import FaceTrack, Look, Piece, Unusable
from preprocess.videos.reference import film_of
from preprocess.videos.settings import Filters, fingerprint
from preprocess.videos.sound import read_sound, write_sound
from preprocess.videos.staged import is_whole, load_moved, save_moved
from preprocess.videos.sync import sync_measures
from preprocess.videos.task import CHANGED, SOUND, Task, film_name, held, look_file, settled, start_again

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
SMALL_PX = 192
ERROR = "error.txt"


@contextmanager
def machine_faults():
    """No more files can be opened: that is no fault of the file at hand, whatever a decoder has made of it."""
    try:
        yield
    except Exception as error:
        sentence = out_of_files(error)
        if sentence is None:
            raise
        raise OSError(errno.EMFILE, sentence) from error


@contextmanager
def noted(task: Task, journal: Journal):
    """What is wrong with the file goes into the journal; what is wrong with the disk is raised, naming the folder."""
    (task.folder / ERROR).unlink(missing_ok=True)
    try:
        with machine_faults():
            yield
    except Unusable as problem:
        journal.reject(problem, task.asked(journal), getattr(problem, "picture", None))
    except OSError as error:
        if error.errno in NO_ROOM + OUT_OF_FILES:
            raise
        journal.reject(Unusable("unreadable", f"{error.strerror or error}"), task.asked(journal))
    except MemoryError:
        problem = Unusable("worker_killed", "not enough memory; give a worker more, or run fewer")
        journal.reject(problem, task.asked(journal))
    except Exception as error:  # one file must not end thousands of hours of work: it is named, and its traceback kept
        start_again(task.folder, journal)
        (task.folder / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        where = f"{task.folder.parent.name}/{task.folder.name}/{ERROR}"
        problem = Unusable("failed", f"{type(error).__name__}: {error} (traceback in {where})")
        journal.reject(problem, task.asked(journal))


@cache
def detector_of(name: str) -> Detector:
    """Opened once a process."""
    return open_detector(name)


def look(task: Task) -> bool:
    """Probe, sound, faces. Whether there is something to `move`. Raises ValueError on a machine that opens another
    detector than the one the run began with."""
    if (here := detector_of(task.settings.following.detector).name) != task.detector:
        raise ValueError(
            f"detector {here} here, {task.detector} where the run began; bring its weights to this machine"
        )
    journal = Journal.open(task.folder, task.source.path)
    task.folder.mkdir(parents=True, exist_ok=True)
    with noted(task, journal):
        if journal.probed is None:
            journal.probed = probe(task.source.path)
            journal.write()
        if settled(task):
            return False
        journal.rejected = None
        _look(task, journal)
    return journal.rejected is None


def _look(task: Task, journal: Journal) -> None:
    probed, filters, done = journal.probed, task.settings.filters, task.looked(journal.probed.sha256)
    if probed.seconds < filters.min_seconds:
        raise Unusable("too_short", f"{probed.seconds:.2f} s (filters.min_seconds={filters.min_seconds:g})")
    # A journal without notes is of a version that averaged all channels and closed pauses.
    if journal.sound is None or "notes" not in journal.sound or not held(task.folder / SOUND):
        facts = write_sound(task.source.path, task.folder / SOUND, probed.seconds)
        journal.sound = asdict(facts)
        journal.note("audio", facts.notes)
        journal.write()
    if journal.looked == done:
        return
    frames = open_frames(task.source.path, task.settings.decoding)
    journal.note("both", frames.lengths)
    check_length(frames, probed.seconds, filters)
    check_rate(frames.times, filters)
    following = task.settings.following
    for number, (start, stop) in enumerate(spans(frames, task.settings.decoding.span_seconds)):
        file = look_file(task.folder, done, number)
        if not held(file):
            seen = counted(frames.read(start, stop))
            times_T = frames.times[start:stop]
            found = looking.look(seen, times_T, start, detector_of(following.detector), following, task.name)
            looking.save(found, file)
    # After reading: a film that decord gives up halfway is read on by PyAV.
    journal.decoder, journal.why, journal.looked = frames.decoder, frames.why, done
    journal.note("picture", frames.notes)
    journal.write()


def check_length(frames: Frames, seconds: float, filters: Filters) -> None:
    """Raises Unusable where picture and audio are there together for less than filters.min_seconds.

    Args:
        frames: the kept frames, which lie where there is audio.
        seconds: length of the picture.
        filters: the thresholds.
    """
    begin, end = frames.begin, frames.duration
    if end - begin < filters.min_seconds - 1 / FPS:  # rounding to motion frames may add one
        raise Unusable(
            "too_short",
            f"picture and audio are there together for {end - begin:.2f} s, from {frames.edges[0]} at {begin:.2f} s to "
            f"{frames.edges[1]} at {end:.2f} s; the picture has {seconds:.2f} s "
            f"(filters.min_seconds={filters.min_seconds:g})",
        )


def counted(frames):
    """The frames, each one told to the parent that shows how far the work is."""
    for frame in frames:
        advance(1)
        yield frame


def spans(frames: Frames, seconds: float) -> list[tuple[int, int]]:
    """[start, stop) of kept frames: parts of a film of at most so many seconds, all about as long."""
    parts = max(1, int(np.ceil(frames.duration / seconds)))
    edges = np.searchsorted(frames.times, np.arange(1, parts) * frames.duration / parts)
    bounds = [0, *edges.tolist(), len(frames.times)]
    return [(start, stop) for start, stop in zip(bounds, bounds[1:], strict=False) if stop > start]


def move(task: Task, extractor: Extractor) -> bool:
    """Pieces, filters, motion. Whether a piece is left."""
    journal = Journal.open(task.folder, task.source.path)
    with noted(task, journal):
        _move(task, journal, extractor)
    return journal.rejected is None and any(verdict.code is None for verdict in journal.verdicts)


def _move(task: Task, journal: Journal, extractor: Extractor) -> None:
    if journal.probed is None or journal.looked != task.looked(journal.probed.sha256):
        raise Unusable("unreadable", CHANGED)
    sha256, folder = journal.probed.sha256, task.folder
    frames = open_frames(task.source.path, task.settings.decoding)
    check_rate(frames.times, task.settings.filters)
    looks = looks_of(task, journal, frames)
    found, short = pieces(looks, frames.times, frames.duration, task.settings.filters, frames.edges)
    tracks = [track for each in looks for track in each.tracks]
    if not tracks:
        problem = Unusable("no_face", f"{task.detector} saw no face in {frames.duration:.1f} s")
        problem.picture = small_picture(frames, len(frames.times) // 2, folder, journal.looked)
        raise problem
    verdicts = [_short(task, journal, piece, problem, frames) for piece, problem in short]
    for piece in found:
        track = tracks[piece.parent]
        verdicts.append(_piece(task, journal, frames, piece, track, extractor))
    journal.verdicts = sorted(verdicts, key=lambda verdict: verdict.piece.first)
    journal.rejected, journal.moved = None, task.moved(sha256)
    journal.write()


def looks_of(task: Task, journal: Journal, frames: Frames) -> list[Look]:
    count = len(spans(frames, task.settings.decoding.span_seconds))
    return [looking.load(look_file(task.folder, journal.looked, number)) for number in range(count)]


def _piece(
    task: Task, journal: Journal, frames: Frames, piece: Piece, track: FaceTrack, extractor: Extractor
) -> Verdict:
    """Measured, filtered, moved, filtered again."""
    filters, name = task.settings.filters, task.piece(journal.probed.sha256, piece)
    audio = read_sound(task.folder / SOUND, piece.first * SAMPLES_PER_FRAME, piece.last * SAMPLES_PER_FRAME)
    measures = face_measures(track, piece) | sound_measures(audio)
    file = task.folder / f"piece-{name}.safetensors"
    try:
        check_before(measures, filters)
        if not is_whole(file):
            read = Counted(frames)
            save_moved(move_piece(read, piece, track, frames.times, extractor, task.settings.reference), file)
        moved = load_moved(file)
        measures |= motion_measures(moved.motion_NC)
        if filters.sync is not None:
            measures |= sync_measures(filters.sync, moved.motion_NC, audio)
        check_after(measures, filters)
    except Unusable as problem:
        picture = small_picture(frames, (piece.start + piece.stop) // 2, task.folder, name)
        measured = replace(piece, measures=measures)
        kept = file.name if file.is_file() else None  # for the day the filters are loosened
        return Verdict(measured, file=kept, code=problem.kind, reason=str(problem), picture=picture)
    return Verdict(replace(piece, measures=measures | {"crop": moved.crop}), file=file.name)


class Counted:
    """Frames that count what is read of them."""

    def __init__(self, frames: Frames):
        self._frames = frames

    def read(self, start: int, stop: int):
        return counted(self._frames.read(start, stop))


def _short(task: Task, journal: Journal, piece: Piece, problem: Unusable, frames: Frames) -> Verdict:
    name = fingerprint("short", journal.looked or "", [piece.start, piece.stop])
    picture = small_picture(frames, (piece.start + piece.stop) // 2, task.folder, name)
    return Verdict(piece, code=problem.kind, reason=str(problem), picture=picture)


def small_picture(frames: Frames, at: int, folder: Path, name: str) -> str:
    """Name of a small JPEG of a kept frame, for the report."""
    file = folder / f"small-{name}.jpg"
    if not held(file):
        frame = next(frames.read(at, at + 1))
        share = SMALL_PX / max(frame.shape[:2])
        size = (max(1, round(frame.shape[1] * share)), max(1, round(frame.shape[0] * share)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        with replacing(file) as temporary:
            temporary.write_bytes(data.tobytes())
    return file.name


def shoot(task: Task) -> str:
    """Films of the pieces that are for validation. A clip whose film cannot be made goes without; returns why, "" where
    all could be."""
    journal = Journal.open(task.folder, task.source.path)
    try:
        with machine_faults():
            _shoot(task, journal)
    except (Unusable, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM + OUT_OF_FILES:
            raise
        return f"{type(error).__name__}: {error}"
    return ""


def _shoot(task: Task, journal: Journal) -> None:
    wanted = [verdict for verdict in journal.verdicts if verdict.file in task.films]
    frames = open_frames(task.source.path, task.settings.decoding)
    tracks = [track for each in looks_of(task, journal, frames) for track in each.tracks]
    for verdict in wanted:
        piece, film = verdict.piece, task.folder / film_name(verdict, task.settings)
        if not held(film):
            audio = read_sound(task.folder / SOUND, piece.first * SAMPLES_PER_FRAME, piece.last * SAMPLES_PER_FRAME)
            with replacing(film) as temporary:
                how = task.settings.reference, task.settings.extracting
                film_of(Counted(frames), piece, tracks[piece.parent], frames.times, *how, audio, temporary)
