"""How far long work is: bars with totals, in frames or seconds rather than in files, on a terminal and in a log.

On a terminal a bar is drawn ten times a second at most. Where the error stream is a file or a pipe, each drawing is a
line of its own, one every 30 seconds at most, besides the first and the last.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from tqdm import tqdm

SCREEN_SECONDS = 0.1  # between two drawings on a terminal
LOG_SECONDS = 30.0  # between two lines of a log
UP = "\x1b[A"  # moves a terminal's cursor to the line above, after a bar below another one


class _Lines:
    """A stream for tqdm, which returns to the beginning of a line to draw over it: here every drawing is a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a drawing as a line; what only clears or ends one is left out."""
        drawn = text.replace(UP, "").strip("\r\n ")
        if drawn:
            self._stream.write(f"{drawn}\n")

    def flush(self) -> None:
        self._stream.flush()


def progress_bar(
    work: Iterable[Any] | None = None,
    *,
    what: str,
    unit: str,
    total: float | None = None,
    leave: bool = True,
    initial: float = 0,
) -> tqdm:
    """Open a bar.

    Args:
        work: iterated over by the bar; None where `update` or `advance` moves it.
        what: stands before the bar.
        unit: what is counted.
        total: of `work`; None: its length, or what `advance` is told.
        leave: whether the bar stays when it is done; one that does not is no line of a log.
        initial: what was done before.

    Returns:
        A tqdm bar.
    """
    screen = sys.stderr.isatty()
    every = SCREEN_SECONDS if screen else LOG_SECONDS
    return tqdm(
        work,
        desc=what,
        unit=unit,
        total=total,
        leave=leave,
        disable=not (screen or leave),
        initial=initial,
        dynamic_ncols=screen,
        mininterval=every,
        maxinterval=max(every, 10.0),
        file=sys.stderr if screen else _Lines(sys.stderr),
    )


def advance(bar: tqdm) -> Callable[[int, int], None]:
    """Make a callback that moves a bar.

    Args:
        bar: from `progress_bar`.

    Returns:
        A function of what is done and of how much.
    """

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def count_as_done(bar: tqdm, amount: float) -> None:
    """Move a bar over what was done before this run: it is no part of the speed from which the time left is estimated.

    Args:
        bar: from `progress_bar`.
        amount: in the bar's unit.
    """
    bar.n += amount
    bar.initial += amount
    bar.last_print_n += amount


class WorkBar:
    """A bar over items of unequal length, counted in frames or seconds.

    Lengths that are not known yet count as the mean of those that are, so that there is a total, and a time left, as
    soon as one is known.
    """

    def __init__(self, what: str, lengths: Mapping[str, float | None], *, unit: str = "frame", items: str = "files"):
        """Open the bar.

        Args:
            what: stands before it.
            lengths: name of each item -> its length, None where it is not known yet.
            unit: of lengths.
            items: what the items are called.
        """
        self._lengths: dict[str, float | None] = dict.fromkeys(lengths)
        self._sum = 0.0  # of the lengths that are known
        self._known = 0
        for name, length in lengths.items():
            if length is not None:
                self._set_length(name, length)
        self._counted: Counter[str] = Counter()
        self._done = 0.0
        self._ended = 0
        self._items = items
        self._note = ""
        self._every = SCREEN_SECONDS if sys.stderr.isatty() else LOG_SECONDS
        self._drawn = time.time()
        self.bar = progress_bar(what=what, unit=unit, total=self._total())
        self._show()

    def __enter__(self) -> WorkBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    @property
    def unknown(self) -> list[str]:
        """Items whose length is not known yet, in their order."""
        return [name for name, length in self._lengths.items() if length is None]

    def expect(self, name: str, length: float) -> None:
        """An item's length became known."""
        self._set_length(name, max(length, self._counted[name]))
        self._show()

    def count(self, name: str, amount: float) -> None:
        """So much more of an item is done."""
        self._counted[name] += amount
        known = self._lengths.get(name)
        if known is not None and known < self._counted[name]:
            self._set_length(name, self._counted[name])
        self._done += amount
        self.bar.update(round(self._done) - self.bar.n)
        self._show()

    def counted(self, name: str) -> float:
        """How much of an item was counted."""
        return self._counted[name]

    def on_step(self, name: str) -> Callable[[int, int], None]:
        """A callback of what is done of an item and of how much, which corrects its length."""

        def show(done: int, total: int) -> None:
            self._set_length(name, total)
            self.count(name, done - self._counted[name])

        return show

    def end(self, name: str, *, done_before: bool = False) -> None:
        """An item ended: its length is what was counted of it.

        Args:
            name: of the item.
            done_before: nothing was left to do of it: its whole length counts as done.
        """
        self._ended += 1
        if done_before:
            length = self._lengths[name] or 0
            self._done += length - self._counted[name]
            count_as_done(self.bar, round(self._done) - self.bar.n)
            self._set_length(name, length)
        else:
            self._set_length(name, self._counted[name])
        self._show()

    def note(self, text: str) -> None:
        """Say something more behind the numbers."""
        self._note = text
        self._show()

    def _set_length(self, name: str, length: float) -> None:
        before = self._lengths[name]
        self._known += before is None
        self._sum += length - (before or 0)
        self._lengths[name] = length

    def _total(self) -> float | None:
        if not self._known:
            return None
        mean = self._sum / self._known
        return round(self._sum + mean * (len(self._lengths) - self._known))

    def _show(self) -> None:
        """Draw where a drawing is due: tqdm itself draws only when its count moves."""
        self.bar.total = self._total()
        told = f"{self._ended} of {len(self._lengths)} {self._items}"
        now = time.time()
        due = now - max(self._drawn, self.bar.last_print_t) >= self._every
        self.bar.set_postfix_str(f"{told}, {self._note}" if self._note else told, refresh=due)
        if due:
            self._drawn = now
