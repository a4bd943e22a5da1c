"""Lip-sync of a clip by the sync expert: offset and confidence from motion and voice, nothing rendered.

The scores are those of `joyvasa.eval.sync` on the expert's embeddings, the masked ones: means over the windows whose
voice exists. They are on the expert's own scale (distances 0 to 2 on the unit sphere), which depends on its weights:
numbers of two experts, or of SyncNet, are not compared.

T frames, C channels, S samples, K planted shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from joyvasa.eval.sync import ClipSync, SyncScore, clip_sync, lower_median
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.motion import SAMPLES_PER_FRAME

Array = np.ndarray
Clip = tuple[Array, Array]  # motion (T, 70), un-normalised, and voice (640 T,) in [-1, 1]


@torch.no_grad()
def expert_sync(expert: SyncExpert, motion_TC: Array, audio_S: Array, *, max_shift: int) -> ClipSync:
    """Scores of one clip, for shifts −max_shift ... max_shift; what is longer, motion or voice, is cut.

    Positive offset: the voice comes too early. Raises ValueError for fewer frames than the expert's window.
    """
    frames = min(len(motion_TC), len(audio_S) // SAMPLES_PER_FRAME)
    device = expert.lip_mean.device
    motion = torch.as_tensor(motion_TC[None, :frames], dtype=torch.float32, device=device)
    audio = torch.as_tensor(audio_S[None, : frames * SAMPLES_PER_FRAME], dtype=torch.float32, device=device)
    training = expert.training
    expert.eval()
    lip, voice = expert.lip_embeddings(motion)[0], expert.voice_embeddings(expert.encoder(audio))[0]
    expert.train(training)
    return clip_sync(lip, voice, max_shift=max_shift)


def confidence_at_zero(score: SyncScore) -> float:
    """Median distance over shifts − distance at none: the confidence that lips and voice belong together as they are.

    `score.confidence` is that of the best shift, and does not fall when the voice is moved. This one is negative where
    lips and voice agree less than strangers do: half a syllable apart, one opens where the other closes.
    """
    return lower_median(score.curve_S[np.isfinite(score.curve_S)]) - score.distance_at_zero


@dataclass(frozen=True)
class ShiftStudy:
    """What an expert makes of voices moved by known shifts (K,), and of another clip's voice.

    found_K: share of clips whose offset is the planted one, within_one_K: to a frame. at_zero_K: mean
    `confidence_at_zero`. strange: the same of another clip's voice, unmoved. confidence, strange_confidence: mean
    confidence at the best shift, over all planted shifts and of another clip's voice.
    """

    shifts_K: Array
    found_K: Array
    within_one_K: Array
    at_zero_K: Array
    strange: float
    confidence: float
    strange_confidence: float


def study_shifts(
    expert: SyncExpert, clips: Sequence[Clip], *, frames: int, shifts: Sequence[int], max_shift: int
) -> ShiftStudy:
    """Move the voice of a stretch of `frames` from every clip by every shift, real voice coming in at the ends.

    Raises ValueError for fewer than two clips, or a clip shorter than `frames` and twice the largest shift.
    """
    reach = max(map(abs, shifts))
    short = [len(motion) for motion, _ in clips if len(motion) < frames + 2 * reach]
    if short or len(clips) < 2:
        raise ValueError(
            f"{len(clips)} clips, {len(short)} of them shorter than {frames + 2 * reach} frames (expected two or more "
            "clips, none shorter); give longer clips or smaller shifts"
        )

    def score(lips: Clip, voice: Clip, shift: int) -> SyncScore:
        first = (reach + shift) * SAMPLES_PER_FRAME
        audio = voice[1][first : first + frames * SAMPLES_PER_FRAME]
        return expert_sync(expert, lips[0][reach : reach + frames], audio, max_shift=max_shift).masked

    moved = [[score(clip, clip, shift) for shift in shifts] for clip in clips]
    error = np.abs(np.array([[found.offset for found in row] for row in moved]) - np.array(shifts))
    strangers = [score(clip, other, 0) for clip, other in zip(clips, [*clips[1:], clips[0]], strict=True)]
    return ShiftStudy(
        shifts_K=np.array(shifts),
        found_K=(error == 0).mean(0),
        within_one_K=(error <= 1).mean(0),
        at_zero_K=np.mean([[confidence_at_zero(found) for found in row] for row in moved], 0),
        strange=float(np.mean([confidence_at_zero(found) for found in strangers])),
        confidence=float(np.mean([found.confidence for row in moved for found in row])),
        strange_confidence=float(np.mean([found.confidence for found in strangers])),
    )
