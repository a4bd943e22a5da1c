"""Bars have a total from the first known length on, count what was done before, and write few lines into a log."""

from __future__ import annotations

import contextlib
import io

from joyvasa.progress import WorkBar, advance, count_as_done, progress_bar


def test_items_of_unknown_length_count_as_the_mean_of_the_others():
    with WorkBar("work", {"a": None, "b": None, "c": None}) as bar:
        assert bar.bar.total is None and bar.unknown == ["a", "b", "c"]
        bar.expect("a", 100)
        assert bar.bar.total == 300
        bar.expect("b", 200)
        assert bar.bar.total == 450 and bar.unknown == ["c"]


def test_what_an_item_turns_out_to_be_replaces_what_was_expected():
    with WorkBar("work", {"a": 100, "b": 50}) as bar:
        bar.count("a", 60)
        bar.end("a")  # rejected after a part of it
        assert (bar.bar.n, bar.bar.total) == (60, 110)
        bar.count("b", 70)  # longer than its header says
        bar.end("b")
        assert (bar.bar.n, bar.bar.total) == (130, 130)


def test_what_was_done_before_counts_but_is_no_speed():
    with WorkBar("work", {"a": 100, "b": 50}) as bar:
        bar.end("a", done_before=True)
        assert (bar.bar.n, bar.bar.initial, bar.bar.total) == (100, 100, 150)
    with progress_bar(what="work", unit="s", total=10) as bar:
        count_as_done(bar, 4)
        bar.update(1)
        assert (bar.n, bar.initial) == (5, 4)


def test_a_callback_moves_an_item_to_what_is_done_of_it():
    with WorkBar("work", {"a": 10, "b": 10}) as bar:
        step = bar.on_step("b")
        for done in (2, 5, 20):
            step(done, 20)
        assert (bar.bar.n, bar.bar.total, bar.counted("b")) == (20, 30, 20)
    with progress_bar(what="work", unit="window") as bar:
        advance(bar)(3, 8)
        assert (bar.n, bar.total) == (3, 8)


def test_a_log_gets_lines_and_few_of_them():
    log = io.StringIO()
    with contextlib.redirect_stderr(log):
        for _ in progress_bar(range(20_000), what="work", unit="clip"):
            pass
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert lines[-1].startswith("work: 100%") and "20000/20000" in lines[-1]
    assert len(lines) < 100
