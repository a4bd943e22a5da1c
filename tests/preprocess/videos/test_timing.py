"""The law of time: a flash and a click of one moment stay within 21 ms of each other, anywhere in any film."""

import numpy as np
import pytest

from joyvasa.motion import FPS, SAMPLE_RATE
from preprocess.videos.frames import open_frames
from preprocess.videos.settings import Decoding
from preprocess.videos.sound import read_sound, write_sound
from tests.preprocess.videos.made_films import Made, clicks, flashes, write

DECODING = Decoding(fps_limit=30.0, max_side=1920, decord_mb=256, span_seconds=600.0)
WITHIN = 0.021
RATES = {"24": 24, "25": 25, "29.97": 30_000 / 1001, "30": 30, "60": 60}
VARIABLE = (0.020, 0.042)  # seconds from one frame to the next


def shown(rate: str, seconds: float, begin: float) -> np.ndarray:
    if rate == "variable":
        steps = np.random.default_rng(0).uniform(*VARIABLE, int(seconds / VARIABLE[0]))
        times = np.concatenate([[0.0], np.cumsum(steps)])
    else:
        times = np.arange(int(seconds * RATES[rate]) + 1) / RATES[rate]
    return begin + times[times < seconds]


def made_film(path, rate: str, seconds: int, *, begin: float = 0.0, sound_at: float = 0.0, **codecs):
    """(path, seconds from the first picture to each flash and click)."""
    times = shown(rate, seconds, begin)
    events = np.arange(1, seconds - 1) + begin
    sound = clicks(seconds + begin, events, sound_at)
    path = write(path, Made(times, sound, sound_at, **codecs), flashes(times, events))
    return path, events - begin


def flash_times(frames) -> np.ndarray:
    """Seconds at which the brightness, on the grid of 25 a second, rises through half."""
    bright = np.array([image.mean() for image in frames.read(0, len(frames))])
    return rises(frames.times, bright, frames.duration)


def rises(times, bright, duration: float) -> np.ndarray:
    grid = np.arange(int(duration * FPS)) / FPS
    level = np.interp(grid, times, bright) / 255 - 0.5
    at = np.flatnonzero((level[:-1] < 0) & (level[1:] >= 0))
    return grid[at] + level[at] / (level[at] - level[at + 1]) / FPS


def click_times(path, events) -> np.ndarray:
    near = SAMPLE_RATE // 3
    places = []
    for event in events:
        first = round(event * SAMPLE_RATE) - near
        places.append(first + int(np.abs(read_sound(path, first, first + 2 * near)).argmax()))
    return np.array(places) / SAMPLE_RATE


def measured(path, events) -> tuple[np.ndarray, np.ndarray]:
    """(seconds of the flashes, of the clicks), checked: together, and the click in its place."""
    frames = open_frames(path, DECODING)
    write_sound(path, path.with_suffix(".flac"), frames.duration)
    flash, click = flash_times(frames), click_times(path.with_suffix(".flac"), events)
    assert len(flash) == len(events)
    assert np.abs(flash - click).max() <= WITHIN, f"{1000 * np.abs(flash - click).max():.1f} ms apart"
    assert np.abs(click - events).max() < 0.002, f"the sound is {1000 * np.abs(click - events).max():.1f} ms late"
    return flash, click


@pytest.mark.parametrize("rate", [*RATES, "variable"])
def test_flash_and_click_agree_at_any_rate(tmp_path, rate):
    measured(*made_film(tmp_path / "a.mp4", rate, 6))


@pytest.mark.parametrize("begin, sound_at", [(0.0, 0.5), (0.5, 0.0), (0.2, 0.3), (1.48, 0.2)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_they_agree_where_sound_or_picture_begins_late(tmp_path, name, begin, sound_at):
    measured(*made_film(tmp_path / name, "25", 4, begin=begin, sound_at=sound_at))


@pytest.mark.parametrize("share", [0.1, 0.31, 0.5])
def test_they_agree_in_a_recording_that_begins_inside_a_frame(tmp_path, share):
    options = (("bf", "2"), ("g", "12"))
    path, _ = made_film(tmp_path / "a.ts", "25", 8, codec="mpeg2video", sound_codec="mp2", options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[int(len(whole) * share) :])
    frames = open_frames(path, DECODING)
    events = flash_times(frames)
    events = events[events > 0.5]  # a click has to have room on both sides
    write_sound(path, path.with_suffix(".flac"), frames.duration)
    assert len(events) >= 2
    assert np.abs(click_times(path.with_suffix(".flac"), events) - events).max() <= WITHIN


def test_they_agree_where_the_clock_of_a_broadcast_overflows(tmp_path):
    """Its 33 bits do so once a day: three seconds into this film."""
    begin = 2**33 / 90_000 - 3
    measured(*made_film(tmp_path / "a.ts", "25", 6, begin=begin, sound_at=begin))


@pytest.mark.parametrize(
    "name, codec, sound_codec",
    [
        ("a.mov", "libx264", "pcm_s16le"),
        ("a.mkv", "libx264", "libopus"),
        ("a.mkv", "libx264", "flac"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("a.mp4", "libx264", "libmp3lame"),
    ],
)
def test_they_agree_in_other_containers(tmp_path, name, codec, sound_codec):
    options = (("deadline", "realtime"), ("cpu-used", "8")) if "vp9" in codec else ()
    measured(*made_film(tmp_path / name, "25", 4, codec=codec, sound_codec=sound_codec, options=options))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [*RATES, "variable"])
def test_nothing_drifts_in_three_minutes(tmp_path, rate):
    """To the end a flash is where the film's own frames, as they were made, have it, and a click in its place."""
    path, events = made_film(tmp_path / "a.mp4", rate, 180, options=(("preset", "ultrafast"), ("bf", "2")))
    flash, click = measured(path, events)
    kept = shown(rate, 180, 0.0)[:: 2 if rate == "60" else 1]
    bright = np.array([image.mean() for image in flashes(kept, events)])
    for late in (flash - rises(kept, bright, 180), click - events):
        assert abs(np.polyfit(events, late, 1)[0] * 180) < 0.0005 and np.abs(late).max() < 0.001
