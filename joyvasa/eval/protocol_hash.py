"""What a number was measured by, as one hash: protocol, weights of its judges, and the way of the pixels and the sound.

    hash = sha256(JSON of {protocol, weights, decode_path}), keys sorted, floats by repr, records with their class

The same from a record and from the results file that holds it. Numbers of different hashes do not stand in one column.
Versions of libraries (`Environment`) stand beside: they may change digits, so a difference is a warning.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import platform
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from importlib import metadata
from typing import Any, Union, get_args, get_origin, get_type_hints

CLASS = "class"  # no field can be called so
TRAINED, RANDOM = re.compile(r"[0-9a-f]{64}"), re.compile(r"random:(0|[1-9]\d*)")
UNTRAINED = "-untrained"
SHORT = 12  # digits of a hash printed beside a number
ABSENT = "absent"
LIBRARIES = (
    "joyvasa", "av", "decord", "insightface", "lightning", "numpy", "onnxruntime", "opencv-python", "scipy", "soxr",
    "torch", "torchmetrics",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of what is hashed: frozen dataclasses of bool, int, float, str, None, tuples, and of frozen dataclasses.

    Raises ValueError for a value of another type than its field's, and for floats that are not finite.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            if not _fits(value, hint):
                wanted = getattr(hint, "__name__", str(hint))
                raise ValueError(f"{type(self).__name__}.{name}: {value!r} (expected {wanted}); give a value of it")


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return type(value) is tuple and all(_fits(each, get_args(hint)[0]) for each in value)
    if hint is float:
        return type(value) in (float, int) and math.isfinite(value)
    return isinstance(value, hint) if is_dataclass(hint) else type(value) is hint


def plain(value: Any, hint: Any = None) -> Any:
    """A record as JSON has it: dictionaries with the class's name, and lists. Equal records give the same text."""
    if is_dataclass(value):
        hints = _hints(type(value))
        return {CLASS: type(value).__name__, **{name: plain(getattr(value, name), hints[name]) for name in hints}}
    if isinstance(value, tuple):
        return [plain(each, get_args(hint)[0]) for each in value]
    # 100 and 100.0 are equal, 0.0 and -0.0 too, but not as text.
    return float(value) + 0.0 if hint is float else value


@dataclass(frozen=True, kw_only=True)
class Network(Record):
    """A judge or a detector, and how pixels or sound become its input.

    entry, files: in the registry of weights; their sha256 enters the hash. layer, features: what is read, and how many
    numbers. side: pixels of the square input, None for any size. resize, scale: how, and to what range of values.
    norm_eps: of its batch norms, where files of the same names are made for another.
    """

    entry: str
    files: tuple[str, ...]
    layer: str
    features: int | None
    side: int | None
    resize: str
    scale: str
    norm_eps: float | None

    @property
    def key(self) -> str:
        """As whose weights its sha256 is given."""
        return f"{self.entry}/{'+'.join(self.files)}"


@dataclass(frozen=True, kw_only=True)
class DecodePath(Record):
    """How pixels and sound get from the files to the protocol. In words: each names one fixed way of the code.

    decoder: of the films; colours: how its planes become RGB; rate: how films of another rate are brought to the
    protocol's; crops: what lies between crop and judge (nothing, or a codec); sound: how it becomes 16 kHz mono.
    """

    decoder: str
    colours: str
    rate: str
    crops: str
    sound: str


@dataclass(frozen=True, kw_only=True)
class Protocol(Record):
    """Every parameter of a metric. metric: what is measured; name: this way of it.

    revision: raised when the code gives other numbers for the same parameters.
    """

    metric: str
    name: str
    revision: int

    @property
    def networks(self) -> tuple[Network, ...]:
        """All whose weights enter the hash, each once, in the order of the fields."""
        return tuple(dict.fromkeys(_networks(self)))

    def stamp(self, weights_sha256: Mapping[str, str], decode_path: DecodePath) -> dict[str, Any]:
        """What is hashed, as plain JSON: to be written beside the numbers.

        weights_sha256: for each of `networks`, by its key, the judge's sha256, or "random:SEED". Raises ValueError
        for one too few or too many, and for anything else than these two.
        """
        wanted = {network.key for network in self.networks}
        if set(weights_sha256) != wanted:
            raise ValueError(
                f"{self.name}: weights of {sorted(weights_sha256) or 'nothing'} "
                f"(expected of {sorted(wanted) or 'nothing'}); give one sha256 or random:SEED for each network"
            )
        for key, value in weights_sha256.items():
            if not (TRAINED.fullmatch(value) or RANDOM.fullmatch(value)):
                raise ValueError(f"{self.name}: weights of {key}: {value!r} (expected a file's sha256 or random:SEED)")
        return {"protocol": plain(self), "weights": dict(weights_sha256), "decode_path": plain(decode_path)}

    def hash(self, weights_sha256: Mapping[str, str], decode_path: DecodePath) -> str:
        """sha256 (64 digits) of the stamp. Raises ValueError as `stamp`."""
        return hash_of(self.stamp(weights_sha256, decode_path))

    def column(self, weights_sha256: Mapping[str, str]) -> str:
        """Name of its column in a report: ends in -untrained where a network's weights are random."""
        name = self.name if self.name == self.metric else f"{self.metric}/{self.name}"
        return name + (UNTRAINED if any(RANDOM.fullmatch(value) for value in weights_sha256.values()) else "")


def _networks(value: Any) -> Iterator[Network]:
    if isinstance(value, Network):
        yield value
    elif is_dataclass(value):
        for name in _hints(type(value)):
            yield from _networks(getattr(value, name))


def hash_of(stamp: Mapping[str, Any]) -> str:
    """sha256 of a stamp, fresh or read back from a results file."""
    text = json.dumps(stamp, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def short(digest: str) -> str:
    """What is printed beside a number."""
    return digest[:SHORT]


def comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Why numbers of two stamps may not stand in one column, a line for each difference; none where they may."""
    return list(_differences(one, other, ""))


def _differences(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.get(CLASS) == other.get(CLASS):
        for name in sorted(one.keys() | other.keys()):
            at = f"{where}.{name}" if where else name
            yield from _differences(one.get(name, ABSENT), other.get(name, ABSENT), at)
    elif json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        yield f"{where}: {_said(one)} and {_said(other)}"


def _said(value: Any) -> str:
    return str(value[CLASS]) if isinstance(value, Mapping) and CLASS in value else repr(value)


@dataclass(frozen=True, kw_only=True)
class Environment(Record):
    """Where a number was computed. libraries: "name version", or "name absent"; FFmpeg's too, which PyAV brings."""

    python: str
    platform: str
    processor: str
    accelerator: str
    libraries: tuple[str, ...]


def environment() -> Environment:
    """Of this process."""
    import av
    import torch

    ffmpeg = (f"{name} {'.'.join(map(str, version))}" for name, version in sorted(av.library_versions.items()))
    return Environment(
        python=platform.python_version(),
        platform=f"{sys.platform} {platform.release()}",
        processor=platform.machine(),
        accelerator=torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        libraries=(*(f"{name} {_version(name)}" for name in LIBRARIES), *ffmpeg),
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT


def environment_warnings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """How two environments, as `plain` gives them, differ: to be shown, never a reason to refuse."""
    found = list(_differences({**one, "libraries": None}, {**other, "libraries": None}, ""))
    changed = sorted(set(one["libraries"]) ^ set(other["libraries"]))
    return found + ([f"libraries: {', '.join(changed)}"] if changed else [])
