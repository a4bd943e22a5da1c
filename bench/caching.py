"""What features of whole clips cost against features of each window by itself: validation loss, all else equal.

Two trainings from the same seed on the made corpus, on cached features of one frozen HuBERT: of clips encoded whole,
whose pairs of windows start anywhere, and of windows of 100 frames beginning every 25 frames, encoded by themselves as
the published model does. Each is validated on its own kind. Without --encoder its weights are random and it is tiny:
the difference then says little of a trained one's.

python bench/caching.py [--encoder FOLDER] [--steps 256] [--speakers 48] [--seeds 1]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from joyvasa.data.feature_groups import feature_groups
from joyvasa.data.shards import open_dataset
from joyvasa.data.synthetic import Corpus, write_corpus
from joyvasa.lit.csv_logger import read_curves

WINDOW, GRID = 100, 25
ROOT = Path(__file__).resolve().parents[1]
NETWORK = ("denoiser.width=128", "denoiser.depth=3", "denoiser.heads=4", "denoiser.mlp_ratio=2.0")


def write_encoder(folder: Path) -> Path:
    """A HuBERT of random weights: the published convolutions in small, two layers of width 64."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, conv_dim=[32] * 7,
        num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(folder)
    return folder


def run(*words: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr[-2000:]}")


def validation_losses(folder: Path) -> list[float]:
    return [value for _, name, value in read_curves(folder / "logs" / "metrics.csv") if name == "val/loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, default=None)
    for name, default in (("steps", 256), ("speakers", 48), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        encoder = args.encoder or write_encoder(home / "encoder")
        people = {"train_speakers": args.speakers, "validation_speakers": max(args.speakers // 6, 1)}
        corpus = Corpus(seed=0, clips_per_speaker=2, seconds=10.0, **people)
        write_corpus(home / "data", corpus, clips_per_shard=128, processes=2)
        cache = ("-m", "preprocess", "source=shards", f"input={home / 'data'}", "features=hubert")
        for starts in ("null", str(GRID)):
            run(*cache, f"features.path={encoder.resolve()}", f"features.starts={starts}", f"features.window={WINDOW}")
        found: dict[str, list[float]] = {"whole clips": [], "windows": []}
        for seed in range(args.seeds):
            for group in feature_groups(open_dataset(home / "data")):
                kind = "windows" if group.spec.grid else "whole clips"
                digest, run_id = group.spec.digest, f"{group.spec.digest}-{seed}"
                run(
                    "run.py", "experiment=hubert_zh", f"data.path={home / 'data'}", f"data.features={digest}",
                    "encoder.name=hubert", f"encoder.path={encoder.resolve()}",
                    f"encoder.per_window={bool(group.spec.grid)}",
                    "data.short=pad", "data.batch_size=8", "data.num_workers=0", f"seed={seed}", f"run_id={run_id}",
                    f"paths.runs={home / 'runs'}", f"trainer.max_steps={args.steps}", "trainer.accelerator=cpu",
                    "optim.optimizer.lr=2.0e-3", "optim.schedule.warmup_steps=20", "callbacks.ema.decay=0.98",
                    f"trainer.val_check_interval={args.steps}", "trainer.check_val_every_n_epoch=null",
                    "callbacks.samples.every_steps=1000000", "eval.clips=1", "eval.previews=0", *NETWORK,
                )  # fmt: skip
                found[kind].append(validation_losses(home / "runs" / "hubert_zh" / run_id)[-1])
        for kind, losses in found.items():
            print(
                f"features of {kind:12s} validation loss {statistics.mean(losses):.4f} ({args.steps} steps, {losses})"
            )
        ratio = statistics.mean(found["whole clips"]) / statistics.mean(found["windows"])
        print(f"whole clips against windows: {ratio - 1:+.2%}; weights {'given' if args.encoder else 'random'}")


if __name__ == "__main__":
    main()
