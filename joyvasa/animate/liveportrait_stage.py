"""LivePortrait in its surroundings: the drawn face goes back into the photo or the video it was cut from.

Shape suffixes: T frames, C channels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
import torch

from joyvasa.animate.compose_settings import Composition
from joyvasa.animate.footage import Shot
from joyvasa.animate.liveportrait import LivePortraitInput, LivePortraitRenderer, PreparedLivePortrait
from joyvasa.animate.portrait import Portrait, scaled
from joyvasa.faces.crop import crop, invert, move_points
from joyvasa.faces.face import Face
from joyvasa.faces.paste import Paster, paste_mask
from joyvasa.faces.ratios import LANDMARKS
from joyvasa.models.liveportrait import load

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LivePortraitStage:
    """The photo itself, moved.

    weights: as `joyvasa.models.liveportrait.load` takes them. precision: of F, W and G, "auto" for float16 on a GPU
    and float32 elsewhere. device: "auto", "cpu", "cuda". paste: into the whole picture, or the crop alone.
    The networks of a species are loaded when its first portrait comes, so that people need no animal weights.
    """

    def __init__(
        self,
        *,
        weights: str,
        precision: str,
        device: str,
        batch_size: int,
        channels_last: bool,
        compile: bool,
        cuda_graphs: bool,
        paste: bool,
    ):
        """Raises ValueError for a precision or device that there is not."""
        if precision not in ("auto", *DTYPES):
            raise ValueError(f"render.precision={precision} (expected auto, {', '.join(DTYPES)})")
        self.device = _device(device)
        fastest = "float16" if self.device.startswith("cuda") else "float32"
        self.precision = fastest if precision == "auto" else precision
        self.weights, self.paste = weights, paste
        self._runtime = {
            "batch_size": batch_size, "channels_last": channels_last, "compile": compile, "cuda_graphs": cuda_graphs,
        }  # fmt: skip
        self._renderers: dict[str, LivePortraitRenderer] = {}
        self._prepared: tuple[Portrait, PreparedLivePortrait] | None = None
        self.untrained = weights.startswith("random")
        self.note = f"LivePortrait ({weights}) on {self.device}, {self.precision}"

    def facts(self, species: str) -> dict[str, str]:
        hashes = self._renderers[species].networks.sha256 or {}
        found = {"render": "liveportrait", "weights": self.weights, "precision": self.precision}
        return found | {f"sha256 {name}": value for name, value in hashes.items()}

    def notes(self, species: str) -> tuple[str, ...]:
        return self._renderers[species].notes

    def shows_whole(self, species: str) -> bool:
        return self.paste

    def film(self, portrait: Portrait, motion_TC: np.ndarray, composition: Composition) -> Iterator[np.ndarray]:
        renderer = self._renderer(portrait.species, composition)
        if self._prepared is None or self._prepared[0] is not portrait:
            face = LivePortraitInput(portrait.crop, landmarks_in(portrait.face, portrait.to_crop))
            self._prepared = portrait, renderer.prepare(face)
        prepared = self._prepared[1]
        faces = renderer.render(prepared, motion_TC, composition)
        if not self.paste:
            return faces
        to_picture = invert(scaled(portrait.to_crop, len(portrait.crop), prepared.width))
        paster = Paster(portrait.picture.shape, to_picture, mask_of(portrait.face, prepared.width))
        return (paster.paste(portrait.picture, face) for face in faces)

    def dub(
        self, shots: Iterable[Shot], species: str, motion_TC: np.ndarray, composition: Composition
    ) -> Iterator[np.ndarray]:
        return self._dubbed(shots, self._renderer(species, composition), motion_TC, composition)

    def _dubbed(
        self, shots: Iterable[Shot], renderer: LivePortraitRenderer, motion_TC: np.ndarray, composition: Composition
    ) -> Iterator[np.ndarray]:
        renderer.notes = ()  # of the last video: where the face is gone throughout, this one has none
        pairs = zip(shots, motion_TC, strict=True)
        for painted, run in groupby(pairs, key=lambda pair: pair[0].opacity > 0):
            if painted:
                yield from self._painted(run, renderer, motion_TC[0], composition)
            else:
                for shot, _ in run:
                    yield shot.frame if self.paste else _cut(shot, renderer.networks.output_px)

    def _painted(
        self,
        run: Iterable[tuple[Shot, np.ndarray]],
        renderer: LivePortraitRenderer,
        first_C: np.ndarray,
        composition: Composition,
    ) -> Iterator[np.ndarray]:
        """The frames of shots in which the face is seen. first_C: the motion that theirs is relative to."""
        mask = None  # the same for all frames: a face that is followed stays of one kind
        waiting: deque[Shot] = deque()  # those whose faces are being drawn: a batch at most

        def pairs() -> Iterator[tuple[LivePortraitInput, np.ndarray]]:
            for shot, motion in run:
                waiting.append(shot)
                cut = crop(shot.frame, shot.to_crop, shot.size)
                yield LivePortraitInput(cut, landmarks_in(shot.face, shot.to_crop)), motion

        for face in renderer.render_over(pairs(), composition, first_C=first_C):
            shot = waiting.popleft()
            if not self.paste:
                yield face if shot.opacity >= 1 else shot.faded(_cut(shot, len(face)), face)
                continue
            mask = mask_of(shot.face, len(face)) if mask is None else mask
            to_frame = invert(scaled(shot.to_crop, shot.size, len(face)))
            painted = Paster(shot.frame.shape, to_frame, mask).paste(shot.frame, face)
            yield shot.faded(shot.frame, painted)

    def _renderer(self, species: str, composition: Composition) -> LivePortraitRenderer:
        if species not in self._renderers:
            networks = load(self.weights, species)
            how = {"device": self.device, "dtype": DTYPES[self.precision], **self._runtime}
            self._renderers[species] = LivePortraitRenderer(networks, composition, species=species, **how)
        return self._renderers[species]


def _device(name: str) -> str:
    """cpu, cuda or cuda:N; "auto" is the first GPU, if there is one. Raises ValueError for one that is not there."""
    gpus = torch.cuda.device_count()
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name not in ("cpu", "cuda", *(f"cuda:{number}" for number in range(gpus))) or (name == "cuda" and not gpus):
        raise ValueError(f"render.device={name}: torch sees {gpus} GPUs here (expected auto, cpu, cuda or cuda:N)")
    return name


def _cut(shot: Shot, size: int) -> np.ndarray:
    """The crop of a shot as it was filmed, uint8 (size, size, 3)."""
    return crop(shot.frame, scaled(shot.to_crop, shot.size, size), size)


def mask_of(face: Face, size: int) -> np.ndarray:
    """Soft towards the crop's edge; a picture that is its own crop has no surroundings to blend into."""
    return np.ones((size, size), np.float32) if face.detector == "whole" else paste_mask(size)


def landmarks_in(face: Face, to_crop: np.ndarray) -> np.ndarray | None:
    """The dense landmarks in the crop's pixels, None where the detector gives no such."""
    if face.landmarks is None or len(face.landmarks) != LANDMARKS:
        return None
    return move_points(face.landmarks, to_crop)
