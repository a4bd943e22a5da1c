"""Whether the person of the source picture stays who they are (CSIM): cosine of identity embeddings, frame by frame.

One face is followed: the largest where it is first seen, then the one whose box overlaps the last most. Frames in
which it is not seen have no cosine; they are counted, and a pessimistic mean takes them as 0.

Shape suffixes: B frames of a batch, E numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from joyvasa.faces.face import overlap
from joyvasa.faces.five_points import PointDetector, PointedFace

PERCENT = 5
PHOTO_SIDE = 1280  # pixels, to which the longer side of a larger source picture is brought


class IdentityNetwork(Protocol):
    """As joyvasa.models.judges.arcface.ArcFace."""

    name: str

    def embed(self, images: Sequence[np.ndarray], points_B52: np.ndarray) -> np.ndarray: ...


class FaceFollower:
    """Which of the faces of a frame is the one followed; frames are given in their order.

    same_face: intersection over union with the box last seen, from which on it is the same. lost_frames: unseen for
    longer, the largest is taken anew, as at the start. A cut to another place loses the face for so long.
    """

    def __init__(self, *, same_face: float, lost_frames: int) -> None:
        self.same_face, self.lost_frames = same_face, lost_frames
        self._last: PointedFace | None = None
        self._unseen = 0

    def choose(self, seen: Sequence[PointedFace]) -> PointedFace | None:
        chosen = None
        if self._last is None or self._unseen > self.lost_frames:
            chosen = max(seen, key=lambda each: each.face.area, default=None)
        elif seen:
            shares = [overlap(self._last.face, each.face) for each in seen]
            best = int(np.argmax(shares))
            chosen = seen[best] if shares[best] >= self.same_face else None
        self._unseen = self._unseen + 1 if chosen is None else 0
        self._last = chosen or self._last
        return chosen


class IdentityWatch:
    """Cosines of one video's frames to its source picture, frames given in their order and not kept.

    source: uint8 RGB (H, W, 3); its largest face counts. where: its name. same_face, lost_frames: of `FaceFollower`.
    Raises ValueError where the source shows no face.
    """

    def __init__(
        self,
        source: np.ndarray,
        *,
        network: IdentityNetwork,
        detector: PointDetector,
        same_face: float,
        lost_frames: int,
        where: str,
    ) -> None:
        self._network, self._detector = network, detector
        self._follower = FaceFollower(same_face=same_face, lost_frames=lost_frames)
        seen = detector.find(source)
        if not seen:
            raise ValueError(f"{where}: no face found in the source picture; give one in which it looks to the camera")
        self._source_E = self._embeddings([source], [max(seen, key=lambda each: each.face.area)])[0]

    def cosines(self, frames: Sequence[np.ndarray]) -> Tensor:
        """The next frames, uint8 RGB (H, W, 3) -> (B,) float64; NaN where the face is not seen."""
        chosen = [self._follower.choose(self._detector.find(frame)) for frame in frames]
        found_B = torch.full((len(frames),), torch.nan, dtype=torch.float64)
        at = [index for index, each in enumerate(chosen) if each is not None]
        if at:
            found_B[at] = (
                self._embeddings([frames[each] for each in at], [chosen[each] for each in at]) @ self._source_E
            )
        return found_B

    def _embeddings(self, images: list[np.ndarray], faces: list[PointedFace]) -> Tensor:
        """(B, E) float64."""
        said_BE = self._network.embed(images, np.stack([each.points_52 for each in faces]))
        return torch.from_numpy(said_BE).double()


class VideoIdentity(Metric):
    """One video: `update` with its cosines, in any pieces and order, on any ranks. All are kept, 8 bytes a frame.

    `compute` gives, over the frames in which the face was seen,

        csim, csim_min, csim_p5    mean, smallest, 5th percentile (linear between ranks)

    and over all frames

        csim_pessimistic           mean, with 0 for a frame without the face
        face_rate, frames          share of frames with it, number of frames

    NaN without a face (the last two: without a frame). Corpus: `VideoMeans` of these rows.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.set_dtype(torch.float64)  # of the empty piece that a rank without frames sends
        self.add_state("pieces", [], dist_reduce_fx="cat")

    def update(self, cosines_B: Tensor) -> None:
        """Cosines, NaN for a frame without the face. Raises ValueError for what is no cosine."""
        cosines_B = torch.as_tensor(cosines_B, dtype=torch.float64, device=self.device)
        if cosines_B.ndim != 1 or (cosines_B.abs() > 1 + 1e-5).any():
            raise ValueError(f"cosines of shape {tuple(cosines_B.shape)} (expected (frames,) from -1 to 1, or NaN)")
        self.pieces.append(cosines_B)

    def compute(self) -> dict[str, Tensor]:
        pieces = [self.pieces] if isinstance(self.pieces, Tensor) else self.pieces
        all_B = torch.cat([torch.empty(0, dtype=torch.float64, device=self.device), *pieces])
        # Sorted, so that sums do not depend, in their last bit, on the order of frames and ranks.
        seen = all_B[~all_B.isnan()].sort().values
        nothing = seen.new_tensor(torch.nan)
        known, frames = (seen.new_tensor(len(each)) for each in (seen, all_B))
        return {
            "csim": seen.mean(),
            "csim_min": seen[0] if len(seen) else nothing,
            "csim_p5": torch.quantile(seen, PERCENT / 100) if len(seen) else nothing,
            "csim_pessimistic": seen.sum() / frames,
            "face_rate": known / frames,
            "frames": frames,
        }
