"""Laws of what the page says: nothing foreign is HTML, no place of this machine is told, progress never lies."""

from html import unescape
from pathlib import Path

import pytest

from joyvasa.web import words
from joyvasa.web.line import WAITING, Job
from joyvasa.web.workshop import DRAWING, LISTENING, LOOKING

FOLDER = Path("/srv/joyvasa-web-x")
PLACE = str(FOLDER / "films" / "ab" / "my face.jpg")


def job_in(phase: str, done: int = 0, total: int = 0) -> Job:
    job = Job("anna")
    job.phase, job.done, job.total = phase, done, total
    return job


def test_nothing_foreign_becomes_html(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    said = (
        words.problem(ValueError(evil), tmp_path), words.note(evil), words.used({evil: evil}), words.commands(evil),
        words.head({evil: evil}, evil),
    )  # fmt: skip
    assert not [text for text in said if "<img" in text]


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError(f"{PLACE}: no face found"), "my face.jpg: no face found"),
        (ValueError(f"{PLACE}: damaged ([Errno 7] bad: '{PLACE}')"), "my face.jpg: damaged (bad: 'my face.jpg')"),
        (OSError(28, "no room left on the disk", PLACE), "no room left on the disk"),
    ],
)
def test_errors_name_the_file_and_not_its_place(error, said):
    assert unescape(words.problem(error, FOLDER)) == f'<p class="problem" role="alert">{said}</p>'


def test_commands_are_set_as_code_and_folders_left_out():
    said = words.head(
        {"Draws with": "puppet (the photo: python -m joyvasa.weights pull liveportrait; not in /root/x)"}, ""
    )
    assert "<code>python -m joyvasa.weights pull liveportrait</code>; not)" in said


def test_progress_says_where_the_job_is():
    assert "2 films are made before yours" in words.progress(job_in(WAITING), 2)
    assert "Starting" in words.progress(job_in(WAITING), 0)
    assert "34 frames so far" in words.progress(job_in(LOOKING, 34), 0)
    assert "part 1 of 4" in words.progress(job_in(LISTENING, 1, 4), 0)
    drawn = job_in(DRAWING, 25, 100)
    assert 'width:25.0%"' in words.progress(drawn, 0) and "left" not in words.progress(drawn, 0)
    drawn.since -= 10
    assert "frame 25 of 100, about 30 s left" in words.progress(drawn, 0)


@pytest.mark.parametrize(
    "facts, said, not_said",
    [
        ({"checkpoint": "demo.safetensors", "step": "1024", "score": "lip_pc1 0.93", "trained": "2026-11-21"},
         ("demo.safetensors", "1024 steps", "2026-11-21", "closely", "0.93"), ("not measured",)),
        ({"checkpoint": "best.ckpt", "run": "mine/7", "step": "20", "score": "lip_pc1 -0.10", "trained": "unknown"},
         ("best.ckpt", "mine/7", "20 steps", "hardly", "-0.10"), ("unknown",)),
        ({"checkpoint": "x.pt", "step": "unknown", "score": "unknown"}, ("x.pt", "not measured"), ("None",)),
    ],
)  # fmt: skip
def test_which_model_moves_and_how_good_it_is(facts, said, not_said):
    text = words.motion_model(facts)
    assert all(word in text for word in said) and not [word for word in not_said if word in text]
