"""A source video made ready: its frames, forwards and backwards for as long as the voice lasts, and the face in each.

The video is read twice: once to follow the face, whose path is then smoothed over its whole length, and once while it
is rendered. No more than a few frames are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from joyvasa.animate.portrait import Framing, find_face, finder_of
from joyvasa.faces.crop import crop_transform
from joyvasa.faces.face import Detector, Face
from joyvasa.faces.species import see_species
from joyvasa.faces.track import track_faces
from joyvasa.io.video_reader import PingPongReader, VideoInfo, VideoReader

LOOKS = (0.0, 0.25, 0.5, 0.75)  # of a video's length: where it is looked at to tell a person from an animal


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of a video, uint8 RGB (H, W, 3), its face, and the transform (3, 3) to a crop of `size` pixels."""

    frame: np.ndarray
    face: Face
    to_crop: np.ndarray
    size: int


@dataclass(frozen=True, eq=False)
class Footage:
    """A video whose face has been followed. faces: one for each of its frames. conversions: what its reader does to the
    pixels, in words, also among the notes."""

    path: Path
    info: VideoInfo
    species: str
    faces: list[Face]
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

    def shots(self, frames: int) -> Iterator[Shot]:
        """`frames` shots; behind the video's end it is played backwards, then forwards again."""
        transforms = [crop_transform(face, self.framing.crop) for face in self.faces]
        with PingPongReader(self.path, frames, max_side=self.framing.max_side) as reader:
            for index, frame in reader:
                yield Shot(frame, self.faces[index], transforms[index], self.framing.crop.size)


def open_footage(path: Path, framing: Framing, detector: Detector) -> Footage:
    """See whose face a video shows, and follow it. A box, and an animal without one, stay where they are.

    Raises ValueError or OSError naming the file: no video, damaged, no face, another species than asked for.
    """
    reader = VideoReader(path, max_side=framing.max_side)
    species, still, notes = _look(reader, framing, detector)
    if still is not None:
        faces = [still] * len(reader)
        notes = (*notes, f"the {'whole picture' if still.detector == 'whole' else 'box'} is used in every frame")
    else:
        track = track_faces(
            reader,
            detector,
            wanted=framing.face,
            every=framing.detect_every,
            smoothing_frames=framing.smoothing_frames,
            where=str(path),
        )
        faces, notes = track.faces, (*notes, track.note)
    conversions = tuple(reader.notes)  # after the face was followed: every frame has been read by then
    finder, notes = finder_of(faces[0], detector), (*conversions, *notes)
    return Footage(path, reader.info, species, faces, finder, framing, notes, conversions)


def _look(reader: VideoReader, framing: Framing, detector: Detector) -> tuple[str, Face | None, tuple[str, ...]]:
    """(species, the face of every frame where it does not have to be followed, notes), from a few frames."""
    where, places = str(reader.path), sorted({round(part * (len(reader) - 1)) for part in LOOKS})
    frames = [next(reader.frames(index, index + 1)) for index in places]
    scale = max(frames[0].shape) / max(reader.info.width, reader.info.height)
    if framing.box is not None:
        return find_face(frames[0], scale, framing, detector, where)
    # A person may look away at the start. Where several are to be told apart, the frame that shows most of them.
    seen = [see_species(frame, detector).faces for frame in frames]
    best = max(range(len(frames)), key=lambda index: _rank(seen[index], framing.face))
    species, face, notes = find_face(frames[best], scale, framing, detector, where)
    return species, (None if species == "human" else face), notes


def _rank(faces: Sequence[Face], wanted: int | None) -> tuple[int, float]:
    largest = max((face.area for face in faces), default=0.0)
    return (len(faces) if wanted is not None else 0), largest
