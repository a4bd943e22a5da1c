"""Sampling with the published network: ours (the voice's part once a window) against its attention written out at every
step, side by side in one run.

python bench/sampling.py [--widths 256 512] [--steps 50] [--threads 2] [--repeats 3] [--compiled]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from published import PlainDecoder
from torch import Tensor

from joyvasa.models.decoder import Decoder
from joyvasa.models.diffusion import NoiseSchedule
from joyvasa.models.samplers import Ancestral
from joyvasa.motion import CHANNELS

WINDOW, HISTORY, SCALE = 100, 25, 2.8


def sampled(denoise, schedule: NoiseSchedule, noise: Tensor) -> Tensor:
    return Ancestral(steps=schedule.num_steps, flexibility=0.0)(
        denoise, noise, schedule, lambda: torch.zeros_like(noise)
    )


def guided(out: Tensor) -> Tensor:
    without, with_voice = out[:, -WINDOW:].float().chunk(2)
    return without + SCALE * (with_voice - without)


def measure(width: int, args) -> None:
    torch.manual_seed(0)
    sizes = {"width": width, "depth": 8, "heads": 8, "mlp_ratio": 4.0, "dropout": 0.1, "history": HISTORY}
    decoder = Decoder(channels=CHANNELS, audio_width=768, **sizes, align_width=1, indicator=False).eval()
    plain, schedule = PlainDecoder(decoder, WINDOW, HISTORY).eval(), NoiseSchedule(name="cosine", steps=args.steps)
    noise = torch.randn(1, WINDOW, CHANNELS)
    audio = torch.cat([decoder.null_audio.expand(1, WINDOW, -1), torch.randn(1, WINDOW, width)])
    past, past_audio = torch.randn(1, HISTORY, CHANNELS).repeat(2, 1, 1), torch.randn(1, HISTORY, width).repeat(2, 1, 1)

    def steps(step: int) -> Tensor:
        return torch.full((2,), step)

    def written_out() -> Tensor:
        return sampled(
            lambda x, t: guided(plain(x.repeat(2, 1, 1), steps(t), audio, past, past_audio)), schedule, noise
        )

    def ours(net=decoder) -> Tensor:
        condition = decoder.condition(audio, past_audio, None)
        return sampled(lambda x, t: guided(net(x.repeat(2, 1, 1), steps(t), condition, past)), schedule, noise)

    def half() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return ours()

    runs = {"attention written out": written_out, "ours": ours, "ours, bf16": half}
    if args.compiled:
        compiled = torch.compile(decoder, dynamic=False)
        runs["ours, compiled"] = lambda: ours(compiled)
    report(width, runs, args)


def report(width: int, runs: dict, args) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        reference = runs["attention written out"]()
        errors = {
            name: (run() - reference).abs().max().item() / reference.abs().max().item() for name, run in runs.items()
        }
        for _ in range(args.repeats):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    plain = seconds["attention written out"]
    print(f"width {width}, {args.steps} guided steps of one window, {args.threads} threads, median of {args.repeats}")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(plain, times, strict=True))
        per_step = 1000 * statistics.median(times) / args.steps
        print(f"  {name:<22} {per_step:7.1f} ms a step   {ratio:.2f} times as fast   differs by {errors[name]:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well: needs a C++ compiler, a minute")
    for name, default in (("steps", 50), ("threads", 2), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for width in args.widths:
        measure(width, args)


if __name__ == "__main__":
    main()
