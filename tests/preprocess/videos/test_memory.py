"""Ten minutes of film take little more memory than the networks that look at it."""

from __future__ import annotations

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
MOST_MB = 1024
SIDE, SECONDS, ROUND = 512, 600, 20


@pytest.mark.slow
@pytest.mark.parametrize("spans", [600, 150])
def test_ten_minutes_stay_within_a_gigabyte_above_idle(tmp_path, spans):
    (tmp_path / "in").mkdir()
    once = [cv2.resize(frame, (SIDE, SIDE)) for frame in pictures(1, ROUND)]
    rounds = SECONDS // ROUND
    film = chain.from_iterable(repeat(once, rounds))
    write_video(tmp_path / "in" / "long.mp4", film, np.tile(voice(1, ROUND), rounds))
    words = [f"source.settings.decoding.span_seconds={spans}", "filters.max_seconds=20", "filters.min_seconds=8"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.preprocess.videos.inline", tmp_path / "in", tmp_path / "out", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "PEAK_MB" in done.stdout, done.stderr[-2000:]
    idle, peak = (float(done.stdout.rsplit(name, 1)[1].split()[0]) for name in ("IDLE_MB", "PEAK_MB"))
    print(f"spans of {spans} s: idle {idle:.0f} MB, peak {peak:.0f} MB")
    assert f"imported  {SECONDS // 20} clips" in done.stdout
    assert peak - idle <= MOST_MB
