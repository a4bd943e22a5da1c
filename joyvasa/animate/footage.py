"""A source video made ready: its frames, forwards and backwards for as long as the voice lasts, and the face in each.

Where the face is gone, frames stay as they were filmed.

The video is read twice: once to follow the face, whose path is then smoothed over its whole length, and once while it
is rendered. No more than a few frames are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from joyvasa.animate.portrait import Framing, find_face, finder_of
from joyvasa.faces.crop import crop_transform
from joyvasa.faces.face import Detector, Face
from joyvasa.faces.gaps import opacity_of
from joyvasa.faces.species import see_species
from joyvasa.faces.track import track_faces
from joyvasa.io.video_reader import PingPongReader, VideoInfo, VideoReader

# Of a video's length: where it is looked at to tell a person from an animal, again between those until one is seen.
LOOKS = ((0.0, 0.25, 0.5, 0.75), *(tuple((2 * k + 1) / n for k in range(n // 2)) for n in (8, 16, 32)))
GONE_SECONDS = 0.5  # unseen for longer, a face is gone and its frames stay as filmed
FADE_SECONDS = 0.2  # for which a painted face fades in or out beside such frames
TIMES_TOLD = 8  # of the times in one note


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of a video, uint8 RGB (H, W, 3), its face, and the transform (3, 3) to a crop of `size` pixels.

    opacity: how much of the painted face is to be seen; 0 leaves the frame as it was filmed.
    """

    frame: np.ndarray
    face: Face
    to_crop: np.ndarray
    size: int
    opacity: float = 1.0

    def faded(self, filmed: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """`painted` over `filmed`, uint8 pictures of one size, at this frame's opacity."""
        if self.opacity >= 1:
            return painted
        if self.opacity <= 0:
            return filmed
        return cv2.addWeighted(painted, self.opacity, filmed, 1 - self.opacity, 0)


@dataclass(frozen=True, eq=False)
class Footage:
    """A video whose face has been followed. faces, opacity_T: one for each of its frames. gaps: the frames without.
    conversions: what its reader does to the pixels, in words, also among the notes."""

    path: Path
    info: VideoInfo
    species: str
    faces: list[Face]
    opacity_T: np.ndarray
    gaps: tuple[range, ...]
    finder: str
    framing: Framing
    notes: tuple[str, ...]
    conversions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def fps(self) -> Fraction:
        return self.info.fps

    @property
    def facts(self) -> dict[str, str]:
        found = {"video": self.name, "species": self.species, "detector": self.finder}
        still = {"face": ",".join(f"{value:g}" for value in self.framing.box)} if self.framing.box else {}
        # Of the pixels: tone-mapped, deinterlaced. An ordinary video has no such fact.
        done = {"converted": "; ".join(self.conversions)} if self.conversions else {}
        return found | still | done

    def as_filmed(self, frames: int) -> str:
        """When the first `frames` frames are left as they were filmed, in seconds of the video; empty if never.

        Args:
            frames: of the video that is made.

        Returns:
            For example "from 2.4 s to 3.7 s, from 5.0 s to 5.8 s".
        """
        gaps: list[range] = []
        for gap in self.gaps:
            if gaps and gaps[-1].stop == gap.start:  # the face is gone before and after a change of shots
                gaps[-1] = range(gaps[-1].start, gap.stop)
            elif gap.start < frames:
                gaps.append(gap)
        fps = float(self.fps)
        times = [f"from {gap.start / fps:.1f} s to {gap.stop / fps:.1f} s" for gap in gaps]
        if len(times) > TIMES_TOLD:
            left_out = gaps[TIMES_TOLD:]
            seconds = sum(len(gap) for gap in left_out) / fps
            times = [*times[:TIMES_TOLD], f"and {len(left_out)} times more, {seconds:.1f} s in all"]
        return ", ".join(times)

    def shots(self, frames: int) -> Iterator[Shot]:
        """`frames` shots; behind the video's end it is played backwards, then forwards again."""
        transforms = [crop_transform(face, self.framing.crop) for face in self.faces]
        with PingPongReader(self.path, frames, max_side=self.framing.max_side) as reader:
            for index, frame in reader:
                opacity = float(self.opacity_T[index])
                yield Shot(frame, self.faces[index], transforms[index], self.framing.crop.size, opacity)


def open_footage(path: Path, framing: Framing, detector: Detector) -> Footage:
    """See whose face a video shows, and follow it. A box, and an animal without one, stay where they are.

    Raises ValueError or OSError naming the file: no video, damaged, no face, another species than asked for.
    """
    reader = VideoReader(path, max_side=framing.max_side)
    fps = float(reader.info.fps)
    species, still, notes = _look(reader, framing, detector)
    if still is not None:
        faces = [still] * len(reader)
        opacity_T = np.ones(len(reader))
        gaps: tuple[range, ...] = ()
        notes = (*notes, f"the {'whole picture' if still.detector == 'whole' else 'box'} is used in every frame")
    else:
        track = track_faces(
            reader,
            detector,
            wanted=framing.face,
            every=framing.detect_every,
            smoothing_frames=framing.smoothing_frames,
            longest_gap=GONE_SECONDS * fps,
            where=str(path),
        )
        faces, gaps = track.faces, track.gaps
        opacity_T = opacity_of(track.segments, track.gaps, round(FADE_SECONDS * fps))
        notes = (*notes, track.note)
    conversions = tuple(reader.notes)  # after the face was followed: every frame has been read by then
    notes = (*conversions, *notes)
    finder = finder_of(faces[0], detector)
    return Footage(path, reader.info, species, faces, opacity_T, gaps, finder, framing, notes, conversions)


def _look(reader: VideoReader, framing: Framing, detector: Detector) -> tuple[str, Face | None, tuple[str, ...]]:
    """(species, the face of every frame where it does not have to be followed, notes), from a few frames.

    A person may look away at the start, or come late: where no face is seen, more frames are looked at. Where several
    people are to be told apart, the frame that shows most of them counts.
    """
    where = str(reader.path)
    best: tuple[int, float] | None = None
    best_frame: np.ndarray | None = None
    for parts in LOOKS:
        for index in sorted({round(part * (len(reader) - 1)) for part in parts}):
            frame = next(reader.frames(index, index + 1))
            if framing.box is not None:
                return find_face(frame, _scale(frame, reader), framing, detector, where)
            rank = _rank(see_species(frame, detector).faces, framing.face)
            if best is None or rank > best:
                best, best_frame = rank, frame
        if best[1] > 0 and best[0] >= (framing.face or 0):
            break
    species, face, notes = find_face(best_frame, _scale(best_frame, reader), framing, detector, where)
    return species, (None if species == "human" else face), notes


def _scale(frame: np.ndarray, reader: VideoReader) -> float:
    """Pixels of a frame for one of the file's."""
    return max(frame.shape) / max(reader.info.width, reader.info.height)


def _rank(faces: Sequence[Face], wanted: int | None) -> tuple[int, float]:
    largest = max((face.area for face in faces), default=0.0)
    return (len(faces) if wanted is not None else 0), largest
