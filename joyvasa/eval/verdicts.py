"""Whether a metric's numbers can be trusted here and now: by known answers, by the files of its judge, and by what was
accepted before.

Accepted answers are kept beside the weights, in verdicts.json, with the hash of the files and that of the code: what
was found with others counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from joyvasa import weights
from joyvasa.eval import known_judges, known_scores
from joyvasa.eval.known_answers import Answer, Questions, ask
from joyvasa.media import replacing
from joyvasa.weight_store import COMMAND, Record, check, records, root

VERIFIED, UNVERIFIED, WRONG = "verified", "unverified", "WRONG"
CLIP = "syncnet_clip"  # under which the verdict on the authors' clip is kept
ACCEPT_CLIP = "python run.py task=accept reference=PATH"
SAID_MOST = 2  # wrong answers that are spelt out; the others are counted


@dataclass(frozen=True)
class Metric:
    """What is asked of a metric. entry: of the registry, whose network judges; None for a metric without weights."""

    questions: tuple[Questions, ...]
    entry: str | None = None


METRICS: dict[str, Metric] = {
    "lipsync": Metric((known_scores.cepstra, known_scores.lip_sync), "syncnet"),
    "fid": Metric((known_scores.frechet,), "inception"),
    "kid": Metric((known_scores.kernel,), "inception"),
    "fvd (i3d_videogpt)": Metric((known_scores.frechet,), "i3d_videogpt"),
    "fvd (i3d)": Metric((known_scores.frechet,), "i3d"),
    "kvd": Metric((known_scores.kernel,), "i3d_videogpt"),
    "csim": Metric((known_scores.identity, known_judges.alignment), "insightface"),
    "psnr": Metric((known_scores.psnr,)),
    "ssim": Metric((known_scores.structure,)),
    "lpips": Metric((), "lpips"),
    "mfcc": Metric((known_scores.cepstra,)),
    "motion": Metric((known_scores.motion,)),
}


@dataclass(frozen=True)
class Verdict:
    """state: verified, unverified or WRONG; detail: why, and what to type."""

    state: str
    detail: str


@dataclass(frozen=True)
class Held:
    """The files of an entry, read again. sha256: of the files' hashes, empty unless the verdict is `verified`."""

    verdict: Verdict
    sha256: str = ""


def held(entry_name: str) -> Held:
    """Whether the files are here, unchanged, and the published ones.

    A file of which no hash was published is taken for the published one where it was fetched from its address.
    """
    entry = weights.get(entry_name)
    try:
        state = weights.state(entry)
        if state in ("absent", "incomplete"):
            return Held(Verdict(UNVERIFIED, f"weights {state}: {COMMAND} pull {entry_name}"))
        damaged = [f"{name}: {result}" for name, _, result in check(entry) if result != "ok"]
    except (OSError, ValueError) as error:
        return Held(Verdict(WRONG, str(error)))
    if damaged:
        return Held(Verdict(WRONG, f"{'; '.join(damaged)}; delete it, then {COMMAND} pull {entry_name}"))
    known = records(entry)
    foreign = [each.name for each in entry.files if not _is_published(known[each.name])]
    if foreign:
        advice = f"to get the published ones delete them and {COMMAND} pull {entry_name}"
        return Held(Verdict(UNVERIFIED, f"let in by hand: {', '.join(foreign)}; {advice}"))
    unpinned = [each.name for each in entry.files if each.sha256 is None]
    detail = "sha256 as published" if not unpinned else f"no sha256 is published of {', '.join(unpinned)}: as fetched"
    return Held(Verdict(VERIFIED, detail), digest_of(entry_name))


def digest_of(entry_name: str) -> str:
    """sha256 of the recorded hashes of an entry's files, which are not read; empty where one has none."""
    entry = weights.get(entry_name)
    known = records(entry)
    if any(each.name not in known for each in entry.files):
        return ""
    return hashlib.sha256("".join(known[each.name].sha256 for each in entry.files).encode()).hexdigest()


def _is_published(record: Record) -> bool:
    return record.status == "pinned" or (record.status == "recorded" and record.source.startswith("http"))


@dataclass
class Examiner:
    """Asks all that is known of metrics; what several of them share is asked once."""

    networks: dict[str, list[Answer]] = field(default_factory=dict)
    files: dict[str, Held] = field(default_factory=dict)
    trained: dict[str, list[Answer]] = field(default_factory=dict)

    def verdict(self, name: str) -> Verdict:
        """Of one of METRICS."""
        metric = METRICS[name]
        answers = ask(name, metric.questions)
        if metric.entry is None:
            return _judged(answers)
        answers += self._network(metric.entry)
        if not all(each.right for each in answers):
            return _judged(answers)
        return self._with_weights(metric.entry, answers)

    def holding(self, entry: str) -> Held:
        """`held`, read once; absent files are looked for again each time."""
        if entry not in self.files or self.files[entry].verdict.state == UNVERIFIED:
            self.files[entry] = held(entry)
        return self.files[entry]

    def _with_weights(self, entry: str, answers: list[Answer]) -> Verdict:
        files = self.holding(entry)
        if files.verdict.state != VERIFIED:
            return _with(files.verdict, f"of its code {_counted(answers)}")
        if entry not in self.trained:
            accepted = recall(entry, files.sha256, known_judges.code_of(entry))
            self.trained[entry] = ask(entry, [partial(known_judges.trained, entry, accepted)])
        found = _judged(answers + self.trained[entry])
        if found.state == WRONG:
            return found
        if entry == "syncnet" and recall(CLIP, files.sha256, known_judges.code_of(entry)) is None:
            return _with(Verdict(UNVERIFIED, f"its authors' clip was not scored yet: {ACCEPT_CLIP}"), found.detail)
        return _with(found, files.verdict.detail)

    def _network(self, entry: str) -> list[Answer]:
        if entry == "insightface":  # a file of ONNX: it is its own code
            return []
        if entry not in self.networks:
            self.networks[entry] = ask(entry, [partial(known_judges.network, entry)])
        return self.networks[entry]


def _with(verdict: Verdict, more: str) -> Verdict:
    return Verdict(verdict.state, f"{verdict.detail} ({more})")


def _judged(answers: list[Answer]) -> Verdict:
    wrong = [each for each in answers if not each.right]
    if not wrong:
        return Verdict(VERIFIED, _counted(answers))
    more = f"; {len(wrong) - SAID_MOST} more" if len(wrong) > SAID_MOST else ""
    return Verdict(WRONG, "; ".join(map(str, wrong[:SAID_MOST])) + more)


def _counted(answers: list[Answer]) -> str:
    return "1 known answer agrees" if len(answers) == 1 else f"{len(answers)} known answers agree"


def _store() -> Path:
    return root() / "verdicts.json"


def _all() -> dict[str, Any]:
    """What is remembered; a file that cannot be read counts for nothing, as it can be found out again."""
    try:
        found = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(name: str, weights_sha256: str, code: str, said: Mapping[str, Any]) -> None:
    """Keep answers that were accepted of an entry, or under CLIP, with what they depend on."""
    known = _all() | {name: {"weights": weights_sha256, "code": code, "said": dict(said), "when": _now()}}
    _store().parent.mkdir(parents=True, exist_ok=True)
    with replacing(_store()) as temporary:
        temporary.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def recall(name: str, weights_sha256: str, code: str) -> dict[str, Any] | None:
    """The accepted answers, None where there are none of these files and this code."""
    known = _all().get(name)
    fits = isinstance(known, dict) and (known.get("weights"), known.get("code")) == (weights_sha256, code)
    return known["said"] if fits else None


def was_accepted(entry: str) -> bool:
    """Whether the judge of these files and this code was accepted before; nothing is read or computed for it.

    SyncNet: with its authors' clip.
    """
    digest = digest_of(entry)
    names = (entry, CLIP) if entry == "syncnet" else (entry,)
    return bool(digest) and all(recall(name, digest, known_judges.code_of(entry)) is not None for name in names)


def accept_judge(entry: str, weights_sha256: str) -> None:
    """Remember what the judge of an entry says now."""
    said = {name: each.tolist() for name, each in known_judges.SAID[entry](known_judges.loading.WEIGHTS).items()}
    remember(entry, weights_sha256, known_judges.code_of(entry), said)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
