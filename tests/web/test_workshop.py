"""Laws of the workshop: what is wished arrives; a preview is short and drawn; what fails leaves nothing."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from joyvasa.animate.compose_settings import Amplitude
from joyvasa.animate.pipeline import Cancelled
from joyvasa.io.video_reader import probe_video
from joyvasa.io.video_writer import read_metadata, write_video
from joyvasa.tasks.animate import composition_of, framing_of
from joyvasa.web.line import Line
from joyvasa.web.workshop import SharedDetector, beginning
from tests.waiting import HANGS_SECONDS, linger


@pytest.fixture
def make(workshop):
    """(wish) -> Result, through the line."""
    line = Line(at_once=1, waiting=1)
    yield lambda wish: line.add("anna", lambda job: workshop.make(job, wish)).future.result(HANGS_SECONDS)
    line.close()


def test_a_wish_is_the_configuration_as_if_it_had_been_typed(workshop, wish):
    amplitude = Amplitude(lips=0.5, eyes=0.6, brows=0.7, head=0.8)
    changed = replace(
        wish, species="human", face=2, box=" 1,2,30,40 ", regions=("lip", "eyes"), amplitude=amplitude
    )  # fmt: skip
    cfg = workshop.settings(changed)
    framing, composition = framing_of(cfg), composition_of(cfg, wish.image)
    assert (framing.species, framing.face, framing.box) == ("human", 2, (1, 2, 30, 40))
    assert composition.regions == {"lip", "eyes"} and composition.amplitude == amplitude
    usual = workshop.settings(wish)
    assert usual.box is None and composition_of(usual, wish.image).regions == {"all"}
    assert workshop.cfg.species == "auto", "the next visitor finds the configuration as it was"


def test_a_film_has_the_voices_length_and_says_what_was_used(make, wish, speaker, folder):
    result = make(replace(wish, guidance=2.5))
    info = probe_video(result.made.path)
    assert (info.frames, info.width, info.has_sound) == (25, 64, True)
    assert speaker.heard == [("voice.wav", 16_000, 2.5)]
    assert '"image": "a face.png"' in read_metadata(result.made.path)["comment"]
    assert [path.name for path in folder.root.rglob("*") if path.is_file()] == ["a face_voice.mp4"]


def test_a_preview_is_the_beginning_drawn_by_the_quick_stage(make, wish):
    info = probe_video(make(replace(wish, preview=True)).made.path)
    assert (info.frames, info.width) == (10, 32)


def test_what_fails_or_is_cancelled_leaves_nothing(workshop, wish, speaker, folder):
    line = Line(at_once=1, waiting=1)
    failed = line.add("anna", lambda job: workshop.make(job, replace(wish, face=7)))
    assert "face=7" in str(failed.future.exception(HANGS_SECONDS))
    speaker.go.clear()
    job = line.add("anna", lambda job: workshop.make(job, wish))
    while not speaker.heard:
        assert not job.future.done()
    job.cancel()
    assert isinstance(job.future.exception(HANGS_SECONDS), Cancelled)
    assert not [path for path in folder.root.rglob("*") if path.is_file()]
    line.close()


@pytest.mark.parametrize(
    "change, said", [({"box": "1,2"}, "four numbers"), ({"regions": ("nose",)}, "region"), ({"face": -1}, None)]
)
def test_what_can_be_said_at_once_is(workshop, wish, change, said):
    changed = replace(wish, **change)
    if said is None:
        workshop.check(changed)
    else:
        with pytest.raises(ValueError, match=said):
            workshop.check(changed)


def test_the_beginning_of_a_video_has_its_first_frames_and_sound(tmp_path):
    frames = [np.full((32, 32, 3), value, np.uint8) for value in np.linspace(0, 250, 30).astype(int)]
    write_video(tmp_path / "film.mp4", frames, np.zeros(30 * 640, np.float32), 30)
    short = probe_video(beginning(tmp_path / "film.mp4", 0.5, audio=True))
    assert (short.frames, short.fps, short.has_sound) == (15, 30, True)


def test_a_stage_plays_for_one_job_at_a_time(workshop, wish):
    inside, most = [], []
    film = workshop.stage.film

    def counted(*arguments):
        for frame in film(*arguments):
            inside.append(1)
            most.append(len(inside))
            yield frame
            inside.pop()

    workshop.stage.film = counted
    line = Line(at_once=3, waiting=0)
    jobs = [line.add(name, lambda job: workshop.make(job, wish)) for name in "abc"]
    assert [job.future.result(HANGS_SECONDS).made.frames for job in jobs] == [25] * 3
    assert set(most) == {1}
    line.close()


def test_one_thread_looks_at_a_time(picture):
    inside, most = [], []

    class Eye:
        name = note = "eye"

        def detect(self, image):
            inside.append(1)
            most.append(len(inside))
            linger(0.01)
            inside.pop()
            return []

    shared = SharedDetector(Eye())
    threads = [threading.Thread(target=shared.detect, args=(None,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5
