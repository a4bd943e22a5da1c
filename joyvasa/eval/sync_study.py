"""What a sync expert makes of voices moved by known numbers of frames, and of another speaker's voice.

T frames, N clips, K planted shifts, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joyvasa.eval.bootstrap import Score, draw_resamples, interval, mean_of
from joyvasa.eval.sync import SyncScore
from joyvasa.eval.sync_expert import Judge, discounted_confidence
from joyvasa.motion import SAMPLES_PER_FRAME

Array = np.ndarray

OTHER_VOICE = "other voice"


@dataclass(frozen=True)
class StudyClip:
    """Motion (T, 70), un-normalised, and voice (640 T,) in [-1, 1] of one speaker."""

    speaker: str
    motion: Array
    audio: Array


@dataclass(frozen=True)
class ShiftStudy:
    """Of every clip and planted shift (N, K), the frames by which the offset is wrong, `discounted_confidence`,
    confidence at the best shift, and distance at none; strange_*: of another speaker's voice, unmoved (N,)."""

    speakers: list[str]
    shifts_K: Array
    error_NK: Array
    confidence_NK: Array
    best_NK: Array
    distance_NK: Array
    strange_confidence_N: Array
    strange_best_N: Array
    strange_distance_N: Array

    def rows(self, seed: int) -> dict[str, dict[str, Score]]:
        """`all`, every |shift| by itself and OTHER_VOICE, with intervals over speakers, for `bootstrap.table`.

        found, within_1: share of clips whose offset is the planted one, is so to a frame. confidence:
        `discounted_confidence`. best: confidence at the best shift. distance: at no shift.
        """
        resamples = draw_resamples(self.speakers, seed, "speaker")
        size_K = np.abs(self.shifts_K)

        def mean(values_N: Array) -> Score:
            return interval(mean_of(values_N), resamples, len(values_N))

        def row(chosen_K: Array) -> dict[str, Score]:
            wrong = self.error_NK[:, chosen_K]
            return {
                "found": mean((wrong == 0).mean(1)),
                "within_1": mean((wrong <= 1).mean(1)),
                "confidence": mean(self.confidence_NK[:, chosen_K].mean(1)),
                "best": mean(self.best_NK[:, chosen_K].mean(1)),
                "distance": mean(self.distance_NK[:, chosen_K].mean(1)),
            }

        strange = {
            "confidence": mean(self.strange_confidence_N),
            "best": mean(self.strange_best_N),
            "distance": mean(self.strange_distance_N),
        }
        moved = {f"moved by {size}": row(size_K == size) for size in np.unique(size_K)}
        return {"all": row(size_K >= 0)} | moved | {OTHER_VOICE: strange}

    def rows_by_shift(self, seed: int) -> list[Score]:
        """`confidence` of every planted shift, in order."""
        resamples = draw_resamples(self.speakers, seed, "speaker")
        return [interval(mean_of(values_N), resamples, len(values_N)) for values_N in self.confidence_NK.T]


def study_shifts(judge: Judge, clips: Sequence[StudyClip], *, frames: int, shifts: Sequence[int]) -> ShiftStudy:
    """Move the voice of a stretch of `frames` from every clip by every shift, real voice coming in at the ends.

    Raises ValueError for fewer than two speakers, a clip shorter than `frames` and twice the largest shift, or a
    stretch too short to be judged.
    """
    reach = max(map(abs, shifts))
    whole, speakers = frames + 2 * reach, [clip.speaker for clip in clips]
    short = [len(clip.motion) for clip in clips if len(clip.motion) < whole]
    if short or len(set(speakers)) < 2 or frames < judge.least_frames:
        raise ValueError(
            f"{len(clips)} clips of {len(set(speakers))} speakers, {len(short)} shorter than {whole} frames, {frames} "
            f"frames of each (expected two speakers or more, no clip shorter, {judge.least_frames} frames or more); "
            "give longer clips, or smaller expert.study.max_planted"
        )

    def score(lips: StudyClip, voice: StudyClip, shift: int) -> SyncScore:
        first = (reach + shift) * SAMPLES_PER_FRAME
        audio = voice.audio[first : first + frames * SAMPLES_PER_FRAME]
        return judge.score(lips.motion[reach : reach + frames], audio)

    moved = [[score(clip, clip, shift) for shift in shifts] for clip in clips]
    strangers = [score(clip, _stranger(clips, place), 0) for place, clip in enumerate(clips)]
    planted_K = np.array(shifts)
    return ShiftStudy(
        speakers=speakers,
        shifts_K=planted_K,
        error_NK=np.abs(np.array([[found.offset for found in row] for row in moved]) - planted_K),
        confidence_NK=np.array([[discounted_confidence(found) for found in row] for row in moved]),
        best_NK=np.array([[found.confidence for found in row] for row in moved]),
        distance_NK=np.array([[found.distance_at_zero for found in row] for row in moved]),
        strange_confidence_N=np.array([discounted_confidence(found) for found in strangers]),
        strange_best_N=np.array([found.confidence for found in strangers]),
        strange_distance_N=np.array([found.distance_at_zero for found in strangers]),
    )


def _stranger(clips: Sequence[StudyClip], place: int) -> StudyClip:
    """The next clip of another speaker."""
    following = [*clips[place + 1 :], *clips[:place]]
    return next(clip for clip in following if clip.speaker != clips[place].speaker)
