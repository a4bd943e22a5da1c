"""Laws of opening audio: a track with a decoder, the level one hears, all there is, every second in its place."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from joyvasa.io.audio import NoDecoder, load_audio, load_sound, read_audio, survey_audio
from joyvasa.io.audio_clock import MOST_SILENCE_SECONDS, Clock, in_place
from joyvasa.io.timeline import Damaged
from joyvasa.io.video_sound import read_film_sound
from joyvasa.motion import SAMPLE_RATE

RATE = 48_000
QUIET = 10 ** (-60 / 20)


def voice(seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """A tone that stops three times a second, on 16 bits."""
    times = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 220 * times) * (np.sin(2 * np.pi * 3 * times) > 0)
    return (np.rint(tone * 32_768) / 32_768).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


def packets_of(stream, channels_CN: np.ndarray, layout: str) -> list:
    """The encoded packets of planar samples (channels, N), 1024 at a time, stamped from 0."""
    packets = []
    resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=RATE)
    for start in range(0, channels_CN.shape[1], 1024):
        part = np.ascontiguousarray(channels_CN[:, start : start + 1024].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate = RATE
        frame.pts = start
        frame.time_base = Fraction(1, RATE)
        for each in resampler.resample(frame):
            packets += stream.encode(each)
    return packets + stream.encode(None)


def write_track(path: Path, channels_CN: np.ndarray, layout: str = "mono", *, shift=lambda seconds: 0.0) -> Path:
    """One track of FLAC; packets are stamped later by `shift(seconds)`, and left out where that is None."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("flac", rate=RATE, layout=layout)
        for packet in packets_of(stream, channels_CN, layout):
            moved = shift(float(packet.pts * packet.time_base))
            if moved is not None:
                packet.pts += round(moved / packet.time_base)
                packet.dts = packet.pts
                out.mux(packet)
    return path


def write_two_tracks(path: Path, unknown: tuple[int, ...]) -> Path:
    """Two AAC tracks, the first is the default; the sample entries of the `unknown` ones are called apac."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("aac", rate=RATE, layout="mono", bit_rate=rate) for rate in (48_000, 128_000)]
        for stream in streams:
            out.mux(packets_of(stream, voice()[None], "mono"))
    data = bytearray(path.read_bytes())
    entry = 0
    for number in range(2):
        entry = data.find(b"mp4a", data.find(b"stsd", entry + 4))
        if number in unknown:
            data[entry : entry + 4] = b"apac"
            config = data.find(b"esds", entry)
            data[config : config + 4] = b"dapa"
    path.write_bytes(data)
    return path


def test_a_track_without_a_decoder_is_passed_over_and_that_is_noted(tmp_path):
    whole = write_two_tracks(tmp_path / "whole.mp4", ())
    assert survey_audio(whole).track == 0 and not survey_audio(whole).notes
    path = write_two_tracks(tmp_path / "two.mp4", (0,))
    facts = survey_audio(path)
    assert facts.track == 1 and "track 0" in facts.notes[0] and "apac" in facts.notes[0]
    np.testing.assert_array_equal(load_audio(path), load_sound(path, rate=SAMPLE_RATE).samples[:, 0])
    assert level_db(load_audio(path)) == pytest.approx(level_db(voice()), abs=0.5)


def test_no_decoder_at_all_is_no_damage(tmp_path):
    path = write_two_tracks(tmp_path / "none.mp4", (0, 1))
    for read in (load_audio, load_sound, survey_audio, lambda path: read_film_sound(path, 1.0)):
        with pytest.raises(NoDecoder, match=r"none.mp4.*track 0 .*apac.*track 1 .*apac") as caught:
            read(path)
        assert not isinstance(caught.value, Damaged)


@pytest.mark.parametrize("broken", ["empty", "garbage"])
def test_a_first_track_that_gives_nothing_is_passed_over(tmp_path, broken):
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as out:
        first, second = (out.add_stream("aac", rate=RATE, layout="mono", bit_rate=rate) for rate in (256_000, 48_000))
        pairs = zip(packets_of(first, voice()[None], "mono"), packets_of(second, voice()[None], "mono"), strict=True)
        for lost, packet in pairs:
            if broken == "garbage":
                noise = av.Packet(bytes(lost.size))
                noise.stream, noise.time_base = first, lost.time_base
                noise.pts = noise.dts = lost.pts
                out.mux(noise)
            out.mux(packet)
    assert survey_audio(path).track == 1
    assert level_db(load_audio(path)) == pytest.approx(level_db(voice()), abs=0.5)


def channels(name: str) -> np.ndarray:
    """(channels, N) of a recording that is heard as loud as `voice` on its own."""
    x = voice(4.0)
    noise = QUIET * np.random.default_rng(0).standard_normal(len(x)).astype(np.float32)
    late = np.arange(len(x)) >= len(x) // 2
    return {
        "inverted": np.stack([x, -x]),
        "partly inverted": np.stack([x, -x / 2]),
        "inverted from its middle on": np.stack([x, np.where(late, -x, x)]),
        "one silent": np.stack([0 * x, x]),
        "one empty with noise": np.stack([x, noise]),
        "one of eight": np.stack([0 * x, noise, x, noise, 0 * x, noise, noise, noise]),
        "two of four inverted": np.stack([x, -x, 0 * x, 0 * x]),
        "four in turn": np.stack([np.where(late, x, 0), np.where(late, 0, x), 0 * x, 0 * x]),
        "four alike": np.stack([x, x, x, x]),
    }[name]


@pytest.mark.parametrize(
    "name, noted",
    [
        ("inverted", True),
        ("partly inverted", True),
        ("inverted from its middle on", True),
        ("one silent", True),
        ("one empty with noise", True),
        ("one of eight", True),
        ("two of four inverted", True),
        ("four in turn", True),
        ("four alike", False),
    ],
)
def test_a_voice_is_as_loud_as_one_hears_it(tmp_path, name, noted):
    soundfile.write(tmp_path / "a.wav", channels(name).T, RATE)
    sound = read_audio(tmp_path / "a.wav")
    assert level_db(sound.samples) == pytest.approx(level_db(voice(4.0)), abs=0.2)
    assert (len(sound.notes) == 1 and "a.wav" in sound.notes[0]) == noted


def test_ordinary_stereo_is_the_mean_to_the_bit_and_is_written_as_it_is(tmp_path):
    x = voice(4.0, SAMPLE_RATE)
    late = np.arange(len(x)) >= 0.9 * len(x)
    rng = np.random.default_rng(0)
    recordings = {
        "room": np.stack([x + 0.05 * rng.standard_normal(len(x)), 0.7 * np.roll(x, 12)]),
        "two who speak in turn": np.stack([np.where(late, 0, x), np.where(late, x, 0)]),
    }
    for name, pair in recordings.items():
        soundfile.write(tmp_path / f"{name}.wav", pair.T, SAMPLE_RATE)
        stored = soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0]
        np.testing.assert_array_equal(load_audio(tmp_path / f"{name}.wav"), stored.mean(axis=1))
        np.testing.assert_array_equal(load_sound(tmp_path / f"{name}.wav").samples, stored)
        assert not read_audio(tmp_path / f"{name}.wav").notes


@pytest.mark.parametrize("layout, place, mono_db, pair_db", [
    ("5.1", 2, 0.0, -3.0), ("7.1", 2, 0.0, -3.0), ("3.0", 2, 0.0, -3.0), ("5.1", 4, -6.0, -6.0), ("5.1", 3, 0.0, 0.0),
])  # fmt: skip
def test_surround_is_mixed_down_by_the_standard(tmp_path, layout, place, mono_db, pair_db):
    """ITU-R BS.775: the centre whole, surrounds at half in mono; low frequencies only where there is nothing else."""
    planes = np.zeros((av.AudioLayout(layout).nb_channels, 2 * RATE), np.float32)
    planes[place] = voice()
    path = write_track(tmp_path / "a.mka", planes, layout)
    assert level_db(load_audio(path)) == pytest.approx(level_db(voice()) + mono_db, abs=0.1)
    written = load_sound(path).samples
    assert written.shape[1] == 2 and survey_audio(path).notes
    assert level_db(written) == pytest.approx(level_db(voice()) + pair_db, abs=0.1)


def test_a_down_mix_is_not_cut_off_at_full_scale(tmp_path):
    x = 3 * voice()
    path = write_track(tmp_path / "a.mka", np.stack([x] * 6), "5.1")
    samples = load_sound(path).samples[:, 0]
    assert np.abs(samples).max() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(samples, x / np.abs(x).max(), atol=1e-3)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFDB])
def test_a_length_that_is_a_placeholder_is_not_believed(tmp_path, length):
    x = voice(3.0, SAMPLE_RATE)
    soundfile.write(tmp_path / "a.wav", x, SAMPLE_RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.find(b"data") + 4
    data[at : at + 4] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(data)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav"), x)
    assert survey_audio(tmp_path / "a.wav").seconds == 3.0 and not survey_audio(tmp_path / "a.wav").notes


def test_flac_that_was_streamed_is_read_whole(tmp_path):
    x = voice(3.0, SAMPLE_RATE)
    soundfile.write(tmp_path / "a.flac", x, SAMPLE_RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.flac"), x)


def test_a_wav_that_is_cut_off_is_noted_and_joined_ones_are_read_to_the_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(3.0, SAMPLE_RATE), SAMPLE_RATE)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 3])
    assert not survey_audio(tmp_path / "a.wav").notes
    assert "33%" in survey_audio(tmp_path / "cut.wav").notes[0]
    (tmp_path / "joined.wav").write_bytes(data + data + data)
    np.testing.assert_array_equal(load_audio(tmp_path / "joined.wav"), np.tile(voice(3.0, SAMPLE_RATE), 3))
    assert "libsndfile" in survey_audio(tmp_path / "joined.wav").notes[0]


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_files_joined_byte_by_byte_are_read_to_the_end(tmp_path, name):
    parts = []
    for number in range(3):
        soundfile.write(tmp_path / name, np.roll(voice(1.37, 24_000), 5_000 * number), 24_000)
        parts.append((tmp_path / name).read_bytes())
    path = tmp_path / f"joined {name}"
    path.write_bytes(b"".join(parts))
    assert 3 * 1.37 - 0.05 < survey_audio(path).seconds < 3 * 1.37 + 0.3
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(survey_audio(path).seconds, abs=1e-3)
    sound = load_sound(path)
    assert len(sound.samples) / sound.rate == pytest.approx(survey_audio(path).seconds, abs=1e-3)


@pytest.mark.parametrize("file_format, subtype", [("WAV", "GSM610"), ("MAT5", "PCM_16"), ("RF64", "PCM_16")])
def test_what_one_of_the_two_decoders_reads_is_read(tmp_path, file_format, subtype):
    x = voice(3.0, 8_000)
    path = tmp_path / "a.audio"
    soundfile.write(path, x, 8_000, format=file_format, subtype=subtype)
    assert len(load_audio(path)) == pytest.approx(3 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
    assert level_db(load_sound(path).samples) == pytest.approx(level_db(x), abs=1)


def click(seconds: float, at: float) -> np.ndarray:
    samples = np.full(round(seconds * RATE), 0.001, np.float32)
    samples[round(at * RATE) : round(at * RATE) + 48] = 0.9
    return samples[None]


def place_of(samples: np.ndarray, rate: int) -> float:
    return int(np.abs(samples).argmax()) / rate


def test_a_hole_in_the_audio_stays_and_is_noted(tmp_path):
    path = write_track(tmp_path / "a.mka", click(8, 6), shift=lambda at: None if 3 <= at < 5 else 0.0)
    assert place_of(load_audio(path), SAMPLE_RATE) == pytest.approx(6, abs=0.01)
    assert place_of(load_sound(path).samples[:, 0], RATE) == pytest.approx(6, abs=0.01)
    assert survey_audio(path).seconds == pytest.approx(8, abs=0.05) and len(survey_audio(path).notes) == 1


def test_hours_of_silence_by_a_wrong_stamp_are_left_out_and_noted(tmp_path):
    path = write_track(tmp_path / "a.mka", click(8, 6), shift=lambda at: 0.0 if at < 3 else 100 * 3600.0)
    assert len(load_audio(path)) == pytest.approx(8 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
    assert "100.0 h" in survey_audio(path).notes[0]


def test_a_plain_recording_begins_with_its_first_sample(tmp_path):
    path = write_track(tmp_path / "a.mka", click(2, 1), shift=lambda at: 5.0)
    for align in (True, False):
        assert place_of(load_sound(path, align=align).samples[:, 0], RATE) == pytest.approx(1, abs=0.01)


def placed(stamps, clock: Clock, rate: int = 1_000) -> np.ndarray:
    pieces = ((Fraction(stamp).limit_denominator(rate), rate, np.ones(100, np.float32)) for stamp in stamps)
    return np.concatenate([block for _, block in in_place(pieces, clock)])


def test_a_clock_that_is_set_back_costs_nothing_of_a_voice():
    joined = Clock(None, restarts=True)
    assert placed([0, 0.1, 0.2, 0.0, 0.1, 0.2], joined).sum() == 600 and joined.set_back == pytest.approx(0.3)
    overlap = Clock(None)
    assert placed([0, 0.1, 0.2, 0.15, 0.25], overlap).sum() == 350 and overlap.cut == pytest.approx(0.15)
    beside_a_video = Clock(Fraction(0), restarts=True)
    assert placed([0, 0.1, 0.2, 0.0, 0.1, 0.2, 0.3], beside_a_video).sum() == 400


def test_all_pauses_together_are_bounded():
    clock = Clock(None, bounded=True)
    stamps = [500 * number for number in range(40)]
    assert len(placed(stamps, clock)) / 1_000 < MOST_SILENCE_SECONDS + 5 and clock.set_ahead is not None
