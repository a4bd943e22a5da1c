"""Splits by speaker: what was asked for where it can be had, a stable draw for the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set

from joyvasa.data.keyed import stable_hash
from joyvasa.data.shards import SPLITS
from preprocess.report import Report

TRAIN, VALIDATION = SPLITS[:2]
SHOWN = 3  # speakers of a group that are named

Group = frozenset[str]  # speakers in one split


def settle_splits(
    asked: Iterable[tuple[str, Set[str]]],
    report: Report,
    *,
    seed: int,
    validation_share: float,
    together: Iterable[Collection[str]] = (),
) -> dict[str, str]:
    """The split of every speaker, from (speaker, splits asked for, if any) of every clip.

    A speaker asked for in several splits goes to train as a whole (remarked): a voice in two splits would be judged by
    models that know it. A speaker nothing was asked for goes to validation where hash(seed, speaker) falls into the
    share, so that files added later move nobody. If train or validation would be empty, the speaker next in line moves
    there, unless exactly one split was asked for it.

    together: groups of speakers that may be one person; groups with a speaker in common are one group. It counts as one
    speaker, but where nothing was asked for it goes to train, without a draw, since it may hold most clips.
    """
    wishes: dict[str, set[str]] = {}
    for speaker, splits in asked:
        wishes.setdefault(speaker, set()).update(splits)
    group_of = _joined(wishes, together)
    groups = list(dict.fromkeys(group_of.values()))
    wish_of = {group: set().union(*(wishes[speaker] for speaker in group)) for group in groups}
    draw = {group: min(stable_hash(f"{seed} {speaker}") / 2**64 for speaker in group) for group in groups}
    home = {}
    for group, wish in wish_of.items():
        drawn = VALIDATION if len(group) == 1 and draw[group] < validation_share else TRAIN
        home[group] = next(iter(wish)) if len(wish) == 1 else TRAIN if wish else drawn
    movable = [group for group in groups if len(wish_of[group]) != 1]
    movable.sort(key=lambda group: (len(group) > 1, draw[group]))
    if VALIDATION not in home.values() and movable and len(home) > 1:
        home[movable[0]] = VALIDATION
    if TRAIN not in home.values() and movable:
        home[movable[-1]] = TRAIN
    _tell(wish_of, home, report)
    return {speaker: home[group] for speaker, group in group_of.items()}


def _joined(speakers: Iterable[str], together: Iterable[Collection[str]]) -> dict[str, Group]:
    """The group of every speaker: itself alone, or all that sets of `together` join it with."""
    group_of = {speaker: frozenset([speaker]) for speaker in speakers}
    for each in together:
        present = [group_of[speaker] for speaker in each if speaker in group_of]
        joined = frozenset().union(*present)
        group_of |= dict.fromkeys(joined, joined)
    return group_of


def _tell(wish_of: dict[Group, set[str]], home: dict[Group, str], report: Report) -> None:
    for group, wish in wish_of.items():
        if len(wish) > 1:
            names = sorted(group)
            name = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            reason = f"asked for in {' and '.join(sorted(wish))}: all of it to {home[group]}"
            report.remark(name, "speaker in several splits", reason)
    for split in (split for split in (TRAIN, VALIDATION) if split not in home.values()):
        speakers = sum(len(group) for group in home)
        reason = f"{speakers} speaker(s), none of them in it; training needs one in {TRAIN} and one in {VALIDATION}"
        if len(home) < speakers:
            reason += f"; {speakers - len(home) + 1} or more share a split, since they may be one person"
        report.remark(f"split {split}", "empty split", reason)
