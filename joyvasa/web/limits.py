"""What the page takes, said before any work begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from joyvasa.io.audio import survey_audio
from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS
from joyvasa.io.kinds import kind_of
from joyvasa.io.listing import is_taken, is_video
from joyvasa.io.video_reader import probe_video
from joyvasa.motion import FPS
from joyvasa.web.line import Refused

COMMAND = "python run.py task=animate"


@dataclass(frozen=True)
class Limits:
    """upload_mb: of one file. voice_seconds, video_seconds: the longest recording and source video taken.
    preview_seconds: how much of the voice the preview plays. at_once, waiting: films being made and in line.
    keep_minutes: how long uploads and films stay on disk. guidance, amplitude: the largest on the sliders."""

    upload_mb: int
    voice_seconds: float
    video_seconds: float
    preview_seconds: float
    at_once: int
    waiting: int
    keep_minutes: float
    guidance: float
    amplitude: float

    def __post_init__(self) -> None:
        """Raises ValueError for a number below what the page can work with."""
        wrong = {name: value for name, value in vars(self).items() if value <= 0 and name != "waiting"}
        if wrong or self.waiting < 0:
            raise ValueError(f"web.limits {wrong or {'waiting': self.waiting}}: expected numbers above 0")

    @property
    def preview_frames(self) -> int:
        return max(1, round(self.preview_seconds * FPS))

    @property
    def words(self) -> str:
        """For the page."""
        return (
            f"Files up to {self.upload_mb} MB, voices up to {spoken(self.voice_seconds)}, "
            f"videos up to {spoken(self.video_seconds)}."
        )

    def check_image(self, path: Path) -> None:
        """Raises Refused for an unknown kind, too large a file or too long a video; ValueError or OSError for a film
        that cannot be read."""
        if not is_taken(path, PICTURE_ENDINGS + FILM_ENDINGS) and kind_of(path) not in ("image", "video"):
            raise Refused(
                f"{path.name}: not a photo or video this page knows ({', '.join(PICTURE_ENDINGS + FILM_ENDINGS)})."
            )
        self._check_size(path)
        if is_video(path):
            self._check_length(path, float(probe_video(path).seconds), self.video_seconds)

    def check_voice(self, path: Path) -> None:
        """Raises Refused for too large a file or too long a recording, ValueError for what is no sound."""
        self._check_size(path)
        self._check_length(path, sound_seconds(path), self.voice_seconds)

    def _check_size(self, path: Path) -> None:
        size_mb = path.stat().st_size / 2**20
        if size_mb > self.upload_mb:
            raise Refused(f"{path.name}: {size_mb:.0f} MB (this page takes files up to {self.upload_mb} MB).")

    def _check_length(self, path: Path, seconds: float, most: float) -> None:
        if seconds > most:
            raise Refused(
                f"{path.name} lasts {spoken(seconds)} (this page takes at most {spoken(most)}); "
                f"cut it, or use {COMMAND}, which takes longer ones."
            )


def sound_seconds(path: Path) -> float:
    """Length of a recording, by decoding it: headers of streamed files hold placeholders. It is read with flat memory,
    and what was found out is remembered for the job.

    Raises ValueError or OSError naming the file where it is no audio.
    """
    return survey_audio(path).seconds


def spoken(seconds: float) -> str:
    """A length of time in words: 8 s, 2 min, 1 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == round(seconds) else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
