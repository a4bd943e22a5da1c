"""What scoring films costs beside the networks: decoding, cropping and files. The reference way, a program for each
metric with crops and frames on the disk between its steps, against ours: one pass, nothing written but readings.

python bench/evaluate.py [--films 3] [--seconds 10] [--side 512] [--repeats 3] [--metrics lipsync,fid,…]

Rows are seconds for all films, medians over the repeats, which take turns. Networks, and the arithmetic of SSIM, answer
at once on both sides, and a face is where it is known to be: only what lies around them is timed.
The reference way, after the public programs: lip sync (syncnet_python: run_pipeline.py, run_syncnet.py) writes the film
again as AVI at 25 frames a second, its frames as JPEG, reads these for the detector, decodes once more for cuts, reads
them again to crop, writes the crops as AVI, decodes these into JPEG files and reads them; FID, KID, FVD and KVD
(pytorch-fid, stylegan-v) write the frames of both sides as JPEG once and read them each, all or 16; CSIM, PSNR, SSIM
and LPIPS decode again. Its programs start an interpreter for each step, and write through ffmpeg processes; neither is
counted here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # else this file stands in for the package of its name

import av
import cv2
import numpy as np
import torch
from tqdm import tqdm

from joyvasa.eval.films.feature_gauge import FeatureInstrument
from joyvasa.eval.films.identity_gauge import IdentityInstrument
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.films.pairing import REFERENCE, Group
from joyvasa.eval.films.passing import Sides, measure
from joyvasa.eval.films.quality_gauge import QualityInstrument
from joyvasa.eval.films.store import Store
from joyvasa.eval.lip_crop import crops_in_boxes
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocol_hash import hash_of
from joyvasa.eval.protocols import (
    CSIM_FIRST_FRAME,
    FID,
    HAAR,
    IN_MEMORY,
    KID,
    KVD_16,
    LPIPS,
    PSNR,
    SSIM,
    STYLEGAN_V_16,
    get,
    seen_by,
)
from joyvasa.eval.quality import decibels, mean_squared_error
from joyvasa.faces.face import Face
from joyvasa.faces.five_points import PointedFace
from joyvasa.io.video_reader import probe_video, read_frames
from joyvasa.io.video_sound import read_film_sound
from joyvasa.io.video_writer import write_video
from joyvasa.motion import FPS

METRICS = ("lipsync", "fid", "kid", "fvd", "kvd", "csim", "psnr", "ssim", "lpips")
PAIRED = {"psnr": PSNR, "ssim": SSIM, "lpips": LPIPS}
SETS = {"fid": FID, "kid": KID, "fvd": STYLEGAN_V_16, "kvd": KVD_16}
SIDES = ("generated", REFERENCE)
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]  # about ffmpeg's -qscale 2


def at_once(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """In the place of SSIM's arithmetic and of LPIPS."""
    return torch.zeros(len(one))


class Answers:
    """In the place of every network: right shapes at once."""

    name = "at once"

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        left, top, right, bottom = self.box = box
        points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
        face = Face((left, top, right - left, bottom - top), 0.0, 1.0, "insightface")
        self.face = PointedFace(face, points * (right - left, bottom - top) + (left, top))

    def lip_windows(self, pieces) -> torch.Tensor:
        return torch.zeros(len(pieces[0]) - 4, 1024)

    def audio(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(windows), 1024)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), 2048)

    def prepared(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), 1)

    def prepared_features(self, clips: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(clips), 400)

    def find(self, image: np.ndarray) -> list[PointedFace]:
        return [self.face]

    def embed(self, images, points) -> np.ndarray:
        return np.ones((len(images), 1), np.float32)


class Ours:
    def __init__(self, answers: Answers, metrics: list[str]) -> None:
        made, real = {}, {}
        lips = seen_by(get("syncnet"), HAAR)
        if "lipsync" in metrics:
            weights = {network.key: "random:0" for network in lips.networks}
            made["lipsync"] = LipInstrument(lips, weights, IN_MEMORY, answers, lambda frame: [answers.box])
        for name in SETS.keys() & metrics:
            sampling, how = SETS[name].sampling, ({}, IN_MEMORY, answers)
            for side, start in ((made, sampling.generated_start), (real, sampling.real_start)):
                instrument = FeatureInstrument(1, SETS[name].network, sampling, start, *how)
                side[hash_of(instrument.identity)] = instrument  # FID and KID, FVD and KVD look at the same
        if "csim" in metrics:
            made["csim"] = IdentityInstrument(CSIM_FIRST_FRAME, {}, IN_MEMORY, answers, answers)
        for name in PAIRED.keys() & metrics:
            weights = {network.key: "random:0" for network in PAIRED[name].networks}
            made[name] = QualityInstrument(PAIRED[name], weights, IN_MEMORY, None if name == "psnr" else at_once)
        self.sides = Sides(made, real)

    def run(self, groups: list[Group], folder: Path) -> None:
        store = Store(folder)
        for group in groups:
            found = measure(group, self.sides, store, lambda frames: None)
            faults = [each.fault for each in found.values() if each.fault]
            faults += [store.get(key).fault for each in found.values() for key in each.keys.values()]
            assert not any(faults), faults


class Reference:
    """A program a metric. Every step reads what the one before it wrote."""

    def __init__(self, answers: Answers, metrics: list[str]) -> None:
        self.answers, self.metrics = answers, metrics

    def run(self, groups: list[Group], folder: Path) -> None:
        for number, group in enumerate(groups):
            own = folder / str(number)
            own.mkdir(parents=True)
            generated, real = (group.films[side] for side in SIDES)
            if "lipsync" in self.metrics:
                self.lips(generated, own)
            if SETS.keys() & self.metrics:
                for side in SIDES:
                    self.pictures(group.films[side], own / side)
            if "csim" in self.metrics:
                next(read_frames(real))
                for frame in read_frames(generated):
                    self.answers.embed([frame], self.answers.find(frame)[0].points_52)
            for name in PAIRED.keys() & self.metrics:
                for pair in zip(read_frames(generated), read_frames(real), strict=True):
                    sides = (torch.from_numpy(each)[None] for each in pair)
                    decibels(mean_squared_error(*sides)) if name == "psnr" else at_once(*sides)

    def lips(self, film: Path, folder: Path) -> None:
        whole, crops = folder / "video.avi", folder / "crop.avi"
        write_avi(whole, read_frames(film))
        frames = write_pictures(read_avi(whole), folder / "frames")
        sound = read_film_sound(film, probe_video(film).seconds)
        for path in frames:
            self.answers.find(cv2.imread(str(path)))
        for frame in read_avi(whole):  # for cuts
            cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        boxes = np.tile(self.answers.box, (len(frames), 1))
        rule = get("syncnet").rule
        write_avi(crops, crops_in_boxes((cv2.imread(str(path)) for path in frames), boxes, rule, str(film)))
        faces = [cv2.imread(str(path)) for path in write_pictures(read_avi(crops), folder / "faces")]
        np.stack(faces, axis=3)
        mfcc(sound)

    def pictures(self, film: Path, folder: Path) -> None:
        frames = write_pictures(read_frames(film), folder)
        for name in SETS.keys() & self.metrics:
            for path in frames[: SETS[name].sampling.frames] if SETS[name].sampling.frames > 1 else frames:
                cv2.imread(str(path))


def write_avi(path: Path, frames) -> None:
    """MPEG-4 as XVID has it, at 25 a second."""
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("mpeg4", rate=FPS, options={"qscale": "2"})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, FPS)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))


def read_avi(path: Path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="rgb24")


def write_pictures(frames, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = []
    for number, frame in enumerate(frames):
        paths.append(folder / f"{number:06d}.jpg")
        cv2.imwrite(str(paths[-1]), frame, JPEG)
    return paths


def made_films(args: argparse.Namespace, folder: Path) -> list[Group]:
    """Blurred noise that drifts, a voice of noise; the generated film is a little off its reference."""
    draw, groups = np.random.default_rng(0), []
    count = round(args.seconds * FPS)
    for number in range(args.films):
        coarse = draw.integers(0, 255, (args.side // 32, args.side // 32, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (args.side, args.side), interpolation=cv2.INTER_CUBIC)
        voice = draw.uniform(-0.1, 0.1, count * 640).astype(np.float32)
        films = {}
        for offset, side in enumerate(SIDES):
            films[side] = folder / f"{side}-{number}.mp4"
            write_video(films[side], (np.roll(picture, shift + offset, axis=1) for shift in range(count)), voice)
        groups.append(Group(str(number), films, None))
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--metrics", default=",".join(METRICS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    metrics = args.metrics.split(",")
    third = args.side / 3
    answers = Answers((third, third, 2 * third, 2 * third))
    ways = {"reference": Reference(answers, metrics), "ours": Ours(answers, metrics)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        groups = made_films(args, Path(folder))
        for repeat in tqdm(range(args.repeats + 1), desc="repeats"):  # the first warms up
            for name, way in ways.items():
                started = time.perf_counter()
                way.run(groups, Path(folder, name, str(repeat)))
                if repeat:
                    seconds[name].append(time.perf_counter() - started)
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    films = f"{args.films} films and as many references of {args.seconds:g} s, {args.side} x {args.side}"
    print(f"{films}; {args.metrics}; torch on 1 thread; median of {args.repeats}")
    for name, each in middle.items():
        print(f"{name:<12}{each:>8.2f} s")
    print(f"{'ratio':<12}{middle['reference'] / middle['ours']:>8.2f}")


if __name__ == "__main__":
    main()
