"""Guided sampling: both branches as one batch (ours) against one pass each (the plain way), side by side in one run.

python bench/guidance.py [--width 256] [--depth 8] [--clips 1] [--threads 2] [--repeats 7]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from joyvasa.models.dit import DiT
from joyvasa.motion import CHANNELS

WINDOW, HISTORY = 100, 25


def seconds(run) -> float:
    started = time.perf_counter()
    with torch.no_grad():
        run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("width", 256), ("depth", 8), ("clips", 1), ("threads", 2), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    size = {"width": args.width, "depth": args.depth, "heads": 8, "kernel": 9, "mlp_ratio": 4.0, "dropout": 0.0}
    dit = DiT(channels=CHANNELS, audio_width=args.width, **size).eval()
    noisy, audio = torch.randn(args.clips, WINDOW, CHANNELS), torch.randn(args.clips, WINDOW, args.width)
    past, past_audio = torch.randn(args.clips, HISTORY, CHANNELS), torch.randn(args.clips, HISTORY, args.width)
    null, step = torch.zeros_like(audio), torch.full((args.clips,), 25)

    def one_batch():
        both = [torch.cat(pair) for pair in ((noisy, noisy), (step, step), (null, audio))]
        condition = dit.condition(both[2], past_audio.repeat(2, 1, 1), None)
        return dit(*both[:2], condition, past.repeat(2, 1, 1))

    def two_passes():
        return torch.cat([dit(noisy, step, dit.condition(v, past_audio, None), past) for v in (null, audio)])

    with torch.no_grad():
        difference = (one_batch() - two_passes()).abs().max().item()
    for _ in range(2):
        seconds(one_batch), seconds(two_passes)
    pairs = [(seconds(two_passes), seconds(one_batch)) for _ in range(args.repeats)]
    ours = statistics.median(b for _, b in pairs)
    ratio = statistics.median(a / b for a, b in pairs)
    size = f"width {args.width}, depth {args.depth}, {args.clips} clips, {args.threads} threads"
    print(f"{size}; largest difference {difference:.1e}")
    print(f"one guided step {1000 * ours:.1f} ms; two passes take {ratio:.2f} times as long (median of {args.repeats})")


if __name__ == "__main__":
    main()
