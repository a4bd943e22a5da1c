"""The sync expert: a network of our own that says whether a voice belongs to these lips, and at which shift.

Two embeddings of the same window of frames, one of the lips' motion and one of the voice, on a unit sphere: near each
other where both are of the same moment of the same clip. It is trained by contrast (InfoNCE, arXiv 1807.03748) against
the voice of other clips and, as SyncNet's successors are (arXiv 1812.08631), against the same voice some frames away,
which a speaker's identity does not tell apart. It sees motion alone, so that nothing is rendered.

B clips, T frames, C channels, S samples, W feature width, L lip channels, N windows (T − window + 1), D embedding,
A anchors, K candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from joyvasa.models.generator import cached
from joyvasa.models.losses import LossValue
from joyvasa.motion import LIPS, SAMPLES_PER_FRAME, STD_FLOOR, MotionStats

_VELOCITY_GAIN = 3.0  # lips in speech move by about a third of a standard deviation a frame
_FIRST_SCALE = 10.0  # of similarities in [-1, 1] before the softmax; learnt, at most _LARGEST_SCALE
_LARGEST_SCALE = 100.0


class SyncExpert(nn.Module):
    """Motion (B, T, 70), un-normalised, and voice -> one embedding (D) of either for every window of `window` frames.

    The lips' embedding depends on the frames of its window alone; the voice's on what `encoder` hears around it.
    `encoder` maps waveform (B, 640 T) to features (B, T, W), any speech encoder of this framework. `seed` names the
    draw of its weights: a network that judges must not be the one that was trained against (`require_other_seed`).
    """

    def __init__(
        self, *, encoder: nn.Module, stats: MotionStats, window: int, kernel: int, width: int, embedding: int, seed: int
    ):
        super().__init__()
        if not 2 <= kernel < window:
            raise ValueError(f"sync expert: kernel={kernel}, window={window} frames (expected 2 <= kernel < window)")
        self.encoder, self.window = encoder, window
        self.sizes = {"window": window, "kernel": kernel, "width": width, "embedding": embedding}
        self.register_buffer("seed", torch.tensor(seed))
        self.register_buffer("lip_mean", stats.mean[LIPS].clone())
        self.register_buffer("lip_std", stats.std[LIPS].clamp(min=STD_FLOOR))
        # Unpadded: what lies beyond a window, or beyond the clip, is not part of it.
        self.lips = nn.Sequential(
            nn.Conv1d(2 * len(LIPS), width, kernel),
            nn.GELU(),
            nn.Conv1d(width, width, 1),
            nn.GELU(),
            nn.Conv1d(width, width, window - kernel),
            nn.GELU(),
            nn.Conv1d(width, embedding, 1),
        )
        self.heard = nn.Sequential(
            nn.Conv1d(encoder.width, width, window), nn.GELU(), nn.Conv1d(width, embedding, 1)
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(_FIRST_SCALE).log())

    @property
    def scale(self) -> Tensor:
        """What similarities are multiplied by before the softmax."""
        return self.log_scale.exp().clamp(max=_LARGEST_SCALE)

    def lip_embeddings(self, motion_BTC: Tensor) -> Tensor:
        """Motion (B, T, 70) -> (B, N, D) of unit length. Raises ValueError for fewer frames than a window."""
        self._check(motion_BTC.shape[1])
        place = (motion_BTC[..., LIPS] - self.lip_mean) / self.lip_std
        seen = torch.cat([place[:, 1:], _VELOCITY_GAIN * place.diff(dim=1)], -1)
        return _unit(self.lips(seen.transpose(1, 2)))

    def voice_embeddings(self, features_BTW: Tensor) -> Tensor:
        """Features (B, T, W), one a frame -> (B, N, D) of unit length. Raises ValueError as `lip_embeddings`."""
        self._check(features_BTW.shape[1])
        return _unit(self.heard(features_BTW.transpose(1, 2)))

    def forward(self, batch: dict) -> tuple[Tensor, Tensor, Tensor]:
        """(lips (B, N, D), voice (B, N, D), weight (B, N)) of a batch as the loader draws it, motion (B, T, C).

        Cached `features` stand for the audio where they are given. A window weighs 1 where all its frames are valid.
        """
        frames = batch["motion"].shape[1]
        features = cached(batch, frames) if "features" in batch else self.encoder(batch["audio"])
        valid = batch["valid"].unfold(1, self.window, 1).amin(-1)
        weight = valid * batch["weight"][:, None]
        return self.lip_embeddings(batch["motion"]), self.voice_embeddings(features), weight

    def agreement(self, motion_BTC: Tensor, audio_BS: Tensor) -> Tensor:
        """Cosine (B, N) of lips and voice of the same windows, -1 to 1; 1 − its mean can be minimised."""
        return (self.lip_embeddings(motion_BTC) * self.voice_embeddings(self.encoder(audio_BS))).sum(-1)

    @torch.no_grad()
    def curve(self, motion_TC: Tensor, audio_S: Tensor, max_shift: int) -> Tensor:
        """Mean distance (2 max_shift + 1,) of the lips from the voice that comes −max_shift ... max_shift frames later,
        over windows whose voice exists; NaN where there is none. What is longer, motion or voice, is cut.
        """
        frames = min(len(motion_TC), len(audio_S) // SAMPLES_PER_FRAME)
        lip = self.lip_embeddings(motion_TC[None, :frames])[0]
        voice = self.voice_embeddings(self.encoder(audio_S[None, : frames * SAMPLES_PER_FRAME]))[0]
        windows, means = len(lip), []
        for shift in range(-max_shift, max_shift + 1):
            apart = lip[max(-shift, 0) : windows - shift] - voice[max(shift, 0) : max(windows + shift, 0)]
            means.append(apart.norm(dim=-1).mean())
        return torch.stack(means)

    def _check(self, frames: int) -> None:
        if frames < self.window:
            raise ValueError(
                f"{frames} frames give the sync expert no window (expected {self.window} or more); leave the clip out"
            )


def require_other_seed(judge: SyncExpert, critic: SyncExpert) -> None:
    """Raise ValueError where the network that judges and the one trained against are of the same draw."""
    if int(judge.seed) == int(critic.seed):
        raise ValueError(
            f"the sync expert of the loss and the one that judges both have seed {int(judge.seed)}: what was trained "
            "against a judge is not judged by it; train another with seed="
        )


class ShiftContrast:
    """InfoNCE over shifts and clips, both ways: lips look for their voice, and voices for their lips.

    Every `stride`-th window is an anchor. Its candidates are the windows of its own clip up to `max_shift` frames away
    and the windows of all other clips at the same place. Minimised is the cross-entropy of softmax(scale x cosine) and
    the true window.
    """

    def __init__(self, *, max_shift: int, stride: int):
        if min(max_shift, stride) < 1:
            raise ValueError(f"sync loss: max_shift={max_shift}, stride={stride} (expected 1 or more)")
        self.max_shift, self.stride = max_shift, stride

    def __call__(self, lip_BND: Tensor, voice_BND: Tensor, weight_BN: Tensor, scale: Tensor) -> LossValue:
        """`total` sums over anchors that count, `count` counts them. Terms: `contrast`, the mean; `hit`, the share of
        anchors whose own shift is found to a frame, other clips left aside."""
        anchors = torch.arange(0, lip_BND.shape[1], self.stride, device=lip_BND.device)
        weight_BA = weight_BN[:, anchors]
        count = weight_BA.sum()
        total, hits = lip_BND.new_zeros(()), lip_BND.new_zeros(())
        for query, keys in ((lip_BND, voice_BND), (voice_BND, lip_BND)):
            cosine_BAK, absent_BAK = self._candidates(query, keys, weight_BN, anchors)
            # Masked behind the product, or the scale's gradient would be 0 times infinity; and an anchor that does not
            # count may have no candidate at all, which has no softmax.
            idle_BA1 = (weight_BA == 0)[..., None]
            logits_BAK = (scale * cosine_BAK).masked_fill(absent_BAK, -torch.inf).masked_fill(idle_BA1, 0.0)
            cost_BA = -logits_BAK.log_softmax(-1)[..., self.max_shift]
            found_BA = logits_BAK[..., : 2 * self.max_shift + 1].argmax(-1)
            total = total + (cost_BA * weight_BA).sum() / 2
            hits = hits + (((found_BA - self.max_shift).abs() <= 1) * weight_BA).sum() / 2
        least = count.clamp(min=1)
        return LossValue({"contrast": total.detach() / least, "hit": hits / least}, total, count)

    def _candidates(
        self, query_BND: Tensor, key_BND: Tensor, weight_BN: Tensor, anchors_A: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cosines (B, A, K), own clip at shifts −max_shift ... max_shift, then all clips; and which do not exist."""
        clips, windows, _ = query_BND.shape
        place_AK = anchors_A[:, None] + torch.arange(-self.max_shift, self.max_shift + 1, device=anchors_A.device)
        inside_AK = (place_AK >= 0) & (place_AK < windows)
        place_AK = place_AK.clamp(0, windows - 1)
        anchor_BAD = query_BND[:, anchors_A]
        own = torch.einsum("bad,bakd->bak", anchor_BAD, key_BND[:, place_AK])
        others = torch.einsum("bad,cad->bac", anchor_BAD, key_BND[:, anchors_A])
        same_BAC = torch.eye(clips, dtype=torch.bool, device=others.device)[:, None].expand_as(others)
        absent_own = ~inside_AK | (weight_BN[:, place_AK] == 0)
        absent_others = same_BAC | (weight_BN[:, anchors_A] == 0).T[None]
        return torch.cat([own, others], -1), torch.cat([absent_own, absent_others], -1)


def _unit(embedding_BDN: Tensor) -> Tensor:
    return nn.functional.normalize(embedding_BDN.float(), dim=1).transpose(1, 2)
