"""What a run of task=evaluate or task=benchmark found: rows of systems and controls, columns of protocols, every film.

A *row* is a system, or a control: something whose scores are known beforehand, or that bounds them. A *column* is one
number of one protocol with one hash: numbers of different hashes never share a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joyvasa.eval.bootstrap import Score

ALL = "*"  # in `Film.excluded`: from every metric
SHARE = "share"  # in `Column.unit`: 0 to 1
OFFSET = "offset"  # in `Column.quantity`: of lip sync, frames


@dataclass(frozen=True)
class Column:
    """metric: family ("lipsync"). name: the protocol's column ("lipsync/syncnet@haar-untrained"). quantity: which of
    its numbers ("lse_c"). digest: sha256 of the stamp, see `Results.stamps`. better: "higher", "lower", "zero", or ""
    where neither end is good. unit: "dB", "frames", "share" (0 to 1), or ""."""

    metric: str
    name: str
    quantity: str
    digest: str
    better: str
    unit: str

    @property
    def key(self) -> str:
        return f"{self.name}/{self.quantity}"


@dataclass(frozen=True)
class Film:
    """One film of one row: a line of results.csv.

    key: its name below its folder, without the ending. facts: seconds, frames, fps, width, height, and what metrics say
    beside their numbers (face_rate, tracks). values: by column key; absent where excluded. excluded: reason by
    `Column.name`, or under ALL. By `Column.name`, too: weights, how much it counts in means, where that is not 1;
    of lip sync curves, mean distance by shift, and offsets, of its tracks. photo: sha256 of the source picture, told of
    the reference film, where there is one. picture: a JPEG file of its middle frame, not written into results.json.
    """

    row: str
    key: str
    path: str | None
    sha256: str | None
    facts: Mapping[str, float | str]
    values: Mapping[str, float]
    excluded: Mapping[str, str]
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, list[float]] = field(default_factory=dict)
    photo: str | None = None
    picture: bytes | None = None


@dataclass(frozen=True)
class Absent:
    """A protocol that was asked for and not computed. reason: what is missing, with the command that gets it."""

    name: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """system - baseline, over the films that both have a number for."""

    system: str
    baseline: str
    column: str
    score: Score


@dataclass(frozen=True)
class Results:
    """systems: rows in their order, the first is the baseline of `differences`. controls: what each control row is, in
    a sentence. stamps: by digest, as `Protocol.stamp` gives them. scores: row -> column key -> value with interval.
    shares: row -> column name -> share of its films that were excluded. environment: `plain(Environment)`. references:
    of merged results, by column name, what its numbers were measured against; of a run, its films tell it
    (`column_names.references_of`)."""

    title: str
    systems: list[str]
    controls: dict[str, str]
    columns: list[Column]
    stamps: dict[str, dict[str, Any]]
    scores: dict[str, dict[str, Score]]
    differences: list[Difference]
    films: list[Film]
    absent: list[Absent]
    shares: dict[str, dict[str, float]]
    max_excluded: float
    environment: dict[str, Any]
    settings: dict[str, Any]
    notes: list[str]
    references: dict[str, str] = field(default_factory=dict)

    def too_many_excluded(self) -> list[str]:
        """A sentence for each system and protocol of which more than `max_excluded` was excluded."""
        return [
            f"{row}: {share:.0%} of the films excluded from {name} (at most {self.max_excluded:.0%})"
            for row in self.systems
            for name, share in self.shares.get(row, {}).items()
            if share > self.max_excluded
        ]
