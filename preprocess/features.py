"""source=shards: cache the features of a frozen speech encoder as a column group of a dataset that is there already.

B windows or clips, T frames, W feature width, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch

from joyvasa.data.clips import ClipEntry, DatasetError
from joyvasa.data.feature_groups import VALUES, FeatureGroup
from joyvasa.data.group_writer import add_group
from joyvasa.data.shard_writer import npy_bytes
from joyvasa.data.shards import FEATURES, DatasetInfo, open_dataset
from joyvasa.features import DTYPES, RATES_HZ, WHOLE_CLIP, FeatureSpec
from joyvasa.models.speech import SpeechEncoder, load_speech_encoder
from joyvasa.motion import FPS, SAMPLES_PER_FRAME
from joyvasa.progress import count_as_done, progress_bar


class FeatureSource:
    """Called, it adds `features/<digest>/` to the dataset folder `input`, or says that it is there.

    features: name, path and layer of the encoder as in conf/encoder; rate (25 or 50 a second), dtype (float32, float16,
    int8); starts null for clips encoded whole, N for windows of `window` frames that begin every N frames, each encoded
    by itself with left_context and right_context frames around it; batch_seconds of audio encoded at once.
    """

    def __init__(self, *, input: str | None, features: dict | None, seed: int):
        del seed  # nothing is drawn
        if input is None or features is None:
            raise ValueError(
                "input= and features= are needed: python -m preprocess source=shards input=DIR features=hubert_zh"
            )
        self.folder, self.how = input, dict(features)
        self.batch_frames = max(round(self.how["batch_seconds"] * FPS), 1)

    def __call__(self, output: str | None) -> DatasetInfo:
        if output is not None:
            raise ValueError(f"output={output}: features are added to the dataset at input={self.folder}; leave it out")
        dataset = open_dataset(self.folder)
        encoder, spec = self._encoder(), self._spec
        group = FeatureGroup(FEATURES + spec.digest, spec, encoder.width)
        if group.name in dataset.groups:
            print(f"{dataset.folder / group.name}: there already, nothing to do")
            return dataset
        device = "cuda" if torch.cuda.is_available() else "cpu"
        hours = f"{dataset.hours:.2f} h" if dataset.hours >= 0.01 else f"{dataset.hours * 3600:.0f} s"
        print(
            f"encoding {hours} of speech by {encoder.name} on {device} into {dataset.folder / group.name}", flush=True
        )
        frames = round(dataset.hours * 3600 * FPS)
        with progress_bar(total=frames, what=encoder.name, unit="frame") as bar:

            def advance(clips: list[ClipEntry]) -> None:
                bar.update(frames_of(clips))

            def kept(clips: list[ClipEntry]) -> None:
                count_as_done(bar, frames_of(clips))

            def columns(clips: list[ClipEntry]) -> Iterator[dict[str, bytes]]:
                return iter(self._encode_shard(encoder, group, clips, device, advance))

            add_group(dataset, group.name, group.description(), columns, kept)
        return open_dataset(dataset.folder)

    def check(self) -> None:
        """Raises what the call would for an encoder or settings that there are not."""
        self._encoder()

    def _encoder(self) -> SpeechEncoder:
        how = self.how
        if how["rate"] not in RATES_HZ or how["dtype"] not in DTYPES:
            raise ValueError(f"features.rate={how['rate']}, dtype={how['dtype']} (expected {RATES_HZ}, {DTYPES})")
        if how["starts"] is not None and (how["starts"] < 1 or how["window"] < 2):
            raise ValueError(
                f"features.starts={how['starts']}, window={how['window']} (expected null or 1, and 2 frames or more)"
            )
        encoder = load_speech_encoder(
            name=how["name"],
            path=how["path"],
            layer=how["layer"],
            frozen=True,
            per_window=how["starts"] is not None,
            spec_augment=False,
            left_context=how["left_context"],
            right_context=how["right_context"],
        )
        heard = encoder.spec
        self._spec = FeatureSpec(
            encoder=heard.encoder,
            weights_sha256=heard.weights_sha256,
            layer=heard.layer,
            rate_hz=how["rate"],
            dtype=how["dtype"],
            left_context=heard.left_context,
            right_context=heard.right_context,
            window_starts=WHOLE_CLIP if how["starts"] is None else f"every {how['starts']}",
            window_frames=None if how["starts"] is None else how["window"],
        )
        return encoder

    def _encode_shard(self, encoder, group: FeatureGroup, clips: list[ClipEntry], device: str, advance) -> list[dict]:
        """The members of each clip of a shard. Clips of equal length are encoded together: to pad one would change its
        features."""
        members: dict[str, dict[str, bytes]] = {}
        by_length = sorted(clips, key=lambda clip: clip.frames)
        for frames, alike in groupby(by_length, key=lambda clip: clip.frames):
            rest, at_once = list(alike), max(self.batch_frames // frames, 1)
            while rest:
                batch, rest = rest[:at_once], rest[at_once:]
                for clip, values in zip(batch, self._features(encoder, group, batch, device), strict=True):
                    members[clip.key] = packed(group, clip, values)
                advance(batch)
        return [members[clip.key] for clip in clips]

    def _features(self, encoder, group: FeatureGroup, clips: list[ClipEntry], device: str) -> np.ndarray:
        """(B, *group.shape) float32 of clips of one length."""
        frames, rate = clips[0].frames, group.spec.rate_hz
        audio = np.stack([clip.audio() for clip in clips])
        if group.spec.grid is None:
            return encoder.encode(torch.from_numpy(audio).to(device), rate).float().cpu().numpy()
        starts, (before, after) = group.starts(frames), encoder.context
        length = group.spec.window_frames + before + after
        missing = max(starts[-1] + length - before - frames, 0)
        padded = np.pad(audio, ((0, 0), (before * SAMPLES_PER_FRAME, missing * SAMPLES_PER_FRAME)))
        cut = [padded[:, s * SAMPLES_PER_FRAME : (s + length) * SAMPLES_PER_FRAME] for s in starts]
        windows = torch.from_numpy(np.stack(cut, 1)).flatten(0, 1)
        at_once = max(self.batch_frames // length, 1)
        encoded = [encoder.encode(part.to(device), rate).float().cpu() for part in windows.split(at_once)]
        return torch.cat(encoded).unflatten(0, (len(clips), len(starts))).numpy()


def frames_of(clips: list[ClipEntry]) -> int:
    """How long clips are together, at 25 frames a second."""
    return sum(clip.frames for clip in clips)


def packed(group: FeatureGroup, clip: ClipEntry, values: np.ndarray) -> dict[str, bytes]:
    """A clip's features as the members of its group. Raises DatasetError where they are not finite."""
    stored = group.stored(values)
    if not (np.isfinite(values).all() and np.isfinite(stored[VALUES]).all()):
        raise DatasetError(
            f"clip {clip.key}: features that {group.spec.dtype} cannot hold (largest {np.abs(values).max():.3g}); "
            "look at its sound, or choose features.dtype=float32"
        )
    return {name: npy_bytes(array) for name, array in stored.items()}
