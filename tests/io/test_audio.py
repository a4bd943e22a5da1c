"""Laws of sound in and of files replaced."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from joyvasa.io.audio import decode_flac, encode_flac, fit_frames, load_audio
from joyvasa.io.files import replacing
from joyvasa.io.video_writer import write_video
from joyvasa.motion import SAMPLE_RATE


def sine(seconds: float, rate: int = SAMPLE_RATE, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def loudest_hertz(audio: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))).argmax() * SAMPLE_RATE / len(audio))


def leftovers(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_becomes_16_khz_with_its_length_and_frequency(tmp_path, rate):
    path = tmp_path / "voice.wav"
    soundfile.write(path, sine(12.3, rate), rate)  # longer than one block
    audio = load_audio(path)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert abs(len(audio) - 12.3 * SAMPLE_RATE) <= 1
    assert abs(loudest_hertz(audio) - 440) < 0.2
    middle = slice(SAMPLE_RATE, -SAMPLE_RATE)
    assert np.abs(audio - sine(12.3)[: len(audio)])[middle].max() < 2e-3


def test_stereo_is_averaged(tmp_path):
    left, right = sine(1.0, 44_100, 300), sine(1.0, 44_100, 1000)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], 1), 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", (left + right) / 2, 44_100, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "stereo.wav"), load_audio(tmp_path / "mono.wav"), atol=1e-6)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_containers_of_libsndfile(tmp_path, suffix):
    soundfile.write(tmp_path / f"voice.{suffix}", sine(1.0), SAMPLE_RATE)
    audio = load_audio(tmp_path / f"voice.{suffix}")
    assert abs(len(audio) - SAMPLE_RATE) < 2_500 and abs(loudest_hertz(audio) - 440) < 2


def test_silence_one_sample_and_too_loud_floats_are_audio(tmp_path):
    for name, samples in {"silent": np.zeros(16_000), "one": np.full(1, 0.25), "loud": np.full(100, 1.5)}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples.astype(np.float32), SAMPLE_RATE, subtype="FLOAT")
        audio = load_audio(tmp_path / f"{name}.wav")
        assert len(audio) == len(samples) and np.abs(audio).max() <= 1


def test_bad_sound_names_the_file_and_the_reason(tmp_path):
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), SAMPLE_RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "integers.wav", np.full(100, 9e3, np.float32), SAMPLE_RATE, subtype="FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not a sound at all\n" * 50)
    (tmp_path / "headless.raw").write_bytes(bytes(range(256)))
    write_video(tmp_path / "mute.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, None)
    reasons = {
        "zero.wav": "no samples",
        "nan.wav": "NaN",
        "integers.wav": "peak 9000",
        "empty.wav": "0 bytes",
        "text.wav": "no video or sound",
        "headless.raw": "give a video or sound file",
        "mute.mp4": "no sound track",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=reason) as caught:
            load_audio(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    for name in ("absent.wav", "."):
        with pytest.raises(FileNotFoundError, match="no such audio file"):
            load_audio(tmp_path / name)


def test_a_tenth_of_a_second_under_an_odd_name_is_audio(tmp_path, monkeypatch):
    """A relative name with a colon is a file, not a protocol of FFmpeg, which decodes what libsndfile refuses."""
    monkeypatch.chdir(tmp_path)
    name = "take 1:2 [ä], b=c.mp4"
    write_video(name, [np.zeros((48, 64, 3), np.uint8)] * 3, sine(0.1))
    assert abs(len(load_audio(name)) - 0.12 * SAMPLE_RATE) <= 1024
    soundfile.write("1:2.wav", sine(0.1), SAMPLE_RATE)
    assert len(load_audio("1:2.wav")) == 1_600


def test_a_long_recording_needs_little_more_memory_than_its_result(tmp_path):
    path = tmp_path / "long.flac"
    minutes = 30
    with soundfile.SoundFile(path, "w", 16_000, 1) as sound:
        for _ in range(minutes):
            sound.write(np.zeros(60 * 16_000, np.float32))
    code = (
        "import resource, sys; from joyvasa.io.audio import load_audio;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024; before = peak();"
        "audio = load_audio(sys.argv[1]); print(len(audio), (peak() - before) / audio.nbytes)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    samples, ratio = done.stdout.split()
    assert int(samples) == minutes * 60 * 16_000 and float(ratio) < 1.4


def test_flac_round_trip_is_exact_on_16_bits_and_slices():
    audio = np.random.default_rng(0).integers(-32_768, 32_768, 5_000).astype(np.float32) / 32_768
    data = encode_flac(audio)
    np.testing.assert_array_equal(decode_flac(data), audio)
    np.testing.assert_array_equal(decode_flac(data, 640, 1_280), audio[640:1_280])
    with pytest.raises(ValueError, match="outside"):
        decode_flac(data, 0, 5_001)
    with pytest.raises(ValueError, match="not a whole FLAC"):
        decode_flac(b"half a tar")
    with pytest.raises(ValueError, match="mono"):
        encode_flac(np.zeros((10, 2)))


def test_fit_frames_pads_to_whole_frames():
    for samples in (1, 639, 640, 641, 64_000):
        padded, frames = fit_frames(np.ones(samples, np.float32))
        assert frames == -(-samples // 640) and len(padded) == 640 * frames and padded.sum() == samples


def test_replacing_survives_an_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert leftovers(tmp_path) == []
