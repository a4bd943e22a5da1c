"""Splits by speaker: what was asked for where it can be had, a stable draw for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Set

from joyvasa.data.keyed import stable_hash
from joyvasa.data.shards import SPLITS
from preprocess.report import Report

TRAIN, VALIDATION = SPLITS[:2]


def settle_splits(
    asked: Iterable[tuple[str, Set[str]]], report: Report, *, seed: int, validation_share: float
) -> dict[str, str]:
    """The split of every speaker, from (speaker, splits asked for, if any) of every clip.

    A speaker asked for in several splits goes to train as a whole (remarked): a voice in two splits would be judged by
    models that know it. A speaker nothing was asked for goes to validation where hash(seed, speaker) falls into the
    share, so that files added later move nobody. If train or validation would be empty, the speaker next in line moves
    there, unless exactly one split was asked for it.
    """
    wishes: dict[str, set[str]] = {}
    for speaker, splits in asked:
        wishes.setdefault(speaker, set()).update(splits)
    draw = {speaker: stable_hash(f"{seed} {speaker}") / 2**64 for speaker in wishes}
    home = {}
    for speaker, wish in wishes.items():
        drawn = VALIDATION if draw[speaker] < validation_share else TRAIN
        home[speaker] = next(iter(wish)) if len(wish) == 1 else TRAIN if wish else drawn
    movable = sorted((speaker for speaker in home if len(wishes[speaker]) != 1), key=draw.__getitem__)
    if VALIDATION not in home.values() and movable and len(home) > 1:
        home[movable[0]] = VALIDATION
    if TRAIN not in home.values() and movable:
        home[movable[-1]] = TRAIN
    for speaker, wish in wishes.items():
        if len(wish) > 1:
            reason = f"asked for in {' and '.join(sorted(wish))}: all of it to {home[speaker]}"
            report.remark(speaker, "speaker in several splits", reason)
    for split in (split for split in (TRAIN, VALIDATION) if split not in home.values()):
        reason = f"{len(home)} speaker(s), none of them in it; training needs one in {TRAIN} and one in {VALIDATION}"
        report.remark(f"split {split}", "empty split", reason)
    return home
