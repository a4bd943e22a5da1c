"""Laws of a film's sound: 16 kHz mono from the first picture on, whatever its stamps do, never held whole."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from joyvasa.motion import SAMPLE_RATE
from preprocess.videos.records import Unusable
from preprocess.videos.sound import read_sound, write_sound
from tests.preprocess.videos.made_films import Made, clicks, numbered, write

RATE = 48_000


def film(path: Path, sound, *, seconds: float = 2.0, begin: float = 0.0, **changes) -> Path:
    times = begin + np.arange(round(25 * seconds)) / 25
    size = (96, 64)
    return write(path, Made(times, sound, size=size, **changes), numbered(len(times), size))


@pytest.mark.parametrize("rate, codec", [(44_100, "aac"), (22_050, "pcm_s16le"), (16_000, "pcm_s16le")])
def test_it_is_16_khz_with_its_length_and_frequency(tmp_path, rate, codec):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.float32)
    path = film(tmp_path / "a.mov", tone, rate=rate, sound_codec=codec)
    facts = write_sound(path, tmp_path / "sound.flac", 2.0)
    assert (facts.rate, facts.channels) == (rate, 1) and facts.seconds == pytest.approx(2.0, abs=0.001)
    info = soundfile.info(tmp_path / "sound.flac")
    assert (info.samplerate, info.channels, info.subtype, info.format) == (SAMPLE_RATE, 1, "PCM_16", "FLAC")
    heard = read_sound(tmp_path / "sound.flac", 0, info.frames)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(info.frames) / SAMPLE_RATE)
    assert np.abs(heard - expected)[2_000:-2_000].max() < (0.05 if codec == "aac" else 0.001)
    assert not (tmp_path / "sound.flac.tmp").exists()


def test_all_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "six.wav", np.arange(6) / 10 * np.ones((RATE, 1)), RATE)
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as out, av.open(str(tmp_path / "six.wav")) as source:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        voice = out.add_stream_from_template(source.streams.audio[0])
        for image in numbered(25):
            out.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(picture.encode(None))
        for packet in source.demux():
            if packet.size:
                packet.stream = voice
                out.mux(packet)
    assert write_sound(tmp_path / "a.mkv", tmp_path / "a.flac", 1.0).channels == 6
    np.testing.assert_allclose(read_sound(tmp_path / "a.flac", 4_000, 9_000), 0.25, atol=0.002)


def test_it_ends_where_it_is_told_and_is_read_by_slices(tmp_path):
    path = film(tmp_path / "a.mp4", clicks(2.0, [0.5, 1.5]))
    assert write_sound(path, tmp_path / "short.flac", 0.7123).seconds == pytest.approx(0.7123, abs=1e-4)
    assert len(soundfile.read(tmp_path / "short.flac")[0]) == 11_397
    write_sound(path, tmp_path / "a.flac", 2.0)
    assert (tmp_path / "a.flac").read_bytes() == _again(path, tmp_path / "b.flac", 2.0)
    whole = read_sound(tmp_path / "a.flac", 0, 40_000)
    assert len(whole) == 40_000 and whole.dtype == np.float32 and not whole[32_000:].any()
    for first, last in [(0, 10), (7_990, 8_010), (31_000, 33_000), (39_000, 39_500), (5, 5)]:
        np.testing.assert_array_equal(read_sound(tmp_path / "a.flac", first, last), whole[first:last])


def _again(path, out, seconds) -> bytes:
    write_sound(path, out, seconds)
    return out.read_bytes()


def test_bad_sound_is_told_by_kind(tmp_path):
    loud = film(tmp_path / "a.mkv", np.zeros(RATE, np.float32), sound_codec="pcm_f32le")
    with pytest.raises(Unusable, match="no sound track") as caught:
        write_sound(film(tmp_path / "mute.mp4", None), tmp_path / "a.flac", 2.0)
    assert caught.value.kind == "no_sound"
    for value, reason in {np.nan: "NaN", 9_000.0: "peak 9000"}.items():
        data = bytearray(loud.read_bytes())
        place = data.find(bytes(4_000)) + 1_000
        data[place : place + 400] = np.full(100, value, "<f4").tobytes()
        (tmp_path / "bad.mkv").write_bytes(data)
        with pytest.raises(Unusable, match=reason) as caught:
            write_sound(tmp_path / "bad.mkv", tmp_path / "bad.flac", 2.0)
        assert caught.value.kind == "damaged" and "bad.mkv" not in str(caught.value)
    assert not list(tmp_path.glob("bad.flac*"))


def test_a_full_disk_is_an_error_of_the_machine_not_of_the_film(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32))
    monkeypatch.setattr("joyvasa.io.flac.FULL_BYTES", float("inf"))
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    monkeypatch.setattr("joyvasa.io.files.temporary_beside", lambda path: full)
    with pytest.raises(OSError, match="no room") as caught:
        write_sound(path, tmp_path / "a.flac", 2.0)
    assert caught.value.errno == errno.ENOSPC and str(tmp_path / "a.flac") in str(caught.value)


@pytest.mark.slow
def test_an_hour_of_sound_takes_no_more_memory_than_a_minute(tmp_path):
    code = (
        "import resource, sys, pathlib; from preprocess.videos.sound import write_sound;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024; folder = pathlib.Path(sys.argv[1]);"
        "write_sound(folder / 'minute.mkv', folder / 'a.flac', 60.0); before = peak();"
        "write_sound(folder / 'hour.mkv', folder / 'b.flac', 3600.0); print(peak() - before)"
    )
    for name, seconds in {"minute": 60, "hour": 3_600}.items():
        sound = np.zeros(seconds * 16_000, np.float32)
        film(tmp_path / f"{name}.mkv", sound, rate=16_000, sound_codec="pcm_s16le", options=(("preset", "ultrafast"),))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20
