"""The official files of the five networks: which they are, where they lie, what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor

from joyvasa import weights
from joyvasa.unpickle import load_torch
from joyvasa.weight_store import records

FILES = {
    "F": "appearance_feature_extractor.pth",
    "M": "motion_extractor.pth",
    "W": "warping_module.pth",
    "G": "spade_generator.pth",
    "S": "stitching_retargeting_module.pth",
}
ENTRIES = {"human": "liveportrait", "animal": "liveportrait_animals"}
# The networks inside the file of S; whatever else it holds is not used.
RETARGETING = ("retarget_shoulder", "retarget_mouth", "retarget_eye")
WEIGHTS = "weights"


@dataclass(frozen=True)
class Found:
    """A file of part `letter`; entry: the registry's, which the next step of an error names."""

    letter: str
    entry: str
    path: Path
    sha256: str


def entry_of(letter: str, species: str) -> str:
    """The registry's entry that holds a part. Stitching was never trained for animals: theirs is the human one."""
    if species not in ENTRIES:
        raise ValueError(f"species {species!r}: choose from {', '.join(ENTRIES)}")
    return ENTRIES["human"] if letter == "S" else ENTRIES[species]


def find(which: str | Path, letter: str, species: str) -> Found:
    """The file of a part: the registry's where `which` is "weights", else in that folder, in the official layout.

    Raises FileNotFoundError saying what is missing and what to type.
    """
    entry, name = entry_of(letter, species), FILES[letter]
    if which == WEIGHTS:
        path = weights.file(entry, name)
        return Found(letter, entry, path, records(weights.get(entry))[name].sha256)
    folder, inside = Path(which).expanduser(), PurePosixPath(weights.get(entry).file(name).path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder (expected one with LivePortrait's files in the official layout); type `weights` "
            "for those of the registry, `random:SEED` for random ones"
        )
    # The folder of the official repository, or the species' folder inside it.
    candidates = [folder / inside, folder / PurePosixPath(*inside.parts[1:])]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder}: no {inside} in it (expected the official layout); python -m joyvasa.weights pull {entry} gets "
            "the file, `weights` in place of the folder uses it"
        )
    return Found(letter, entry, path, weights.sha256_of(path))


def read_state(file: Found) -> dict[str, Tensor]:
    """The tensors of a file by name; those of S with the name of their network in front.

    Raises ValueError naming a file that holds something else.
    """
    content = load_torch(file.path)
    if file.letter == "S":
        missing = [name for name in RETARGETING if not isinstance(_get(content, name), dict)]
        if missing:
            raise _wrong(file, f"no state dict {', '.join(missing)} in it (expected {', '.join(RETARGETING)})")
        content = {f"{name}.{key}": tensor for name in RETARGETING for key, tensor in content[name].items()}
    if not isinstance(content, dict) or not content or not all(isinstance(each, Tensor) for each in content.values()):
        found = f"entries {', '.join(sorted(map(str, content))[:4])}" if isinstance(content, dict) else "no dict"
        raise _wrong(file, f"{found} (expected a state dict of tensors)")
    return content


def _get(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, dict) else None


def _wrong(file: Found, problem: str) -> ValueError:
    return ValueError(f"{file.path}: {problem}; {next_step(file)}")


def next_step(file: Found) -> str:
    return f"expected {file.path.name} of LivePortrait: python -m joyvasa.weights pull {file.entry}"
