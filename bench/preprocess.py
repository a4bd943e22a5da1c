"""From a video to motion: the published way (all networks built for every video, all its frames in memory, one after
the other through M) against ours (M alone, built once; frames streamed, faces sought now and then), in one run.

python bench/preprocess.py [--size official] [--clips 3] [--frames 50] [--batch N] [--threads 1] [--device cpu]
                           [--precision auto] [--width 640] [--height 480] [--crop 512]

Rows are seconds a clip, medians over the clips, which take turns. Published: five networks from five files, by their
constructors, as in `LivePortraitWrapper`; its landmark networks and its motion generator are left out on both sides,
so `faces` is a look of the same detector in every frame; crops are cut at --crop pixels and made smaller; on a GPU M
runs in float16, and every frame's result is fetched. Ours decodes twice, for the faces and for M: both are counted.
Ours builds M once for all clips; its row has a clip's share. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # else this file stands in for the package of its name

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from joyvasa.faces.crop import crop
from joyvasa.faces.detect import open_detector
from joyvasa.faces.face import Face
from joyvasa.io.video_writer import write_video
from joyvasa.models.liveportrait import LivePortrait, load
from joyvasa.models.liveportrait.loading import BUILDERS
from joyvasa.models.liveportrait.sizes import PARTS
from joyvasa.motion import FPS
from joyvasa.tasks.config import conf_dir
from preprocess.videos.crops import crops_of, path_of, transform_of
from preprocess.videos.frames import open_frames
from preprocess.videos.look import look
from preprocess.videos.motion import Extractor, move_piece
from preprocess.videos.records import FaceTrack, Piece

STAGES = ("build", "decode", "faces", "crop", "M")
SETTINGS = OmegaConf.load(conf_dir() / "source" / "videos.yaml").settings


class Clock:
    """Seconds by stage, a list of them over the clips; the GPU's work included."""

    def __init__(self, device: str):
        self.wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def stage(self, name: str):
        self.wait()
        started = time.perf_counter()
        yield
        self.wait()
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])


class OneFace:
    """Looks with the real detector, and then sees the face in the middle, which no made picture has."""

    def __init__(self, width: int, height: int):
        self.inner, side = open_detector("haar"), 0.4 * min(width, height)
        self.name, self.note = self.inner.name, ""
        self.face = Face(((width - side) / 2, (height - side) / 2, side, side), 0.0, 1.0, "haar")
        self.square = np.array([width / 2, height / 2, side, 0.0])

    def detect(self, image: np.ndarray) -> list[Face]:
        self.inner.detect(image)
        return [self.face]


def made_clip(path: Path, args: argparse.Namespace, seed: int) -> Path:
    """Blurred noise that drifts, and a voice of noise."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 255, (args.height // 120, args.width // 120, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (args.width, args.height), interpolation=cv2.INTER_CUBIC)
    frames = (np.roll(picture, shift, axis=1) for shift in range(args.frames))
    write_video(path, frames, draw.uniform(-0.1, 0.1, args.frames * 640).astype(np.float32))
    return path


class Published:
    """One video after the other, everything anew for each."""

    def __init__(self, networks: LivePortrait, folder: Path, args: argparse.Namespace, detector: OneFace, how: dict):
        self.networks, self.folder, self.args, self.detector, self.how = networks, folder, args, detector, how
        self.clock = Clock(args.device)
        for letter in PARTS:
            torch.save(networks.part(letter).state_dict(), folder / f"{letter}.pth")

    def build(self) -> None:
        for letter in PARTS:
            network = BUILDERS[letter](**self.networks.sizes.networks[letter])
            network.load_state_dict(torch.load(self.folder / f"{letter}.pth", map_location="cpu"))
            self.networks.networks[letter] = network.to(self.args.device).eval().requires_grad_(False)

    def run(self, path: Path) -> np.ndarray:
        stage, px = self.clock.stage, self.networks.input_px
        with stage("whole"):
            with stage("build"):
                self.build()
            with stage("decode"):
                frames = list(open_frames(path, self.how["decoding"]).read(0, self.args.frames))
            with stage("faces"):
                for frame in frames:
                    self.detector.detect(frame)
            with stage("crop"):
                spec = replace(self.how["extracting"].crop, size=self.args.crop)
                transform = transform_of(self.detector.square, spec)
                crops = [cv2.resize(crop(frame, transform, spec.size), (px, px)) for frame in frames]
            with stage("M"):
                return np.concatenate([self.motion(each) for each in crops])

    def motion(self, picture: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None].to(self.args.device)
        device = self.networks.device.type
        with torch.autocast(device, torch.float16, enabled=device == "cuda"):
            canonical, motion = self.networks.motion(image)
        canonical.cpu()
        return motion.cpu().numpy()


class Ours:
    """The stages as they are: `look`, then `move_piece`; and each part of them alone."""

    def __init__(self, args: argparse.Namespace, detector: OneFace, how: dict):
        self.args, self.detector, self.how, self.clock = args, detector, how, Clock(args.device)
        with self.clock.stage("build"):
            self.extractor = Extractor(how["extracting"], args.device)

    def run(self, path: Path) -> np.ndarray:
        """Look and move, as in preprocess, streamed."""
        count = self.args.frames
        with self.clock.stage("streamed"):
            frames = open_frames(path, self.how["decoding"])
            self.look(frames.read(0, count), frames.times)
            frames = open_frames(path, self.how["decoding"])
            track = FaceTrack(0, count, np.tile(self.detector.square, (count, 1)), np.ones(count), None, 1, 0, 1.0, 0.0)
            piece = Piece(0, 0, 0, count, 0, count, {})
            moved = move_piece(frames, piece, track, frames.times, self.extractor, self.how["reference"])
        return moved.motion_NC

    def look(self, frames, times: np.ndarray) -> None:
        look(frames, times, 0, self.detector, self.how["following"], "bench")

    def parts(self, path: Path) -> None:
        """Every stage alone, the frames of one clip held for that."""
        stage, decoding, extracting = self.clock.stage, self.how["decoding"], self.how["extracting"]
        with stage("decode"):
            for _ in range(2):
                frames = open_frames(path, decoding)
                held = list(frames.read(0, self.args.frames))
        with stage("faces"):
            self.look(iter(held), frames.times)
        with stage("crop"):
            squares, _ = path_of(np.tile(self.detector.square, (len(held), 1)), extracting.still)
            crops = list(crops_of(held, squares, extracting.crop, self.extractor.input_px))
        with stage("M"):
            list(self.extractor.extract(crops))


def settings(args: argparse.Namespace) -> dict:
    weights = "random:0:small" if args.size == "small" else "random:0"
    how = {"weights": weights, "batch_size": args.batch, "precision": args.precision}
    parts = ("decoding", "following", "reference")
    built = {part: instantiate(SETTINGS[part]) for part in parts}
    return built | {"extracting": instantiate(SETTINGS.extracting, **how)}


def table(published: Published, ours: Ours, clips: int) -> None:
    def row(name: str, theirs: float, mine: float) -> None:
        print(f"{name:<18}{theirs:>12.3f}{mine:>12.3f}{theirs / mine:>9.2f}", flush=True)

    print(f"{'seconds a clip':<18}{'published':>12}{'ours':>12}{'ratio':>9}")
    share = ours.clock.median("build") / clips
    for name in STAGES:
        row(name, published.clock.median(name), share if name == "build" else ours.clock.median(name))
    row("whole", published.clock.median("whole"), ours.clock.median("streamed") + share)


def agreement(theirs: np.ndarray, mine: np.ndarray) -> str:
    """The two cut crops in one and in two steps, so pixels differ a little."""
    difference = np.abs(theirs - mine)
    return (
        f"motion agrees: angles within {difference[:, 67:].max():.3f} degrees, the rest {difference[:, :67].max():.5f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=("official", "small"), default="official")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    numbers = {
        "clips": 3,
        "frames": 50,
        "batch": SETTINGS.extracting.batch_size,
        "threads": 1,
        "width": 640,
        "height": 480,
        "crop": 512,
    }
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    how, detector = settings(args), OneFace(args.width, args.height)
    with tempfile.TemporaryDirectory() as folder:
        paths = [made_clip(Path(folder) / f"{number}.mp4", args, number) for number in range(args.clips)]
        networks = load(how["extracting"].weights, "human").to(args.device)
        published, ours = Published(networks, Path(folder), args, detector, how), Ours(args, detector, how)
        warm_up(published, ours, paths[0])
        for path in paths:
            pair = published.run(path), ours.run(path)
            ours.parts(path)
    first, seconds = ours.extractor.identity, args.frames / FPS
    print(
        f"{args.size} size, {args.clips} clips of {seconds:g} s, {args.width} x {args.height}, {args.threads} threads"
    )
    print(f"on {args.device}, ours in {first['precision']}, batches of {args.batch}; {agreement(*pair)}")
    table(published, ours, args.clips)


def warm_up(published: Published, ours: Ours, path: Path) -> None:
    """The first call of a kernel is slow on both sides; nobody's time."""
    works: tuple[Callable[[Path], object], ...] = (published.run, ours.run)
    kept = dict(ours.clock.seconds)
    for work in works:
        work(path)
    published.clock.seconds, ours.clock.seconds = {}, kept


if __name__ == "__main__":
    main()
