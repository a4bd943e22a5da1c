"""Where decoded audio belongs in time: gaps become silence, overlaps are cut, so that nothing drifts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

JITTER_SECONDS = 0.01  # by which audio may be stamped beside its place: stamps of Matroska are whole milliseconds
BLOCK = 8_192  # samples that are worked on at once
MOST_OVERLAP_SECONDS = 1.0  # by which stamps may go back, above which the clock counts as set back
MOST_GAP_SECONDS = 600.0  # of one pause in a recording, above which its stamps are not believed
MOST_SILENCE_SECONDS = 3600.0  # that all pauses of a recording together may add


class Clock:
    """Tells, piece after piece, how much silence stands before it and how much of its beginning is left out.

    origin: seconds by the file's clock of sample 0; None: sample 0 is the first sample there is.
    restarts: every stamp that goes back sets the clock back (Ogg: files joined end to end), so that the piece follows
    the one before it. Without an origin, a stamp that goes back by more than MOST_OVERLAP_SECONDS does so anyway.
    bounded: whether gaps that are too long to be believed are left out, so that a wrong stamp cannot fill the memory.

    silence, cut: seconds so far, behind the first piece. first_gap, set_back, set_ahead: at which second of the audio
    the first one was, None where there was none. jump: seconds of the longest gap that was left out.
    """

    def __init__(self, origin: Fraction | None, *, restarts: bool = False, bounded: bool = False):
        self.origin = origin
        self.restarts = restarts
        self.bounded = bounded
        self.silence = 0.0
        self.cut = 0.0
        self.jump = 0.0
        self.first_gap: float | None = None
        self.set_back: float | None = None
        self.set_ahead: float | None = None
        self._free = origin is None
        self._at = 0  # samples placed so far, of the rate of the piece placed last
        self._rate: int | None = None
        self._shift = Fraction(0)  # seconds that are added to every stamp
        self._joins = False  # whether there is a piece to which the next one may be joined
        self._begun = False  # whether any sample was placed

    @property
    def seconds(self) -> float:
        """Length of what was placed."""
        return 0.0 if self._rate is None else self._at / self._rate

    def place(self, stamp: Fraction | None, rate: int, count: int) -> tuple[int, int]:
        """Samples of silence before a piece of `count` samples, and how many of its first samples are left out."""
        if self._rate not in (None, rate):
            self._at = round(self._at * Fraction(rate, self._rate))
        self._rate = rate
        gap = 0 if stamp is None else self._gap(stamp, rate)
        silence = max(gap, 0)
        cut = min(max(-gap, 0), count)
        if self._begun:
            self.silence += silence / rate
            self.cut += cut / rate
            if silence and self.first_gap is None:
                self.first_gap = self.seconds
        self._at += silence + count - cut
        self._joins = count > cut
        self._begun = self._begun or self._joins
        return silence, cut

    def _gap(self, stamp: Fraction, rate: int) -> int:
        """Samples from the end of what was placed to where the stamp puts the next piece; negative: an overlap."""
        if self.origin is None:
            self.origin = stamp
        gap = round((stamp + self._shift - self.origin) * rate) - self._at
        if not self._joins:
            return gap
        if abs(gap) <= JITTER_SECONDS * rate:
            return 0
        if gap < 0 and self._free and (self.restarts or -gap > MOST_OVERLAP_SECONDS * rate):
            self.set_back = self.seconds if self.set_back is None else self.set_back
            return self._follow(gap, rate)
        if gap > 0 and self.bounded and self._is_absurd(gap / rate):
            self.set_ahead = self.seconds if self.set_ahead is None else self.set_ahead
            self.jump = max(self.jump, gap / rate)
            return self._follow(gap, rate)
        return gap

    def _is_absurd(self, seconds: float) -> bool:
        return seconds > MOST_GAP_SECONDS or self.silence + seconds > MOST_SILENCE_SECONDS

    def _follow(self, gap: int, rate: int) -> int:
        """From here on stamps count from where the audio is."""
        self._shift -= Fraction(gap, rate)
        return 0


def in_place(
    pieces: Iterable[tuple[Fraction | None, int, np.ndarray]], clock: Clock
) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces (stamp in seconds, rate, samples (n,) or (n, channels)) -> (rate, samples) without a gap.

    A piece begins where the one before it ended, unless its stamp is more than JITTER_SECONDS off: then, as the first
    piece, it is put where its stamp says to the sample. A piece without a stamp follows the one before it.
    """
    for stamp, rate, block in pieces:
        silence, cut = clock.place(stamp, rate, len(block))
        for start in range(0, silence, BLOCK):
            yield rate, np.zeros((min(BLOCK, silence - start), *block.shape[1:]), np.float32)
        yield rate, block[cut:]


def joined(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """The same samples in fewer blocks (rate, samples), of BLOCK samples or a little more: frames of AAC have 1024."""
    held: list[np.ndarray] = []
    count = 0
    rate = 0
    for own_rate, block in blocks:
        if held and (own_rate != rate or count >= BLOCK):
            yield rate, np.concatenate(held)
            held = []
            count = 0
        held.append(block)
        count += len(block)
        rate = own_rate
    if held:
        yield rate, np.concatenate(held)
