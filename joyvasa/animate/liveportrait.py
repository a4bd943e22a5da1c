"""LivePortrait as a renderer: a photo, or the frames of a video, moved by a motion.

A photo's appearance feature and keypoints are computed once. Then the keypoints of each frame (compose.py) warp the
feature and the generator draws it, in batches, memory flat in the length. Pictures are the crop of the face; putting
them back into the whole photo is the caller's.

Shape suffixes: B batch, T frames, C channels, K keypoints, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from joyvasa.animate.compose import Composer, VideoComposer
from joyvasa.animate.compose_finish import Retargeting
from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.compose_source import Source
from joyvasa.animate.liveportrait_batches import Graphed, filled, in_batches, quantise, to_host
from joyvasa.animate.renderer import PreparedPortrait
from joyvasa.faces.ratios import eye_ratio, lip_ratio
from joyvasa.models.liveportrait import LivePortrait
from joyvasa.motion import check_motion


@dataclass(frozen=True, eq=False)
class LivePortraitInput:
    """A face: its crop, uint8 RGB (H, W, 3) of any size, and 203 landmarks (203, 2) in the crop's pixels or None."""

    crop: np.ndarray
    landmarks: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PreparedLivePortrait(PreparedPortrait):
    """feature: the photo's appearance volume, batch 1. source: its keypoints and ratios."""

    feature: Tensor = field(repr=False)
    source: Source = field(repr=False)


class LivePortraitRenderer:
    """Follows the Renderer protocol with a `LivePortraitInput` as portrait.

    networks: F, M, W, G and, where the settings need it, S; moved to `device`, `dtype` and memory format here.
    settings: how motion is laid on the face; `render` and `render_over` take others for one film.
    batch_size: frames drawn at once. A compiled or graphed decoder gets whole batches, the last one filled up.
    compile: compile W and G (minutes at the first batch). cuda_graphs: record them; needs a CUDA device.
    `notes` says what the settings of the last film asked for and its portrait could not give.
    """

    def __init__(
        self,
        networks: LivePortrait,
        settings: Composition,
        *,
        species: str,
        batch_size: int,
        device: str,
        dtype: torch.dtype,
        channels_last: bool,
        compile: bool,
        cuda_graphs: bool,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} (expected 1 or more)")
        if cuda_graphs and torch.device(device).type != "cuda":
            raise ValueError(f"cuda_graphs on {device} (expected a CUDA device); set cuda_graphs=false")
        networks.to_runtime(device=device, dtype=dtype, channels_last=channels_last, compile=compile)
        self.networks, self.settings, self.species = networks, settings, species
        self.batch_size, self.device = batch_size, torch.device(device)
        self.whole_batches = compile or cuda_graphs
        self.decode = Graphed(self._draw) if cuda_graphs else self._draw
        self.notes: tuple[str, ...] = ()

    @torch.inference_mode()
    def prepare(self, portrait: LivePortraitInput) -> PreparedLivePortrait:
        """Run F and M once. Raises ValueError for a crop that is no uint8 picture or landmarks of another count."""
        images = self._images([portrait])
        size = self.networks.output_px
        return PreparedLivePortrait(size, size, self.networks.features(images), self._source(images, [portrait])[0])

    def render(
        self, prepared: PreparedLivePortrait, motion_TC: np.ndarray, settings: Composition | None = None
    ) -> Iterator[np.ndarray]:
        """Yield T pictures uint8 (H, W, 3), drawn a batch at a time as they are asked for.

        Raises ValueError at once for a motion of the wrong shape or with NaN, or settings that the photo cannot meet.
        """
        # The whole motion moves at once: a copy from the host for every batch would wait for the one being drawn.
        motion = torch.from_numpy(check_motion(motion_TC, "LivePortrait")).to(self.device)
        settings = settings or self.settings
        how = {"settings": settings, "retargeting": self._retargeting(settings)}
        with torch.inference_mode():
            composer = Composer(prepared.source, motion[0], species=self.species, **how)
        self.notes = composer.notes
        return to_host(self._photo_batches(prepared, composer, motion))

    def render_over(
        self,
        frames: Iterable[tuple[LivePortraitInput, np.ndarray]],
        settings: Composition | None = None,
        first_C: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield a picture uint8 (H, W, 3) for every (face of a video's frame, motion (C,)) pair.

        Everything outside the settings' region comes from the video; see `VideoComposer`. A batch of frames is held at
        a time. The motion is relative to `first_C`, by default the first pair's.
        """
        settings = settings or self.settings
        return to_host(self._video_batches(frames, settings, self._retargeting(settings), first_C))

    def _photo_batches(
        self, prepared: PreparedLivePortrait, composer: Composer, motion_TC: Tensor
    ) -> Iterator[tuple[Tensor, int]]:
        source = prepared.source.keypoints[None]
        for motion in motion_TC.split(self.batch_size):
            with torch.inference_mode():
                driving = composer(motion)
                pictures = self.decode(prepared.feature, source, self._filled(driving))
            yield pictures, len(motion)

    def _video_batches(
        self,
        frames: Iterable[tuple[LivePortraitInput, np.ndarray]],
        settings: Composition,
        retargeting: Retargeting | None,
        first_C: np.ndarray | None,
    ) -> Iterator[tuple[Tensor, int]]:
        composer: VideoComposer | None = None
        for batch in in_batches(frames, self.batch_size):
            count, faces = len(batch), [face for face, _ in batch]
            motion = torch.from_numpy(check_motion(np.stack([row for _, row in batch]), "LivePortrait"))
            with torch.inference_mode():
                if composer is None:
                    first = motion[0] if first_C is None else torch.from_numpy(first_C)
                    composer = VideoComposer(first, settings=settings, retargeting=retargeting)
                images = self._images(faces)
                source = self._source(images, faces)
                self.notes = composer.notes(source)
                driving = composer(source, motion)
                parts = self.networks.features(images), source.keypoints, driving
                pictures = self._draw(*(self._filled(part) for part in parts))
            yield pictures, count

    def _retargeting(self, settings: Composition) -> Retargeting | None:
        wanted = settings.stitching or settings.normalise_lip or settings.retargets
        return self.networks.retargeting if wanted else None

    def _images(self, faces: list[LivePortraitInput]) -> Tensor:
        """Crops -> (B, 3, input_px, input_px) float32 in 0..1 on the device."""
        pixels = np.stack([self._resized(face.crop) for face in faces])
        images = torch.from_numpy(pixels).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return images.float() / 255

    def _resized(self, crop: np.ndarray) -> np.ndarray:
        if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
            raise ValueError(f"crop of {crop.dtype} {crop.shape} (expected uint8 RGB (H, W, 3))")
        side = self.networks.input_px
        if crop.shape[:2] == (side, side):
            return crop
        how = cv2.INTER_AREA if min(crop.shape[:2]) > side else cv2.INTER_LINEAR
        return cv2.resize(crop, (side, side), interpolation=how)

    def _source(self, images: Tensor, faces: list[LivePortraitInput]) -> Source:
        canonical, motion = self.networks.motion(images)
        landmarks = [face.landmarks for face in faces]
        if any(points is None for points in landmarks):
            return Source(canonical, motion, None, None)
        eye, lip = (
            torch.tensor(ratio(np.stack(landmarks)), dtype=torch.float32, device=motion.device)
            for ratio in (eye_ratio, lip_ratio)
        )
        return Source(canonical, motion, eye, lip)

    def _filled(self, rows: Tensor) -> Tensor:
        return filled(rows, self.batch_size) if self.whole_batches else rows

    def _draw(self, feature: Tensor, source_BK3: Tensor, driving_BK3: Tensor) -> Tensor:
        return quantise(self.networks.decode(feature, source_BK3, driving_BK3))
