"""task=sample: exact frame counts for any voice, bad files named and the others done."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME

WINDOW = 25
FRAMES = {"short": 7, "window": WINDOW, "two_and_a_half": 5 * WINDOW // 2 + 1}


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Noise of some lengths, 44.1 kHz stereo, silence; an empty file, a text, and a sound without samples."""
    folder, rng = tmp_path_factory.mktemp("voices"), np.random.default_rng(0)
    for name, frames in FRAMES.items():
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(frames * SAMPLES_PER_FRAME), 16_000)
    soundfile.write(folder / "stereo.wav", 0.1 * rng.standard_normal((44_100, 2)), 44_100)
    soundfile.write(folder / "silent.wav", np.zeros(16_001), 16_000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound")
    soundfile.write(folder / "no samples.wav", np.zeros(0), 16_000)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def sampled(voices, out, trained, run):
    """The folder after one command over all voices."""
    if not (out / "summary.json").exists():
        done = run("task=sample", f"checkpoint={trained}", f"audio={voices}", f"out={out}")
        assert done.code == 0, done.err
        (out / "said.txt").write_text(done.out)
    return out


def test_frame_counts_are_exact(sampled):
    # 16,001 samples are one more than 25 frames: the last frame is filled with silence.
    expected = FRAMES | {"stereo": 25, "silent": 26}
    summary = json.loads((sampled / "summary.json").read_text())
    assert {row["voice"][:-4]: row["frames"] for row in summary["voices"]} == expected
    for name, frames in expected.items():
        motion = np.load(sampled / f"{name}.motion.npy")
        assert motion.shape == (frames, CHANNELS) and motion.dtype == np.float32 and np.isfinite(motion).all()


def test_films_have_the_motion_s_frames_and_the_voice(sampled):
    import av

    for name, frames in FRAMES.items():
        with av.open(str(sampled / f"{name}.mp4")) as film:
            assert film.streams.audio, "no sound"
            assert sum(1 for _ in film.decode(video=0)) == frames
        for ending in ("-sheet.png", "-curves.png"):
            assert (sampled / f"{name}{ending}").stat().st_size > 1000
    assert not list(sampled.glob("*.tmp"))


def test_bad_files_are_named_with_their_reason_and_the_others_done(sampled):
    failed = json.loads((sampled / "summary.json").read_text())["failed"]
    assert set(failed) == {"empty.wav", "text.wav", "no samples.wav"}
    assert "empty" in failed["empty.wav"] and "text.wav" in failed["text.wav"]
    said = (sampled / "said.txt").read_text()
    assert all(f"failed: {name}" in said for name in failed)


def test_a_silent_voice_claims_no_correlation(sampled):
    rows = {row["voice"]: row for row in json.loads((sampled / "summary.json").read_text())["voices"]}
    assert rows["silent.wav"]["energy_correlation"] is None


def test_the_same_voice_alone_gives_the_same_motion(sampled, voices, trained, run, tmp_path):
    done = run("task=sample", f"checkpoint={trained}", f"audio={voices / 'short.wav'}", f"out={tmp_path}")
    assert done.code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "short.motion.npy"), np.load(sampled / "short.motion.npy"))


def test_only_bad_files_give_exit_code_1(voices, trained, run, tmp_path):
    done = run("task=sample", f"checkpoint={trained}", f"audio={voices / 'empty.wav'}", f"out={tmp_path}")
    assert done.code == 1 and "failed: empty.wav" in done.out


@pytest.mark.parametrize(
    "words, message",
    [
        (("task=validate",), "checkpoint= is missing; for example: python run.py task=validate"),
        (("task=sample", "checkpoint=runs/demo/latest"), "audio= and out= are needed"),
        (("task=sample", "checkpoint=runs/demo/latest", "audio=nowhere", "out=x"), "audio=nowhere: no such file"),
        (("task=sample", "checkpoint=runs/demo/latest", "audio=data", "out=x"), "no sound file in this folder"),
        (("task=sample", "checkpoint=runs/nope", "audio=data", "out=x"), "runs/nope: no checkpoint there"),
        (("task=validate", "checkpoint=runs/demo/latest", "denoiser.width=32"), "denoiser: fixed by the checkpoint"),
        (("task=validate", "checkpoint=runs/demo/latest", "diffusion=linear"), "diffusion: fixed by the checkpoint"),
    ],
)
def test_what_is_missing_or_fixed_is_said_in_one_line(words, message, trained, run):
    done = run(*words)
    assert done.code == 2
    assert done.err.startswith("error: ") and message in done.err.splitlines()[0]
