"""From the protocols asked for to what reads them: judges with weights that are here, or random ones if that was asked.

A protocol whose judge is missing is not computed: it is named, with the command that gets it. No judge stands in for
another. The published detector of lip sync (S3FD) is not here at all: what takes its place is part of the column's name
and of its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from joyvasa.eval import quality
from joyvasa.eval.films.cabinet import AUTO, Cabinet
from joyvasa.eval.films.feature_gauge import FeatureInstrument
from joyvasa.eval.films.film_scores import Rules
from joyvasa.eval.films.gauge import Instrument
from joyvasa.eval.films.identity_gauge import IdentityInstrument
from joyvasa.eval.films.lip_gauge import LipInstrument
from joyvasa.eval.films.passing import Sides
from joyvasa.eval.films.quality_gauge import PictureInstrument, QualityInstrument
from joyvasa.eval.films.results import Absent
from joyvasa.eval.films.set_scores import Corpus, network_of, sampling_of
from joyvasa.eval.protocol_fields import (
    Frechet,
    FrechetInfinity,
    Identity,
    Kernel,
    LipSync,
    Perceptual,
    SignalToNoise,
    Structure,
)
from joyvasa.eval.protocol_hash import UNTRAINED, Protocol, hash_of
from joyvasa.eval.protocols import IN_MEMORY, PHOTO, get, seen_by
from joyvasa.eval.verdicts import doubt
from joyvasa.faces.five_points import ScrfdPoints
from joyvasa.models.judges.arcface import ArcFace
from joyvasa.models.judges.loading import RANDOM

PICTURE = "picture"  # the instrument that every film has


@dataclass(frozen=True)
class Setup:
    """What is asked for. weights: "auto", or "random:SEED" for judges that are there to show that everything runs;
    detector: "auto", "insightface" or "haar"; device: of torch; rules: which films count. Picklable: every process
    builds its own plan."""

    protocols: tuple[Protocol, ...]
    weights: str
    detector: str
    device: str
    has_reference: bool
    has_photos: bool
    rules: Rules


@dataclass(frozen=True)
class Asked:
    """A protocol that is computed. generated, reference: names of its instruments, None: not read from those films."""

    protocol: Protocol
    column: str
    stamp: dict
    digest: str
    generated: str
    reference: str | None


@dataclass
class Plan:
    setup: Setup
    asked: list[Asked] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sides: Sides = field(default_factory=lambda: Sides({}, {}))

    def add(self, protocol: Protocol, known: dict[str, str], made: Instrument, real: Instrument | None) -> None:
        """made, real: what reads the systems' films and the reference's."""
        stamp = protocol.stamp(known, IN_MEMORY)
        if rules := self.setup.rules.of(protocol.metric):
            stamp["rules"] = rules
        names = [each and hash_of(dict(each.identity)) for each in (made, real)]
        self.asked.append(Asked(protocol, protocol.column(known), stamp, hash_of(stamp), *names))
        self.notes += _doubts(protocol, known)
        self.sides.generated[names[0]] = made
        if real is not None:
            self.sides.reference[names[1]] = real

    def forget_networks(self) -> None:
        """Where other processes read the films, this one needs to know what is asked for, and no judge's memory."""
        self.sides = Sides({}, {})


def make_plan(setup: Setup) -> Plan:
    """Loads every judge that is here. Raises ValueError for weights= and detector= that are none."""
    if setup.weights != AUTO and not RANDOM.fullmatch(setup.weights):
        raise ValueError(f"weights={setup.weights} (expected {AUTO}, or random:SEED with SEED a whole number)")
    plan, cabinet = Plan(setup), Cabinet(setup.weights, setup.detector, setup.device)
    picture = PictureInstrument({"reads": PICTURE, "revision": 1})
    plan.sides = Sides({PICTURE: picture}, {PICTURE: picture})
    for protocol in setup.protocols:
        try:
            _add(plan, cabinet, protocol)
        except FileNotFoundError as error:
            plan.absent.append(Absent(_column(protocol), str(error)))
    if cabinet.remark:
        plan.notes.append(cabinet.remark)
    return plan


def _doubts(protocol: Protocol, known: dict[str, str]) -> list[str]:
    """A sentence for each judge that is not verified; of one with random weights the column's name says it."""
    column, entries = protocol.column(known), dict.fromkeys(network.entry for network in protocol.networks)
    found = [] if column.endswith(UNTRAINED) else [doubt(entry) for entry in entries]
    return [f"{column}: {each.state}: {each.detail}" for each in found if each]


def _column(protocol: Protocol) -> str:
    return protocol.column({})


def _add(plan: Plan, cabinet: Cabinet, protocol: Protocol) -> None:
    if isinstance(protocol, LipSync):
        _add_lips(plan, cabinet, protocol)
    elif isinstance(protocol, Identity):
        _add_identity(plan, cabinet, protocol)
    elif not plan.setup.has_reference:
        raise FileNotFoundError("needs films to compare with; give reference=DIR")
    elif isinstance(protocol, (Frechet, FrechetInfinity, Kernel)):
        _add_features(plan, cabinet, protocol)
    else:
        _add_quality(plan, cabinet, protocol)


def _add_lips(plan: Plan, cabinet: Cabinet, protocol: LipSync) -> None:
    look = None
    if protocol.detection is not None:
        detection, look = cabinet.detection
        protocol = seen_by(protocol, detection)
    judge = cabinet.judge(protocol.network)
    known = cabinet.known(protocol)
    instrument = LipInstrument(protocol, known, IN_MEMORY, judge, look)
    plan.add(protocol, known, instrument, instrument)


def _add_identity(plan: Plan, cabinet: Cabinet, protocol: Identity) -> None:
    if not (plan.setup.has_photos if protocol.source == PHOTO else plan.setup.has_reference):
        kind = "photos=DIR" if protocol.source == PHOTO else "photos=DIR or reference=DIR"
        raise FileNotFoundError(f"needs pictures of whom the films show; give {kind}")
    network, detector = ArcFace(), ScrfdPoints()
    known = cabinet.known(protocol)
    instrument = IdentityInstrument(protocol, known, IN_MEMORY, network, detector)
    plan.add(protocol, known, instrument, instrument)


def _add_features(plan: Plan, cabinet: Cabinet, protocol: Corpus) -> None:
    network, sampling = network_of(protocol), sampling_of(protocol)
    judge, known = cabinet.judge(network), cabinet.known(protocol)
    made, real = (
        FeatureInstrument(protocol.revision, network, sampling, start, known, IN_MEMORY, judge)
        for start in (sampling.generated_start, sampling.real_start)
    )
    plan.add(protocol, known, made, real)


def _add_quality(plan: Plan, cabinet: Cabinet, protocol: Protocol) -> None:
    measure: Callable | None
    if isinstance(protocol, Perceptual):
        measure = cabinet.judge(protocol.network)
    elif isinstance(protocol, Structure):
        measure = quality.ssim
    elif isinstance(protocol, SignalToNoise):
        measure = None
    else:
        raise ValueError(f"{protocol.name}: films are not scored by it; it is a protocol of {protocol.metric}")
    known = cabinet.known(protocol)
    plan.add(protocol, known, QualityInstrument(protocol, known, IN_MEMORY, measure), None)


def choose(metrics: Sequence[str], protocols: Sequence[str], defaults: dict[str, list[str]]) -> list[str]:
    """Names of protocols: of each metric its defaults, unless protocols of that metric are named.

    Raises ValueError for a metric or a protocol that is not known, and where none is left.
    """
    metrics, protocols = (list(dict.fromkeys(name.strip() for name in words)) for words in (metrics, protocols))
    unknown = [name for name in metrics if name not in defaults]
    if unknown:
        raise ValueError(f"metrics={unknown[0]} (expected some of {', '.join(defaults)})")
    named: dict[str, list[str]] = {}
    for name in protocols:
        named.setdefault(get(name).metric, []).append(name)
    found = [name for metric in metrics for name in named.pop(metric, defaults[metric])]
    found += [name for names in named.values() for name in names]
    if not found:
        raise ValueError("no metric is asked for; give metrics=[…] or protocol=NAME")
    return found
