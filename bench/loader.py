"""Training examples from 20 s clips: the published item against ours, on cached features and on FLAC, in one run.

The published item (src/dataset/talkinghead_dataset_hungry.py) decodes the whole wav, normalises every frame of the clip
and then every frame of the crop in Python loops. Ours reads the slice it needs. Also: how often a clip comes twice in a
batch, and what the loader's memory grows by over many examples.

python bench/loader.py [--clips 48] [--seconds 20] [--width 768] [--rate 25] [--repeats 9] [--examples 20000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from joyvasa.data.feature_groups import FeatureGroup, feature_groups
from joyvasa.data.group_writer import add_group
from joyvasa.data.loader import WindowLoader, epoch_plan
from joyvasa.data.shard_writer import npy_bytes, write_dataset
from joyvasa.data.shards import FEATURES, Clip, DatasetInfo, open_dataset
from joyvasa.data.windows import WindowSpec
from joyvasa.features import FeatureSpec
from joyvasa.motion import CHANNELS, EXP, FPS, PITCH, ROLL, SAMPLE_RATE, SAMPLES_PER_FRAME, SCALE, TRANSLATION, YAW

WINDOW, HISTORY, BATCH, EPS = 100, 25, 16, 1e-9
PARTS = {"exp": EXP, "scale": SCALE, "t": TRANSLATION, "pitch": PITCH, "yaw": YAW, "roll": ROLL}
POSE = ("scale", "t", "pitch", "yaw", "roll")


@dataclass(frozen=True)
class OfficialItem:
    """A clip as the published program holds it: a dictionary a frame in memory, the voice as a wav file."""

    frames: list[dict[str, np.ndarray]]
    wav: Path
    template: dict[str, np.ndarray]

    def read(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(audio, exp, pose) of two windows from a random place."""
        start = int(rng.integers(0, len(self.frames) - 2 * WINDOW))
        for frame in self.frames:
            for part in PARTS:
                _ = self._standard(frame, part)
        exp, pose = [], []
        for frame in self.frames[start : start + 2 * WINDOW]:
            exp.append([self._standard(frame, "exp")])
            pose.append([np.concatenate([self._bounded(frame, part) for part in POSE])])
        audio = torch.from_numpy(soundfile.read(self.wav, dtype="float32")[0])
        crop = audio[start * SAMPLES_PER_FRAME : (start + 2 * WINDOW) * SAMPLES_PER_FRAME]
        return crop.clone(), torch.tensor(np.concatenate(exp)), torch.tensor(np.concatenate(pose))

    def _standard(self, frame: dict[str, np.ndarray], part: str) -> np.ndarray:
        return (frame[part].flatten() - self.template[f"mean_{part}"]) / (self.template[f"std_{part}"] + EPS)

    def _bounded(self, frame: dict[str, np.ndarray], part: str) -> np.ndarray:
        low, high = self.template[f"min_{part}"], self.template[f"max_{part}"]
        return (frame[part].flatten() - low) / (high - low + EPS)


def make_clips(count: int, seconds: float) -> Iterator[Clip]:
    """Smooth random motion, and sound as loud and as hard to pack as speech: noise under slow syllables."""
    frames = round(seconds * FPS)
    for number in range(count):
        rng = np.random.default_rng(number)
        motion = rng.standard_normal((frames, CHANNELS)).cumsum(0).astype(np.float32) / 100
        loudness = np.abs(np.sin(np.arange(frames * SAMPLES_PER_FRAME) / SAMPLE_RATE * 2 * np.pi * rng.uniform(1, 3)))
        audio = (0.05 * loudness * rng.standard_normal(frames * SAMPLES_PER_FRAME)).astype(np.float32).clip(-1, 1)
        yield Clip(f"clip-{number:04d}", motion, audio, {"speaker": f"s{number}", "split": "train"})


def make_official(dataset: DatasetInfo, folder: Path) -> list[OfficialItem]:
    stats, items, template = dataset.stats, [], {}
    for part, channels in PARTS.items():
        for name in ("mean", "std", "min", "max"):
            template[f"{name}_{part}"] = np.atleast_1d(getattr(stats, name).numpy()[channels])
    for entry in dataset.entries("train"):
        clip, wav = entry.load(), folder / f"{entry.key}.wav"
        soundfile.write(wav, clip.audio, SAMPLE_RATE, subtype="PCM_16")
        frames = [{part: np.atleast_1d(row[channels])[None] for part, channels in PARTS.items()} for row in clip.motion]
        items.append(OfficialItem(frames, wav, template))
    return items


def add_features(dataset: DatasetInfo, width: int, rate: int, dtype: str) -> FeatureGroup:
    """Random features where those of an encoder would be: reading does not look at them."""
    spec = FeatureSpec(encoder="random", weights_sha256="none", layer=12, rate_hz=rate, dtype=dtype)
    group = FeatureGroup(FEATURES + spec.digest, spec, width)

    def columns(entries) -> Iterator[dict[str, bytes]]:
        for number, entry in enumerate(entries):
            values = np.random.default_rng(number).standard_normal(group.shape(entry.frames)).astype(np.float32)
            yield {name: npy_bytes(array) for name, array in group.stored(values).items()}

    add_group(dataset, group.name, group.description(), columns, lambda clips: None)
    return group


def make_loader(dataset: DatasetInfo, features: FeatureGroup | None, windows_per_clip: int = 8) -> WindowLoader:
    how = {"mode": "random", "short": "repeat", "truncate_p": 0.0, "buffer": 8192, "shuffle": True}
    place = {"seed": 0, "rank": 0, "world_size": 1, "num_workers": 0, "pin_memory": False, "batch_size": BATCH}
    spec = WindowSpec(WINDOW, HISTORY)
    clips = dataset.entries("train")
    return WindowLoader(clips, spec, windows_per_clip=windows_per_clip, features=features, **how, **place)


def endless(loader: WindowLoader) -> Iterator[dict]:
    while True:
        yield from loader


def repetition(clips: int, batches: int, **plan) -> float:
    """Share of a batch's examples whose clip is in it already."""
    order = epoch_plan(clips, seed=0, epoch=0, shuffle=True, **plan)[:, 0]
    rows = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)[:batches]
    return float(np.mean([1 - len(set(row)) / BATCH for row in rows.tolist()]))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def milliseconds(run: Callable[[], object], examples: int) -> float:
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started) / examples


def compare(dataset: DatasetInfo, folder: Path, groups: list[FeatureGroup], repeats: int) -> None:
    items, rng = make_official(dataset, folder), np.random.default_rng(0)

    def official() -> None:
        torch.stack([items[int(rng.integers(len(items)))].read(rng)[0] for _ in range(BATCH)])

    ways = {"FLAC audio": None} | {f"features {g.spec.dtype} {g.spec.rate_hz:g} Hz": g for g in groups}
    streams = {name: endless(make_loader(dataset, group)) for name, group in ways.items()}
    for _ in range(3):
        official()
        for stream in streams.values():
            next(stream)
    published, ours = [], {name: [] for name in streams}
    for _ in range(repeats):
        published.append(milliseconds(official, BATCH))
        for name, stream in streams.items():
            batches = 4
            ours[name].append(milliseconds(lambda s=stream, n=batches: [next(s) for _ in range(n)], BATCH * batches))
    print(f"published item        {statistics.median(published):8.3f} ms an example")
    for name, times in ours.items():
        ratio = statistics.median(a / b for a, b in zip(published, times, strict=True))
        print(f"{name:22s}{statistics.median(times):8.3f} ms an example, {ratio:6.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = (("clips", 48), ("width", 768), ("rate", 25), ("repeats", 9), ("examples", 20_000))
    for name, default in numbers:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = make_clips(args.clips, args.seconds)
        made = write_dataset(folder / "made", clips, name="bench", source="bench", clips_per_shard=16)
        for dtype in ("float16", "int8"):
            add_features(made, args.width, args.rate, dtype)
        dataset = open_dataset(made.folder)
        groups = feature_groups(dataset)
        print(
            f"{args.clips} clips of {args.seconds:g} s, windows 2 x {WINDOW}, features {args.width} wide, one process"
        )
        compare(dataset, folder, groups, args.repeats)
        mixed, plain = ({"windows_per_clip": 8, "buffer": buffer} for buffer in (8192, 1))
        shares = [repetition(5000, 500, **plan) for plan in (mixed, plain)]
        print(
            f"a clip twice in a batch of {BATCH}: {shares[0]:.2%} of examples of 5000 clips ({shares[1]:.0%} unmixed)"
        )
        for name, group in (("FLAC audio", None), (f"features {groups[0].spec.dtype}", groups[0])):
            stream = endless(make_loader(dataset, group))
            for _ in range(50):
                next(stream)
            before = resident_mb()
            for _ in range(args.examples // BATCH):
                next(stream)
            print(f"memory over {args.examples:,} examples, {name}: {resident_mb() - before:+.1f} MB")


if __name__ == "__main__":
    main()
