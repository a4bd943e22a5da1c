"""A film four times as long takes no more memory to score, with every judge at its full size."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest

from joyvasa.io.video_writer import write_video
from tests.preprocess.videos.made import pictures, voice

ROOT = Path(__file__).parents[3]
ROUND, ROUNDS, SIDE, MOST_MB = 6, (1, 4), 320, 60  # what is read of 18 s more: 3 MB of embeddings
MEASURED = """
import resource, runpy, sys
sys.argv = ["run.py", *sys.argv[1:]]
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit:
    pass
print("PEAK_KB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mb(folder: Path, rounds: int) -> float:
    for name, seed in (("real", 1), ("ours", 2)):
        (folder / name).mkdir(parents=True)
        once = [cv2.resize(frame, (SIDE, SIDE)) for frame in pictures(seed, ROUND)]
        film = chain.from_iterable(repeat(once, rounds))
        write_video(folder / name / "film.mp4", film, np.tile(voice(1, ROUND), rounds))
    words = [f"generated={folder / 'ours'}", f"reference={folder / 'real'}", f"out={folder / 'out'}"]
    words += [
        "weights=random:0",
        "metrics=[lipsync,psnr,ssim,lpips,fid,fvd]",
        f"evaluate.cache={folder / 'cache'}",
        "evaluate.devices=1",
    ]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "task=evaluate", "evaluate.detector=haar", *words],
        cwd=ROOT, env=os.environ | {"JOYVASA_WEIGHTS": str(folder / "weights")}, capture_output=True, text=True,
    )  # fmt: skip
    assert "PEAK_KB" in done.stdout, done.stderr[-2000:]
    assert f"2 of them decoded now ({2 * 25 * ROUND * rounds} frames)" in done.stdout
    return int(done.stdout.rsplit("PEAK_KB", 1)[1]) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_film(tmp_path):
    short, long = (peak_mb(tmp_path / str(rounds), rounds) for rounds in ROUNDS)
    print(f"{ROUND * ROUNDS[0]} s: peak {short:.0f} MB; {ROUND * ROUNDS[1]} s: {long:.0f} MB")
    assert long - short <= MOST_MB
