"""Rendering: the published loop (float32, a frame at a time, the whole picture pasted) against ours, in one run.

python bench/render.py [--size official] [--frames 8] [--batch 2] [--dtype float32] [--compiled] [--threads 2]
                       [--device cpu] [--repeats 3] [--width 1920] [--height 1080]

Rows are milliseconds a frame. The published loop runs the same networks as they come out of the files, one frame after
the other, holds all pictures, then encodes them. Weights are random: speed does not depend on them. Rounding is
judged before the last sigmoid. The floor: the published arithmetic of W and G at this machine's rate for matrices.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from joyvasa.animate.compose import Composer
from joyvasa.animate.liveportrait import LivePortraitInput, LivePortraitRenderer
from joyvasa.animate.liveportrait_batches import quantise
from joyvasa.faces.paste import Paster, paste_mask
from joyvasa.io.video_writer import write_video
from joyvasa.models.liveportrait import LivePortrait, load
from joyvasa.motion import CHANNELS, ROTATION, SCALE
from joyvasa.tasks.config import conf_dir

GFLOP = 342 + 892  # of W and G a frame, official sizes
MATRIX = 4096
AGREEMENT_BORDER = 8  # pixels around the mask's edge in which two ways of pasting may differ
# Everything but lip normalisation, for which a made picture has no landmarks.
SETTINGS = instantiate(
    OmegaConf.load(conf_dir() / "animate" / "default.yaml").composition,
    region="all",
    driving="pose-friendly",
    normalise_lip=False,
)


def clock(run: Callable[[], object], device: str) -> float:
    """Milliseconds of one call, the GPU's work included."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    started = time.perf_counter()
    with torch.inference_mode():
        run()
    wait()
    return 1000 * (time.perf_counter() - started)


class Scene:
    """One photo, where its face is, and a motion."""

    def __init__(self, width: int, height: int, frames: int, size: int):
        draw = np.random.default_rng(0)
        coarse = draw.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8)
        self.picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        side = 0.5 * height
        turned = np.deg2rad(5.0)
        linear = side / size * np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
        self.to_picture = np.eye(3)
        self.to_picture[:2, :2] = linear
        self.to_picture[:2, 2] = np.array([0.45 * width, 0.45 * height]) - linear @ [size / 2, size / 2]
        to_crop = np.linalg.inv(self.to_picture)[:2]
        self.crop = cv2.warpAffine(self.picture, to_crop, (size, size))
        self.mask = paste_mask(size)
        self.motion = draw.normal(0, 0.02, (frames, CHANNELS)).astype(np.float32)
        self.motion[:, ROTATION] *= 100
        self.motion[:, SCALE] += 1.3


class Published:
    """The loop of the reference: one frame at a time, everything kept until the film is written."""

    def __init__(self, networks: LivePortrait, scene: Scene, image: Tensor, driving: Tensor, source: Tensor):
        self.networks, self.scene, self.image, self.driving, self.source = networks, scene, image, driving, source
        mask = np.repeat((255 * scene.mask).astype(np.uint8)[..., None], 3, axis=2)
        self.mask = self.to_picture(mask).astype(np.float32) / 255

    def to_picture(self, crop: np.ndarray) -> np.ndarray:
        height, width = self.scene.picture.shape[:2]
        return cv2.warpAffine(crop, self.scene.to_picture[:2], (width, height), flags=cv2.INTER_LINEAR)

    def paste(self, crop: np.ndarray) -> np.ndarray:
        """The whole picture warped and blended, as `paste_back` in LivePortrait's src/utils/crop.py."""
        blended = self.mask * self.to_picture(crop) + (1 - self.mask) * self.scene.picture
        return np.clip(blended, 0, 255).astype(np.uint8)

    @torch.inference_mode()
    def film(self, path: Path) -> None:
        feature, _ = self.networks.features(self.image), self.networks.motion(self.image)
        pictures = []
        for row in self.driving:
            drawn = self.networks.decode(feature, self.source, row[None]).cpu().numpy()
            crop = np.clip(np.clip(drawn.transpose(0, 2, 3, 1), 0, 1) * 255, 0, 255).astype(np.uint8)[0]
            pictures.append(self.paste(crop))
        write_video(path, pictures, None)


class Ours:
    """Batches, streamed into the encoder; only the face's region is pasted."""

    def __init__(self, renderer: LivePortraitRenderer, scene: Scene):
        self.renderer, self.scene = renderer, scene
        self.paster = Paster(scene.picture.shape, scene.to_picture, scene.mask)

    def film(self, path: Path) -> None:
        prepared = self.renderer.prepare(LivePortraitInput(self.scene.crop))
        faces = self.renderer.render(prepared, self.scene.motion)
        write_video(path, (self.paster.paste(self.scene.picture, face) for face in faces), None)


def open_both(old: LivePortrait, renderer: LivePortraitRenderer, scene: Scene) -> tuple[Published, Ours]:
    """Both draw the same keypoints of the same photo."""
    side, motion = old.input_px, torch.from_numpy(scene.motion)
    small = cv2.resize(scene.crop, (side, side), interpolation=cv2.INTER_AREA)
    image = torch.from_numpy(small).permute(2, 0, 1)[None].float().to(old.device) / 255
    source = renderer.prepare(LivePortraitInput(scene.crop)).source
    with torch.inference_mode():
        how = {"settings": SETTINGS, "retargeting": old.retargeting}
        driving = Composer(source, motion[0], species="human", **how)(motion)
    return Published(old, scene, image, driving, source.keypoints[None]), Ours(renderer, scene)


def stages(published: Published, ours: Ours, batch: int) -> dict[str, tuple[Callable, Callable, int]]:
    """Name -> (theirs for one frame, ours for `count` frames, count)."""
    old, new, scene = published.networks, ours.renderer.networks, published.scene
    image, source, rows = published.image, published.source, published.driving[:batch]
    with torch.inference_mode():
        images = image.expand(batch, -1, -1, -1).contiguous()
        feature, feature_new = old.features(image), new.features(image)
        warped = old.warp(feature, source, rows[:1]).feature
        warped_new = new.warp(feature_new, source, rows).feature
        crop = quantise(old.decode(feature, source, rows[:1]))[0].cpu().numpy()
    return {
        "F": (lambda: old.features(image), lambda: new.features(images), batch),
        "M": (lambda: old.motion(image), lambda: new.motion(images), batch),
        "W": (lambda: old.warp(feature, source, rows[:1]), lambda: new.warp(feature_new, source, rows), batch),
        "G": (lambda: old.part("G")(warped), lambda: new.part("G")(new._layout(warped_new)), batch),
        "W + G, to bytes": (
            lambda: quantise(old.decode(feature, source, rows[:1])).cpu(),
            lambda: ours.renderer.decode(feature_new, source, rows).cpu(),
            batch,
        ),
        "paste": (lambda: published.paste(crop), lambda: ours.paster.paste(scene.picture, crop), 1),
    }


def precision(published: Published, ours: Ours) -> str:
    """Error of ours before the sigmoid, in units of its deviation, and in grey levels after it."""
    logits = []
    with torch.inference_mode():
        for networks in (published.networks, ours.renderer.networks):
            feature = networks.features(published.image)
            warped = networks.warp(feature, published.source, published.driving[:1]).feature
            logits.append(networks.part("G").logits(networks._layout(warped)).float())
    error, spread = (logits[1] - logits[0]).abs(), logits[0].std()
    grey = 255 * (logits[1].sigmoid() - logits[0].sigmoid()).abs()
    return (
        f"before the sigmoid (deviation {spread:.2f}): mean error {error.mean() / spread:.1e}, largest "
        f"{error.max() / spread:.1e} of it; grey levels: mean {grey.mean():.2f}, largest {grey.max():.1f}"
    )


def paste_agreement(published: Published, ours: Ours) -> str:
    """Largest difference of the two ways, within the mask's flat part and outside it, away from the crop's edge."""
    scene = published.scene
    crop = cv2.resize(scene.crop[::-1].copy(), scene.mask.shape[::-1])
    theirs, mine = published.paste(crop), ours.paster.paste(scene.picture, crop)
    edge = (published.mask[..., 0] > 0) & (published.mask[..., 0] < 1)
    near = cv2.dilate(edge.astype(np.uint8), np.ones((AGREEMENT_BORDER, AGREEMENT_BORDER))) > 0
    difference = np.abs(theirs.astype(int) - mine).max(axis=2)
    return f"grey levels: {difference[~near].max()} away from the border, {difference.max()} on it"


def floor_ms(device: str, dtype: torch.dtype) -> float:
    """What W and G would take at this machine's rate for large matrix products."""
    size = MATRIX if device == "cuda" else MATRIX // 4
    a = torch.randn(size, size, device=device).to(dtype)
    rate = 2 * size**3 / min(clock(lambda: a @ a, device) for _ in range(5))
    return GFLOP * 1e9 / rate


def compare(theirs: Callable, ours: Callable, count: int, device: str, repeats: int) -> tuple[float, float]:
    """Milliseconds a frame, each the median of runs that take turns."""
    clock(ours, device)
    pairs = [(clock(theirs, device), clock(ours, device) / count) for _ in range(repeats)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def row(name: str, theirs: float, ours: float) -> None:
    print(f"{name:<18}{theirs:>12.1f}{ours:>12.1f}{theirs / ours:>9.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=("official", "small"), default="official")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    numbers = {"frames": 8, "batch": 2, "threads": 2, "repeats": 3, "width": 1920, "height": 1080}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compiled", action="store_true", help="compile W + G (not the rows W and G)")
    parser.add_argument("--graphs", action="store_true", help="record W and G as a CUDA graph")
    args = parser.parse_args()
    if args.frames < args.batch:
        parser.error(f"--frames {args.frames} with --batch {args.batch} (expected one batch at least)")
    torch.set_num_threads(args.threads)
    which, dtype = "random:0:small" if args.size == "small" else "random:0", getattr(torch, args.dtype)
    old = load(which, "human").to(args.device)
    runtime = {"device": args.device, "dtype": dtype, "compile": args.compiled, "cuda_graphs": args.graphs}
    renderer = LivePortraitRenderer(
        load(which, "human"), SETTINGS, species="human", batch_size=args.batch, channels_last=True, **runtime
    )
    scene = Scene(args.width, args.height, args.frames, old.output_px)
    published, ours = open_both(old, renderer, scene)
    print(f"{args.size} size, {args.dtype}, batch {args.batch}, {args.threads} threads on {args.device}")
    print(f"{'ms a frame':<18}{'published':>12}{'ours':>12}{'ratio':>9}", flush=True)
    for name, (theirs, mine, count) in stages(published, ours, args.batch).items():
        row(name, *compare(theirs, mine, count, args.device, args.repeats))
    encode_and_films(published, ours, args)
    print(f"pasting agrees, {paste_agreement(published, ours)}")
    print(f"{args.dtype} {precision(published, ours)}")
    if args.size == "official":
        print(f"floor of W + G at this machine's rate: {floor_ms(args.device, dtype):.1f} ms a frame")


def encode_and_films(published: Published, ours: Ours, args: argparse.Namespace) -> None:
    """The encoder alone, then whole films, which take turns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        encode = clock(lambda: write_video(path, [published.scene.picture] * args.frames, None), "cpu") / args.frames
        row("encode", encode, encode)
        repeats = max(1, args.repeats // 2)
        films = compare(lambda: published.film(path), lambda: ours.film(path), 1, args.device, repeats)
        row("film", *(milliseconds / args.frames for milliseconds in films))


if __name__ == "__main__":
    main()
