"""Weights that could not be fetched, which many steps of task=accept lack: said once, with what to type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from joyvasa.eval.verdicts import UNVERIFIED
from joyvasa.tasks.accept_step import Outcome
from joyvasa.weight_store import COMMAND

ADVICE = f"import them by hand: `{COMMAND} import PATH --as NAME`, or `{COMMAND} pull NAME` to try again"


@dataclass(frozen=True)
class Cause:
    """entry: of the registry, which a step lacks. reason: why it could not be fetched."""

    entry: str
    reason: str


def cause_of(outcome: Outcome, unfetched: Mapping[str, str]) -> Cause | None:
    """unfetched: entry -> reason. None for an outcome that does not ask for one of these."""
    if outcome.state != UNVERIFIED:
        return None
    wanted = [name for name in unfetched if re.search(rf"{COMMAND} pull {re.escape(name)}\b", outcome.detail)]
    return Cause(wanted[0], unfetched[wanted[0]]) if wanted else None


def lines(causes: Mapping[str, Cause]) -> list[str]:
    """A line for each reason: of how many steps, what to type, for which entries. causes: of steps, by name."""
    found = []
    for reason in dict.fromkeys(each.reason for each in causes.values()):
        of_this = [each.entry for each in causes.values() if each.reason == reason]
        steps = f"{len(of_this)} step{'s' if len(of_this) > 1 else ''}"
        entries = ", ".join(dict.fromkeys(of_this))
        found.append(f"{steps}: the weights could not be fetched: {reason}; {ADVICE}; NAME: {entries}")
    return found


def brief(detail: str) -> str:
    """A step's reason without what to type, which `lines` says."""
    return re.sub(rf": {COMMAND} pull [\w-]+", "", detail.split("; ")[0])
