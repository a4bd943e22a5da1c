"""Lip-sync by the sync expert: offset and confidence from motion and voice, nothing rendered.

The scores are those of `joyvasa.eval.sync` on the expert's embeddings, the masked ones: means over the windows whose
voice exists. They are on the expert's own scale (distances 0 to 2 on the unit sphere), which depends on its weights:
numbers of two experts, or of SyncNet, are not compared.

| name | is | best |
|---|---|---|
| `sync_confidence` | mean over clips of `discounted_confidence` | truth's |
| `sync_offset` | frames by which the voice comes too early: the smallest distance, averaged over clips | 0 |

T frames, C channels, S samples, N clips, K shifts, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from joyvasa.eval.bootstrap import Estimate, Score, divide, draw_resamples, interval, mean_of
from joyvasa.eval.reference import ClipMotion
from joyvasa.eval.sync import ClipSync, SyncScore, clip_sync, lower_median
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.motion import SAMPLES_PER_FRAME

Array = np.ndarray

METRICS = ("sync_confidence", "sync_offset")


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


def discounted_confidence(score: SyncScore) -> float:
    """The confidence that lips and voice belong together as they are: what the voice of a shift s is nearer than the
    median, times 1 − |s| / (v + 1), at its greatest over s = −v ... v.

    `score.confidence` is that of the best shift, and does not fall when the voice is moved. Median − distance at no
    shift falls, but not evenly: half a syllable apart one opens where the other closes, which is less than a stranger
    agrees, and a whole syllable apart it has risen again. In sync this is `score.confidence`.
    """
    present_S = np.isfinite(score.curve_S)
    reach = len(score.curve_S) // 2
    discount_S = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    nearer_S = lower_median(score.curve_S[present_S]) - score.curve_S
    return float((nearer_S * discount_S)[present_S].max())


@dataclass(frozen=True)
class Judge:
    """A sync expert and the shifts, in frames either way, among which it looks for the voice of a clip."""

    expert: SyncExpert
    max_shift: int

    @property
    def least_frames(self) -> int:
        """A shorter clip has shifts at which no voice is left."""
        return self.expert.window + self.max_shift

    def score(self, motion_TC: Array, audio_S: Array) -> SyncScore | None:
        """The masked score of a clip, None for one that is too short."""
        if min(len(motion_TC), len(audio_S) // SAMPLES_PER_FRAME) < self.least_frames:
            return None
        return expert_sync(self.expert, motion_TC, audio_S, max_shift=self.max_shift).masked

    def scores(self, keys: Sequence[str], found: Sequence[SyncScore | None], seed: int) -> dict[str, Score]:
        """METRICS with their intervals, resampled over voices, of the clips `keys`; None: not scored."""
        none = np.full(2 * self.max_shift + 1, np.nan)
        confidence = np.array([np.nan if each is None else discounted_confidence(each) for each in found])
        curves = np.array([none if each is None else each.curve_S for each in found])
        missing = sum(each is None for each in found)
        reason = f"unpaired, or under {self.least_frames} frames"
        note = f"{missing} of {len(found)} clips left out: {reason}" if missing else ""
        estimates = (mean_of(confidence), _pooled_offset(curves, self.max_shift))
        resamples = draw_resamples(keys, seed, "voice")
        counted = len(found) - missing
        return {
            name: interval(each, resamples, counted, note) for name, each in zip(METRICS, estimates, strict=True)
        }  # fmt: skip

    def rows(
        self, clips: Sequence[ClipMotion], voices: Sequence[Array], seed: int, names: Sequence[str]
    ) -> dict[str, dict[str, Score]]:
        """METRICS of the rows `names` (of `motion.score_rows`) that have motion here: `model`, what was generated;
        `ceiling`, the recorded motion; `other_voice`, motion made from another's voice, judged with the clip's own.

        `voices`: each clip's own, (640 T,), in the order of the clips.
        """
        motions = {
            "model": [clip.generated for clip in clips],
            "other_voice": [clip.other for clip in clips],
            "ceiling": [clip.truth for clip in clips],
        }
        keys, rows = [clip.key for clip in clips], {}
        for name in (name for name in names if name in motions):
            asked = [clip.paired and motion is not None for clip, motion in zip(clips, motions[name], strict=True)]
            found = [
                self.score(motion, voice) if wanted else None
                for motion, voice, wanted in zip(motions[name], voices, asked, strict=True)
            ]
            rows[name] = self.scores(keys, found, seed)
        return rows


def _pooled_offset(curves_NK: Array, max_shift: int) -> Estimate:
    """Offset of the mean curve of the clips that are drawn; NaN where none of them has one."""
    present_N = np.isfinite(curves_NK).all(1).astype(np.float64)
    curves = np.nan_to_num(curves_NK, nan=0.0)

    def estimate(weights_RN: Array) -> Array:
        count_R = weights_RN @ present_N
        best_R = divide(weights_RN @ curves, count_R[:, None]).argmin(1) if len(curves) else np.zeros(0)
        return np.where(count_R > 0, max_shift - best_R, np.nan)

    return estimate
