"""Laws of films whose sound begins late or ends early: no clip has padding where a voice should be."""

import json

import numpy as np
import pytest

from joyvasa.io.video_sound import heard_between, loudness_db
from joyvasa.io.video_writer import write_video
from joyvasa.motion import SAMPLE_RATE, SAMPLES_PER_FRAME
from preprocess.report import FILE, NothingImported
from preprocess.videos.frames import MUTE_SECONDS, open_frames
from preprocess.videos.records import Unusable
from tests.preprocess.videos import inline
from tests.preprocess.videos.made import SECONDS, SIDE, pictures, voice
from tests.preprocess.videos.made_films import Made, number, numbered, write
from tests.preprocess.videos.test_frames import BY_DECORD, BY_PYAV

RATE = 48_000


def film(path, *, begin: float, end: float, picture_at: float = 0.0, codec: str = "aac", **changes):
    """4 s of picture, from `picture_at` by the file's clock; sound from `begin` to `end` by the picture's."""
    sound = np.full(round((end - begin) * RATE), 0.1, np.float32)
    times = picture_at + np.arange(100) / 25
    made = Made(times, sound, picture_at + begin, size=(96, 64), sound_codec=codec, **changes)
    return write(path, made, numbered(100))


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mov", "pcm_s16le"), ("a.ts", "aac")]
)
@pytest.mark.parametrize("begin, end", [(0.0, 1.8), (1.2, 4.0), (0.6, 3.0)])
def test_frames_are_kept_where_there_is_sound(tmp_path, name, codec, begin, end):
    path = film(tmp_path / name, begin=begin, end=end, picture_at=0.48, codec=codec)
    heard = heard_between(path)
    assert heard == pytest.approx((begin, end), abs=0.06)
    for decoding in (BY_DECORD, BY_PYAV):
        frames = open_frames(path, decoding)
        assert frames.times[0] == pytest.approx(begin, abs=0.1) and frames.duration == pytest.approx(end, abs=0.06)
        assert frames.duration - 0.1 < frames.times[-1] < frames.duration
        seen = [number(image) for image in frames.read(0, len(frames))]
        assert seen == np.rint(25 * frames.times).astype(int).tolist()


@pytest.mark.parametrize("begin, end", [(0.0, 4.0), (0.06, 3.94), (-0.5, 5.0)])
def test_what_an_encoder_fills_up_costs_no_frame(tmp_path, begin, end):
    path = film(tmp_path / "a.mov", begin=begin, end=end, picture_at=1.0, codec="pcm_s16le")
    frames = open_frames(path, BY_PYAV)
    assert len(frames) == 100 and frames.times[0] == 0 and frames.duration == pytest.approx(4.0, abs=0.01)


def test_sound_that_is_never_there_with_the_picture_is_none(tmp_path):
    path = film(tmp_path / "a.mkv", begin=5.0, end=6.0, codec="libopus")
    with pytest.raises(Unusable, match="never there at once") as caught:
        open_frames(path, BY_PYAV)
    assert caught.value.kind == "no_sound"


def test_a_clip_ends_where_the_sound_ends(tmp_path):
    (tmp_path / "films").mkdir()
    made = Made(np.arange(65) / 25, voice(1)[: round(2.2 * SAMPLE_RATE)], rate=SAMPLE_RATE, size=(SIDE, SIDE))
    write(tmp_path / "films" / "a.mp4", made, pictures(1, SECONDS))
    dataset = inline.make(tmp_path / "films", tmp_path / "set")
    (entry,) = [entry for split in dataset.splits for entry in dataset.entries(split)]
    clip = entry.load()
    assert len(clip.motion) == pytest.approx(55, abs=3)
    heard = np.flatnonzero(clip.audio)
    assert len(clip.audio) - heard[-1] < MUTE_SECONDS * SAMPLE_RATE


def test_audio_that_ends_too_early_is_the_reason_and_not_the_face(tmp_path):
    (tmp_path / "films").mkdir()
    audio = voice(1)[: round(1.2 * SAMPLE_RATE)]
    write(
        tmp_path / "films" / "a.mp4",
        Made(np.arange(65) / 25, audio, rate=SAMPLE_RATE, size=(SIDE, SIDE)),
        pictures(1, SECONDS),
    )
    with pytest.raises(NothingImported):
        inline.make(tmp_path / "films", tmp_path / "set")
    said = json.loads((tmp_path / "set" / FILE).read_text())
    (left_out,) = said["rejected"]
    assert (
        left_out["kind"] == "too_short" and "end of the audio" in left_out["reason"] and "2.60 s" in left_out["reason"]
    )
    assert [name for name in said["changed_while_reading"] if "audio ends before the picture" in name]


def test_a_title_card_in_the_middle_costs_nothing_but_itself(tmp_path):
    """Both stretches with the face become clips; the card, a short stretch of the face and the end are told."""
    (tmp_path / "films").mkdir()
    face, card = pictures(1, SECONDS), np.full((1, SIDE, SIDE, 3), (20, 20, 90), np.uint8)
    parts = [card.repeat(15, 0), face, card.repeat(25, 0), face, card.repeat(15, 0), face[:20], card.repeat(15, 0)]
    shown = np.concatenate(parts)
    audio = np.resize(voice(1), len(shown) * SAMPLES_PER_FRAME)
    write(
        tmp_path / "films" / "a.mp4",
        Made(np.arange(len(shown)) / 25, audio, rate=SAMPLE_RATE, size=(SIDE, SIDE)),
        shown,
    )
    dataset = inline.make(tmp_path / "films", tmp_path / "set")
    clips = [entry.load() for split in dataset.splits for entry in dataset.entries(split)]
    places = sorted((round(25 * clip.meta["source_start_seconds"]), len(clip.motion)) for clip in clips)
    assert places == [(15, len(face)), (15 + len(face) + 25, len(face))]
    (short,) = json.loads((tmp_path / "set" / FILE).read_text())["rejected"]
    assert short["kind"] == "short" and "0.80 s from a cut to a cut" in short["reason"]


def test_an_inverted_channel_makes_no_clip_silent_and_is_noted(tmp_path):
    (tmp_path / "films").mkdir()
    sound = voice(1)
    write_video(tmp_path / "films" / "a.mp4", pictures(1, SECONDS), np.stack([sound, -sound], axis=1))
    dataset = inline.make(tmp_path / "films", tmp_path / "set")
    (entry,) = [entry for split in dataset.splits for entry in dataset.entries(split)]
    heard = entry.audio()
    assert loudness_db(heard) == pytest.approx(loudness_db(sound[: len(heard)]), abs=1)
    (note,) = entry.meta()["quality"]["changed_while_reading"]
    assert "of 2 is heard alone" in note
    said = json.loads((tmp_path / "set" / FILE).read_text())
    assert said["changed_while_reading"] == {note: 1}, "files are counted by sentence, so it does not name one"
