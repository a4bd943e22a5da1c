"""Steps of task=accept end in an outcome each, and an interrupted call goes on behind those it had finished."""

from __future__ import annotations

import pytest

from joyvasa.tasks.accept_step import Book, Outcome, Step


def test_an_interrupted_call_goes_on_behind_what_it_had_finished(tmp_path):
    gone_through = []

    def step(name, state="verified", inputs=None):
        def work():
            gone_through.append(name)
            if state == "kill":
                raise KeyboardInterrupt
            return Outcome(state, "")

        return Step(name, work, inputs and (lambda: inputs))

    def call(*steps):
        gone_through.clear()
        book = Book(tmp_path / "accept.json")
        for each in steps:
            book.go_through(each)
            book.write([each.name for each in steps], {})
        return gone_through

    first, second = {"a": "1"}, {"a": "2"}
    with pytest.raises(KeyboardInterrupt):
        call(step("one", inputs=first), step("two", "kill", inputs=first), step("three", inputs=first))
    lines = [
        step("one", inputs=first),
        step("two", inputs=first),
        step("three", "unverified", inputs=first),
        step("four"),
    ]
    assert call(*lines) == ["two", "three", "four"]
    assert call(*lines) == ["three", "four"]
    assert call(step("one", inputs=second), *lines[1:]) == ["one", "three", "four"]
    (tmp_path / "accept.json").write_text("{")
    assert call(*lines) == ["one", "two", "three", "four"]


def test_a_step_that_breaks_is_an_outcome(tmp_path):
    def broken(error):
        def work():
            raise error

        return Book(tmp_path / "accept.json").go_through(Step("x", work))[0]

    assert (broken(OSError("gone")).state, broken(ValueError("bad")).detail) == ("unverified", "bad")
    assert broken(ZeroDivisionError("by 0")).detail == "ZeroDivisionError: by 0"
