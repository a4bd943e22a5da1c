"""A film of 60 s takes no more memory than one of 10 s: puppet and LivePortrait, photo and video.

The voice is 48 kHz stereo: the film keeps its sound as it is, so that is what could grow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from joyvasa.io.video_writer import write_video

ROOT = Path(__file__).resolve().parents[2]
MOST_MB = 50
MEASURED = """
import resource, runpy, sys
sys.argv = ["run.py", *sys.argv[1:]]
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit as end:
    assert not end.code
print("PEAK_KB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
RENDER = {
    "puppet": ("render=puppet", "render.size=96"),
    "liveportrait": ("render=liveportrait", "render.weights=random:0:small", "render.device=cpu"),
}


def peak_mb(*words: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "task=animate", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert "PEAK_KB" in done.stdout, done.stderr[-2000:]
    return int(done.stdout.rsplit("PEAK_KB", 1)[1]) / 1024


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("long"), np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (128, 128, 3), np.uint8)).save(folder / "photo.png")
    write_video(folder / "video.mp4", (rng.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(50)), None)
    for seconds in (10, 60):
        soundfile.write(folder / f"{seconds}.wav", 0.1 * rng.standard_normal((seconds * 48_000, 2)), 48_000)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("source", ["photo.png", "video.mp4"])
@pytest.mark.parametrize("render", sorted(RENDER))
def test_memory_does_not_grow_with_the_length(things, render, source, tmp_path):
    peaks = [
        peak_mb(
            f"image={things / source}",
            f"audio={things / f'{seconds}.wav'}",
            f"out={tmp_path / f'{seconds}.mp4'}",
            "species=human",
            "box=20,20,90,90",
            *RENDER[render],
        )
        for seconds in (10, 60)
    ]
    print(f"{render}, {source}: {peaks[0]:.0f} MB for 10 s, {peaks[1]:.0f} MB for 60 s")
    assert peaks[1] - peaks[0] <= MOST_MB
