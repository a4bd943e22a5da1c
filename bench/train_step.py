"""A training step: the published recipe (encoder trained, called two or three times, attention written out, one window
after the other) against ours on cached features, and against ours with the encoder trained, side by side in one run.

python bench/train_step.py [--widths 256 512] [--batch 4] [--threads 2] [--repeats 3] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from published import WEIGHTS, PublishedStep

from joyvasa.models.decoder import Decoder
from joyvasa.models.diffusion import NoiseSchedule, SampleTarget
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.official_loss import OfficialLoss
from joyvasa.models.speech import SpeechEncoder
from joyvasa.motion import CHANNELS, AffineNormaliser

WINDOW, HISTORY, CLIP = 100, 25, 2.0


def generator(width: int, device: str) -> MotionGenerator:
    """Official sizes, base-size HuBERT with random weights, fine-tuned."""
    import transformers

    torch.manual_seed(0)
    how = {"name": "hubert_zh", "layer": None, "frozen": False, "per_window": True, "spec_augment": True}
    encoder = SpeechEncoder(model=transformers.HubertModel(transformers.HubertConfig()), weights_sha256=None, **how)
    sizes = {"width": width, "depth": 8, "heads": 8, "mlp_ratio": 4.0, "dropout": 0.1, "history": HISTORY}
    zeros, ones, wide = torch.zeros(CHANNELS), torch.ones(CHANNELS), torch.full((CHANNELS,), torch.inf)
    made = MotionGenerator(
        encoder=encoder,
        denoiser=Decoder(channels=CHANNELS, audio_width=encoder.width, **sizes, align_width=1, indicator=False),
        schedule=NoiseSchedule(name="cosine", steps=50),
        target=SampleTarget(),
        guidance_dropout=0.1,
        history_noise=0.0,
        truncation_pad="zero",
        normaliser=AffineNormaliser(zeros, ones, -wide, wide),
    )
    return made.train().to(device)


def draw(batch: int, width: int, device: str) -> dict[str, torch.Tensor]:
    """A batch as the loader draws it, with the features that a cache would hold, and the published chances of a cut."""
    frames, cut = 2 * WINDOW, torch.rand(batch, 2) < torch.tensor([0.3, 0.4])
    drawn = {
        "motion": torch.randn(batch, frames, CHANNELS),
        "audio": 0.1 * torch.randn(batch, frames * 640),
        "features": torch.randn(batch, frames, width),
        "valid": torch.ones(batch, frames),
        "noise": torch.randn(batch, frames, CHANNELS),
        "step_u": torch.rand(batch, 2),
        "drop_u": torch.rand(batch, 2),
        "end": torch.where(cut, torch.randint(1, WINDOW, (batch, 2)), WINDOW),
    }
    return {name: value.to(device) for name, value in drawn.items()}


class Run:
    """A way to take a step, with its own weights and optimizer."""

    def __init__(self, kind: str, width: int, args):
        self.kind, self.made = kind, generator(width, args.device)
        self.published = PublishedStep(self.made, WINDOW, HISTORY, seed=0) if kind == "published" else None
        self.loss = OfficialLoss(criterion="l2", weights=WEIGHTS, slip=True, constrain_history=True)
        modules = [self.made.denoiser if kind == "cached" else self.made]
        if self.published:
            modules = [self.made.encoder, self.published.plain, self.made.denoiser]
        weights = {id(p): p for module in modules for p in module.parameters() if p.requires_grad}
        self.weights = list(weights.values())
        self.optimizer = torch.optim.Adam(self.weights, lr=1e-4, fused=kind != "published")

    def __call__(self, batch: dict[str, torch.Tensor]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.published:
            value = self.published(batch["audio"], batch["motion"])
        else:
            unused = {"audio", "end"} if self.kind == "cached" else {"features"}
            view = self.made({name: item for name, item in batch.items() if name not in unused}, HISTORY)
            result = self.loss(view, torch.cat(batch["valid"].split(WINDOW, 1)))
            value = result.total / result.count
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()


def seconds(run: Run, batch: dict[str, torch.Tensor], device: str) -> float:
    started = time.perf_counter()
    run(batch)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--device", default="cpu")
    for name, default in (("batch", 4), ("threads", 2), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for width in args.widths:
        runs = {kind: Run(kind, width, args) for kind in ("published", "encoder trained", "cached")}
        taken: dict[str, list[float]] = {kind: [] for kind in runs}
        for repeat in range(args.repeats + 1):
            batch = draw(args.batch, 768, args.device)
            for kind, run in runs.items():
                spent = seconds(run, batch, args.device)
                if repeat:  # the first is a warm-up
                    taken[kind].append(spent)
        print(
            f"width {width}, batch {args.batch}, {args.device}, {args.threads} threads, median of {args.repeats} steps"
        )
        for kind, times in taken.items():
            ratio = statistics.median(a / b for a, b in zip(taken["published"], times, strict=True))
            print(f"  {kind:<16} {statistics.median(times):7.2f} s a step   {ratio:5.2f} times as fast as published")


if __name__ == "__main__":
    main()
