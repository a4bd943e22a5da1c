"""Laws of single gauges: shared detection, sampling of clips, identity beside its source."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from joyvasa.eval.films.film_scores import score_film
from joyvasa.eval.films.gauge import OpenFilm, Unfit
from joyvasa.eval.films.identity_gauge import IdentityInstrument
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.protocols import CSIM, CSIM_FIRST_FRAME, HAAR, IN_MEMORY, STYLEGAN_V_16, get, seen_by
from joyvasa.io.video_reader import VideoInfo, VideoReader
from tests.eval.films.speaking import RULES, WEIGHTS, Colours, Ear, Finder, features_of, speaking

INFO = VideoInfo(32, 32, Fraction(25), 60, 2.4, True, 0, False)


@pytest.fixture
def no_cuts(monkeypatch):
    """Films that speak flicker as cuts do."""
    monkeypatch.setattr("joyvasa.faces.track._is_cut", lambda one, other: False)


def film_of(path, key="a", photo=None) -> OpenFilm:
    return OpenFilm(path, key, VideoReader(path).info, None, photo)


def watched(gauges, frames, references=None):
    for number, frame in enumerate(frames):
        for gauge in gauges:
            gauge.add(frame, references[number] if references is not None else None)
    return [gauge.end() for gauge in gauges]


def protocols(*min_tracks):
    """`syncnet` with faces by Haar's name, of small tracks."""
    base = seen_by(get("syncnet"), HAAR)
    return [replace(base, rule=replace(base.rule, min_track=least, smallest_px=10)) for least in min_tracks]


@pytest.mark.parametrize("fps", [25, 50])
def test_faces_are_sought_once_for_all_protocols_at_25_a_second(tmp_path, fps, no_cuts):
    film = film_of(speaking(tmp_path / "a.mkv", seed=1, frames=3 * fps, fps=fps))
    asked = []

    def look(frame):
        asked.append(1)
        return [(4.0, 4.0, 28.0, 28.0)]

    gauges = [LipInstrument(each, WEIGHTS, IN_MEMORY, Ear(), look).begin(film) for each in protocols(20, 60, 90)]
    readings = watched(gauges, VideoReader(film.path))
    assert len(asked) == 75
    assert [reading.arrays != {} for reading in readings] == [True, True, False]
    assert readings[0].facts["face_rate"] == 1.0 and readings[0].arrays["lip_0"].shape == (70, 5)
    with pytest.raises(Unfit, match=r"a face in 75 frames \(expected more than 90\)"):
        score_film(protocols(90)[0], readings[2], RULES)


def test_a_face_in_few_of_the_frames_is_excluded_and_no_face_too(tmp_path, no_cuts):
    film = film_of(speaking(tmp_path / "a.mkv", seed=1, frames=100))
    shown = {"share": range(60), "never": range(0)}
    for name, frames in shown.items():
        seen = iter(range(100))

        def look(frame, frames=frames, seen=seen):
            return [(4.0, 4.0, 28.0, 28.0)] if next(seen) in frames else []

        (protocol,) = protocols(20)
        film = film_of(film.path)
        (reading,) = watched(
            [LipInstrument(protocol, WEIGHTS, IN_MEMORY, Ear(), look).begin(film)], VideoReader(film.path)
        )
        with pytest.raises(Unfit, match=r"a face in 60% of the frames" if name == "share" else "no face seen"):
            score_film(protocol, reading, RULES)


def test_a_film_without_sound_is_unfit_for_lips_alone(tmp_path):
    from tests.preprocess.videos.made_films import Made, numbered, write

    path = write(tmp_path / "a.mp4", Made(np.arange(25) / 25, None, size=(96, 64)), numbered(25, (96, 64)))
    with pytest.raises(Unfit, match="^no sound track"):
        LipInstrument(protocols(20)[0], WEIGHTS, IN_MEMORY, Ear(), lambda frame: []).begin(film_of(path))


def test_the_identity_of_a_reading_leaves_out_what_does_not_move_it():
    def key(protocol):
        return LipInstrument(protocol, WEIGHTS, IN_MEMORY, Ear(), None).identity

    base = get("syncnet")
    assert key(base) == key(get("syncnet-masked")) == key(replace(base, max_shift=20, smoothing=5, offsets="x"))
    assert key(base) != key(get("latentsync")) and key(base) != key(replace(base, left_out=0))
    assert key(base) != LipInstrument(base, {"x": "random:1"}, IN_MEMORY, Ear(), None).identity


def test_a_raised_revision_reads_anew():
    for first in (features_of(STYLEGAN_V_16, "first"), LipInstrument(get("syncnet"), WEIGHTS, IN_MEMORY, Ear(), None)):
        raised = (
            replace(first, revision=2)
            if hasattr(first, "revision")
            else replace(first, protocol=replace(first.protocol, revision=2))
        )
        assert raised.identity != first.identity


def test_a_random_clip_is_the_same_each_time_and_another_for_another_name():
    instrument = features_of(STYLEGAN_V_16, "random")
    assert instrument.beside == {"name"} and features_of(STYLEGAN_V_16, "first").beside == frozenset()
    starts = {name: min(instrument.begin(replace_key(name))._wanted) for name in map(str, range(40))}
    assert starts == {name: min(instrument.begin(replace_key(name))._wanted) for name in starts}
    assert len(set(starts.values())) > 15 and max(starts.values()) <= 60 - 16
    assert min(features_of(STYLEGAN_V_16, "first").begin(replace_key("x"))._wanted) == 0


def replace_key(name: str) -> OpenFilm:
    return OpenFilm(None, name, INFO, None, None)


def test_clips_are_of_the_frames_they_say():
    every = replace(STYLEGAN_V_16, sampling=replace(STYLEGAN_V_16.sampling, per_video=None, stride=2, frames=8))
    gauge = features_of(every, "first").begin(replace_key("x"))
    frames = [np.full((4, 4, 3), number, np.uint8) for number in range(60)]
    (reading,) = watched([gauge], frames)
    starts = np.arange(3) * 16
    np.testing.assert_allclose(reading.arrays["features"][:, 0] * 255, starts + 7, rtol=1e-5)


def colour(*rgb):
    return np.full((32, 32, 3), rgb, np.uint8)


def instrument(protocol):
    return IdentityInstrument(protocol, {}, IN_MEMORY, Colours(), Finder())


def test_identity_is_beside_the_photo_or_the_references_first_frame():
    red, blue = colour(200, 0, 0), colour(0, 0, 200)
    frames = [red] * 10 + [colour(0, 0, 0)] * 2
    film = OpenFilm(None, "a", INFO, None, red)
    (same,) = watched([instrument(CSIM).begin(film)], frames)
    (other,) = watched([instrument(CSIM_FIRST_FRAME).begin(film)], frames, [blue] * 12)
    scores = [score_film(CSIM, reading, RULES).values for reading in (same, other)]
    assert scores[0]["csim"] == pytest.approx(1) and scores[1]["csim"] == pytest.approx(0, abs=1e-6)
    assert scores[0]["csim_pessimistic"] == pytest.approx(10 / 12) and scores[0]["face_rate"] == pytest.approx(10 / 12)
    (rare,) = watched([instrument(CSIM).begin(film)], frames[-2:] * 4 + [red] * 2)
    lost = score_film(CSIM, rare, RULES)
    assert "a face in 20% of the frames" in lost.excluded
    assert lost.values == pytest.approx({"csim_pessimistic": 0.2, "face_rate": 0.2}), "what counts lost faces keeps it"


def test_without_a_source_there_is_no_identity():
    with pytest.raises(Unfit, match="no photo of its name that can be read"):
        instrument(CSIM).begin(OpenFilm(None, "a", INFO, None, None))
    with pytest.raises(Unfit, match="no reference film"):
        watched([instrument(CSIM_FIRST_FRAME).begin(OpenFilm(None, "a", INFO, None, None))], [colour(200, 0, 0)])
    with pytest.raises(Unfit, match="no face found in the source picture"):
        watched([instrument(CSIM).begin(OpenFilm(None, "a", INFO, None, colour(0, 0, 0)))], [colour(200, 0, 0)])
