"""The `joyvasa` command: its first word is a task or a program, and what follows arrives there."""

from __future__ import annotations

import sys

import pytest

from joyvasa.command_line import commands, route


@pytest.fixture(autouse=True)
def argv(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["joyvasa"])


@pytest.mark.parametrize(
    "words, expected",
    [
        (["animate", "image=a b.jpg"], ["task=animate", "image='a b.jpg'"]),
        (["train", "experiment=demo"], ["task=train", "experiment=demo"]),
        (["task=sample", "audio=[x].wav"], ["task=sample", "audio='[x].wav'"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_a_task_s_name_becomes_run_py_s_words(words, expected):
    assert route(words) is None
    assert sys.argv[1:] == expected


def test_other_programs_get_the_rest(capsys):
    program = route(["weights", "list"])
    assert program is not None and sys.argv[1:] == ["list"]
    assert program() == 0 and "liveportrait" in capsys.readouterr().out


def test_an_unknown_word_is_refused_with_the_list():
    with pytest.raises(ValueError, match="animte: no such command.*animate"):
        route(["animte", "image=a"])
    assert {"animate", "train", "evaluate", "preprocess", "weights", "doctor"} <= set(commands())
