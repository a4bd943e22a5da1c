"""What the stages hand to one another, and the reasons for which a file or a piece of it is left out.

T frames kept of a film (at most `Decoding.fps_limit` a second), N motion frames (25 a second). Seconds count from the
film's first picture; a square is (centre x, centre y, side, roll in degrees) in pixels of the frames as decoded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.motion import FPS
from preprocess.report import Unusable

# What a rejection is counted under -> what it means. The first part is of whole files, the second of pieces.
REASONS = {
    "empty": "0 bytes",
    "not_video": "no film: text, a picture, a sound, an unknown format",
    "unreadable": "the file cannot be opened: no permission, a broken link, gone",
    "damaged": "cut off, or a frame is missing or torn",
    "no_sound": "no sound track, none with samples or a decoder, or never there with the picture",
    "too_short": "shorter than filters.min_seconds, or picture and audio are there together for less",
    "no_face": "no face was seen at all",
    "duplicate": "the same bytes as another file",
    "worker_killed": "the process working on it died twice: out of memory, as a rule",
    "failed": "a fault of this program: see the error beside it",
    "short": "a stretch with a face, up to a cut or to the end of the audio, shorter than filters.min_seconds",
    "low_rate": "too few pictures a second to see lips move",
    "several_faces": "another face nearly as large",
    "small_face": "the face has too few pixels",
    "blurred": "the face is not sharp",
    "face_lost": "the face was not seen in too many frames",
    "silent": "no sound to speak of",
    "clipped": "the sound is cut at its peaks",
    "no_speech": "too little of the sound is speech",
    "pose": "the head turns too far away",
    "jitter": "the motion shakes from frame to frame",
    "out_of_sync": "lips and voice do not belong together, or not at the same time",
}
# Reasons that another attempt may mend: such a file is tried again when the command is typed again.
PASSING = ("unreadable", "worker_killed", "failed")

__all__ = ["PASSING", "REASONS", "FaceTrack", "Look", "Piece", "Probed", "Source", "Unusable"]


@dataclass(frozen=True)
class Source:
    """One input file. name: what it is called under the input folder (or in the list), NFC, the same on every machine.

    speaker, language, split, licence, consent: of the metadata, where known. folder: the name of its folder below the
    input, empty for a file right in it.
    """

    name: str
    path: Path
    folder: str
    speaker: str | None = None
    language: str | None = None
    split: str | None = None
    licence: str | None = None
    consent: str | None = None

    @property
    def key(self) -> str:
        """Names its folder of unfinished work."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Probed:
    """What a file holds. fps: mean rate of its frames as shown; frames: all of them; width, height: upright."""

    sha256: str
    bytes: int
    container: str
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    variable: bool
    rotation: int
    sound_rate: int
    sound_channels: int


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face followed through kept frames [start, stop) of one shot.

    square_T4: smoothed. ratios_T3: how far left eye, right eye and lips are open, None without dense landmarks.
    sought, missed: looks of the detector, and those that did not see this face. face_px: median shorter side of its
    box. rivals: share of looks that saw another face of nearly its size. sharpness_T: of the face, at every frame.
    """

    start: int
    stop: int
    square_T4: np.ndarray
    sharpness_T: np.ndarray
    ratios_T3: np.ndarray | None
    sought: int
    missed: int
    face_px: float
    rivals: float


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen in kept frames [start, stop) of a film: a span of a long one, all of a short one.

    shots: [start, stop) of every shot, kept frames. tracks: in rising order, none across a cut.
    """

    start: int
    stop: int
    shots: tuple[tuple[int, int], ...]
    tracks: tuple[FaceTrack, ...]


@dataclass(frozen=True)
class Piece:
    """A clip to be: motion frames [first, last) at 25 a second from the film's first picture, of one track.

    parent: number of the track in the film; part: of its parts. start, stop: the kept frames it is made from.
    measures: what the filters look at, by name; filled in stage by stage.
    """

    parent: int
    part: int
    start: int
    stop: int
    first: int
    last: int
    measures: dict[str, Any]

    @property
    def frames(self) -> int:
        return self.last - self.first

    @property
    def seconds(self) -> float:
        return self.frames / FPS
