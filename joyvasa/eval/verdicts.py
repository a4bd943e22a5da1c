"""Whether a metric's numbers can be trusted here and now: by known answers, by the files of its judge, and by what
task=accept heard of it before (`verdicts_kept`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from joyvasa import weights
from joyvasa.eval import known_judges, known_motion, known_scores
from joyvasa.eval.known_answers import Answer, Questions, ask
from joyvasa.eval.protocols import HAAR, SCRFD
from joyvasa.eval.verdicts_kept import kept, recall, remember
from joyvasa.weight_store import COMMAND, Record, check, file, records

VERIFIED, UNVERIFIED, WRONG = "verified", "unverified", "WRONG"
CLIP = "syncnet_clip"  # under which the verdict on the authors' clip is kept
ACCEPT = "python run.py task=accept"
ACCEPT_CLIP = f"{ACCEPT} reference=PATH"
SAID_MOST = 2  # wrong answers that are spelt out; the others are counted


@dataclass(frozen=True)
class Metric:
    """What is asked of a metric. entry: of the registry, whose network judges; None for a metric without weights.
    extent: says how far `verified` goes, where it is not the whole of the published protocol."""

    questions: tuple[Questions, ...]
    entry: str | None = None
    extent: Callable[[], str] | None = None


def _faces() -> str:
    """Lip sync's published detector is not here, whatever else is."""
    network, seen = SCRFD.network, SCRFD.detector
    try:
        file(network.entry, network.files[0])
    except (OSError, ValueError):
        seen = HAAR.detector
    return f"network and score verified; faces by {seen}, not the published S3FD"


_LIPS = (known_scores.cepstra, known_scores.lip_sync, known_scores.crops, known_scores.tracks)
_INFINITY = (known_scores.frechet, known_scores.frechet_infinity)
METRICS: dict[str, Metric] = {
    "lipsync": Metric(_LIPS, "syncnet", _faces),
    "fid": Metric((known_scores.frechet,), "inception"),
    "fid-infinity": Metric(_INFINITY, "inception"),
    "kid": Metric((known_scores.kernel,), "inception"),
    "fvd (i3d_videogpt)": Metric((known_scores.frechet,), "i3d_videogpt"),
    "fvd (i3d)": Metric((known_scores.frechet,), "i3d"),
    "fvd-infinity": Metric(_INFINITY, "i3d_videogpt"),
    "kvd": Metric((known_scores.kernel,), "i3d_videogpt"),
    "csim": Metric((known_scores.identity, known_judges.alignment), "insightface"),
    "psnr": Metric((known_scores.psnr,)),
    "ssim": Metric((known_scores.structure,)),
    "lpips": Metric((), "lpips"),
    "mfcc": Metric((known_scores.cepstra,)),
    "motion": Metric(known_motion.EVERYTHING),
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
    if foreign := _foreign(entry_name):
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


def _foreign(entry_name: str) -> list[str]:
    """Files that were let in by hand."""
    entry = weights.get(entry_name)
    known = records(entry)
    return [each.name for each in entry.files if each.name in known and not _is_published(known[each.name])]


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
        found = self._with_weights(metric.entry, answers)
        if metric.extent and found.state == VERIFIED:
            return Verdict(VERIFIED, f"{metric.extent()}; {found.detail}")
        return found

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
        if entry == "syncnet" and (doubt := _doubted_clip(files.sha256)):
            return _with(doubt, found.detail)
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


def _doubted_clip(weights_sha256: str) -> Verdict | None:
    """Of SyncNet's clip, where it was scored wrongly or not at all."""
    known = kept(CLIP, weights_sha256, known_judges.code_of("syncnet"))
    if known.get("fault"):
        return Verdict(WRONG, f"its authors' clip: {known['fault']}; {ACCEPT_CLIP} scores it again")
    return None if known else Verdict(UNVERIFIED, f"its authors' clip was not scored yet: {ACCEPT_CLIP}")


def was_accepted(entry: str) -> bool:
    """Whether the judge of these files and this code was accepted before; nothing is read or computed for it.

    SyncNet: with its authors' clip.
    """
    digest = digest_of(entry)
    names = (entry, CLIP) if entry == "syncnet" else (entry,)
    return bool(digest) and all(recall(name, digest, known_judges.code_of(entry)) is not None for name in names)


def doubt(entry: str) -> Verdict | None:
    """What stands against numbers of this judge, by what is on record; None where it was accepted."""
    if foreign := _foreign(entry):
        return Verdict(UNVERIFIED, f"weights {entry} let in by hand: {', '.join(foreign)}")
    if was_accepted(entry):
        return None
    clip = _doubted_clip(digest_of(entry)) if entry == "syncnet" else None
    if clip and clip.state == WRONG:
        return clip
    how = ACCEPT_CLIP if clip else ACCEPT
    return Verdict(UNVERIFIED, f"weights {entry} were not accepted on this machine with this code: {how}")


def accept_judge(entry: str, weights_sha256: str) -> None:
    """Remember what the judge of an entry says now."""
    said = {name: each.tolist() for name, each in known_judges.SAID[entry](known_judges.loading.WEIGHTS).items()}
    remember(entry, weights_sha256, known_judges.code_of(entry), said)
