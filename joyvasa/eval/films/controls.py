"""Rows whose scores are known beforehand: the recordings themselves, with their voice moved, or with another's.

A sync score that does not see five frames, or does not tell a stranger's voice, is not to be trusted with a system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from joyvasa.eval.films.film_scores import FilmScore, Pair, Rules, Unfit, check_voice, score_lips, tracks_of
from joyvasa.eval.films.gauge import Reading
from joyvasa.eval.films.pairing import REFERENCE
from joyvasa.eval.protocol_fields import LipSync

LATE_FRAMES = 5
LATE, OTHER, REAL_FLOOR = f"voice {LATE_FRAMES} frames late", "voice of another film", "real against real"
SAID = {
    REFERENCE: "the reference films themselves: what a perfect system would score",
    LATE: f"the reference films with their voice {LATE_FRAMES} frames (0.2 s) late: the offset has to fall by "
    f"{LATE_FRAMES}, while confidence and distance of the best shift stay: they alone do not see a lag",
    OTHER: "the reference films, each with the next one's voice: the masked confidence has to be near 0; zeros beyond "
    "the ends hold the other one up, more in short films",
    REAL_FLOOR: "one half of the reference films from the other: what chance alone makes; with all films on both sides "
    "it makes about half of that",
}


def late(tracks: Sequence[Pair]) -> list[Pair]:
    """Each voice heard LATE_FRAMES later; what has no voice then, or no lips, is left out. Short tracks are gone."""
    return [(lip[LATE_FRAMES:], audio[:-LATE_FRAMES]) for lip, audio in tracks if len(lip) > LATE_FRAMES]


def strange(tracks: Sequence[Pair], others: Sequence[Pair]) -> list[Pair]:
    """The longest track with the other film's longest voice, as far as both go."""
    lip = max((each for each, _ in tracks), key=len)
    audio = max((each for _, each in others), key=len)
    windows = min(len(lip), len(audio))
    return [(lip[:windows], audio[:windows])]


def control_scores(
    protocol: LipSync, readings: Mapping[str, Reading], rules: Rules
) -> Iterator[tuple[str, str, FilmScore | Unfit]]:
    """(row, key, score or why there is none) for every reference film that counts.

    readings: by key. The other voice is that of the next film that counts.
    """
    fit = [key for key in readings if _fits(readings[key], rules)]
    for key, other in zip(fit, [*fit[1:], *fit[:1]], strict=True):
        reading = readings[key]
        own = tracks_of(reading)
        yield LATE, key, _scored(protocol, late(own), reading)
        if other == key:
            yield OTHER, key, Unfit("no other film")
        else:
            yield OTHER, key, _scored(protocol, strange(own, tracks_of(readings[other])), reading)


def _scored(protocol: LipSync, tracks: Sequence[Pair], reading: Reading) -> FilmScore | Unfit:
    try:
        return score_lips(protocol, tracks, reading.facts)
    except Unfit as error:
        return error


def _fits(reading: Reading, rules: Rules) -> bool:
    try:
        if reading.fault is None:
            check_voice(reading, rules)
            return True
    except Unfit:
        pass
    return False
