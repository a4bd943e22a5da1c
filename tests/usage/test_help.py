"""Help: every key that is listed can be set, and has a type, a default and a meaning; every program names its parts."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from joyvasa.command_line import front as main_front
from joyvasa.usage.front import Front
from joyvasa.usage.keys import Key, list_keys
from joyvasa.usage.meanings import read_meanings
from joyvasa.usage.pages import group_page, table_of
from joyvasa.usage.program import place_of
from joyvasa.usage.signatures import ANY, plain_type, read_types, types_of_root
from preprocess.config import front as preprocess_front
from tests.project_conf import SOURCES, TASKS
from tests.waiting import HANGS_SECONDS

ROOT = Path(__file__).resolve().parents[2]
CHOICES = [(main_front, task) for task in TASKS] + [(preprocess_front, source) for source in SOURCES]
LONGEST_PAGE = 60
HEAVY = ("torch", "lightning", "transformers", "insightface", "wandb", "decord", "gradio", "matplotlib", "webdataset")


def help_of(front: Front, *words: str) -> str:
    """What `--help` prints, which ends with code 0."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
        front.answer([*words, "--help"])
    assert end.value.code == 0
    return printed.getvalue()


def typed(key: Key) -> str:
    """The key set to its own default, as Hydra reads it."""
    return f"{key.name}={key.shown}" if key.default is None or key.type != "text" else f"{key.name}='{key.shown}'"


@pytest.mark.parametrize("make_front, choice", CHOICES)
def test_every_listed_key_has_type_default_and_meaning_and_can_be_set(make_front, choice):
    front = make_front()
    program = front.program
    word = f"{program.chooser}={choice}"
    composed = program.compose([word])
    header = program.header(program.chooser, choice)
    assert header.meaning and len(header.examples) == 2
    page = help_of(front, word)
    assert len(page.splitlines()) < LONGEST_PAGE
    keys = []
    for path in header.keys:
        found = list_keys(program, composed, path)
        assert found, f"{choice}: no key {path}"
        keys.extend(found)
    for name in header.more:
        assert place_of(name) in page
        assert group_page(program, composed, place_of(name)).strip()
        keys.extend(list_keys(program, composed, place_of(name)))
    for key in keys:
        assert key.meaning, f"conf/ has no comment behind {key.name}"
        assert key.type and (key.type != ANY or key.default is None), key
    settable = [key for key in keys if not isinstance(key.default, (dict, list)) and "${" not in key.shown]
    again = program.compose([word, *map(typed, settable)])
    for key in settable:
        assert OmegaConf.select(again, key.name) == key.default, key.name
    for example in header.examples:
        program.compose([word, *(part.strip("'") for part in example.split())])


@pytest.mark.parametrize("make_front", [main_front, preprocess_front])
def test_every_argument_of_the_root_has_a_type_and_is_listed_somewhere(make_front):
    """A key that no help names is one that nobody finds."""
    program = make_front().program
    listed = set()
    for choice in program.options(program.chooser):
        header = program.header(program.chooser, choice)
        listed |= {name.partition(".")[0] for name in header.keys}
        listed |= {place_of(name).partition(".")[0] for name in header.more}
    roots = {path.partition(".")[0] for path in types_of_root(program.root)} - {program.chooser}
    assert not roots - listed


def test_the_general_help_names_every_task_and_source_and_is_short():
    for make_front, choices in ((main_front, TASKS), (preprocess_front, SOURCES)):
        page = help_of(make_front())
        assert all(f"  {choice} " in page for choice in choices)
        assert "--help" in page and len(page.splitlines()) < LONGEST_PAGE


def test_a_key_and_a_group_can_be_asked_for():
    front = main_front()
    line = help_of(front, "task=animate", "box").splitlines()[-1]
    assert line.split()[:3] == ["box", "x,y,w,h", "or"]
    page = help_of(front, "task=animate", "render")
    assert "liveportrait" in page and "puppet" in page and "render.liveportrait.batch_size" in page


def test_defaults_are_those_of_the_words_beside_help():
    keys = {
        line.split()[0]: line for line in help_of(main_front(), "task=validate", "eval.clips=7").splitlines() if line
    }
    assert keys["eval.clips"].split()[2] == "7"


def test_a_comment_is_what_stands_behind_the_value(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "root.yaml").write_text(
        "a: 'x # no comment'  # one\nb:   # two\n  c: 1  # three\n  _target_: m.K\n  d: {e: 2}  # four\n"
        "f: |\n  text # no comment\ng: [1,\n  2]  # of a line below\n"
    )
    (tmp_path / "group" / "one.yaml").write_text("h: 1\n")
    (tmp_path / "group" / "two.yaml").write_text("h: 2  # five\n")
    meanings = read_meanings(tmp_path, "root")
    assert meanings.by_path == {"a": "one", "b": "two", "b.c": "three", "b.d": "four", "group.h": "five"} | {
        "b.d.e": "four"
    }
    assert meanings.of("elsewhere.c", "m.K", "c") == "three", "the same class has the same keys wherever it is"


def test_types_are_those_of_the_signature_without_importing_it():
    assert read_types("preprocess.videos.settings.Filters")["sync"] == "text or null"
    assert read_types("torch.optim.AdamW")["weight_decay"] == "float"
    assert read_types("joyvasa.models.speech.load_speech_encoder")["layer"] == "int or null"
    assert read_types("no_such_package.Thing") == {}
    assert plain_type("Optional[Union[int, str]]") == "int or text or null" == plain_type("int | str | None")


def test_a_line_a_key():
    rows = table_of([Key("a", "int", 1, "one"), Key("b", "list", [1, 2], "two")])
    assert [row.split() for row in rows[1:]] == [["a", "int", "1", "one"], ["b", "list", "[1,2]", "two"]]


@pytest.mark.parametrize("words", [["task=animate", "--help"], ["--help"], []])
def test_help_and_usage_import_nothing_heavy(words):
    check = f"""
import sys, runpy
sys.argv = ["run.py", *{words!r}]
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit as end:
    assert end.code == (0 if {words!r} else 2)
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=HANGS_SECONDS, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
