"""Who speaks in which clip, from what there is: metadata, faces, folders, or the files themselves.

Splits are made by speaker, and a voice in two splits would be judged by models that know it. So a clip that may be of
one of several speakers ties them: they keep their names and share one split. What cannot be known without faces is a
guess that the report tells: each folder, or each file, counts as one person. No name depends on the order of the files.

U units (a face followed through one shot), E numbers of an embedding.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from preprocess.report import Report
from preprocess.tables import nfc

WAYS = ("auto", "metadata", "faces", "folder", "file")
PICTURES = 4  # of one shot, all of one face: more would say the same
SHOWN = 3  # names of a list
BLOCK = 256  # rows of the table of cosines that are held at once
# Folders that say what films are for, and not who is in them, as data sets have them.
PURPOSES = ("train", "training", "trainval", "pretrain", "val", "valid", "validation", "dev", "eval", "test", "testing")
PULL = "python -m joyvasa.weights pull insightface"

# A JPEG -> (E,) of length 1, or None where no face is seen in it.
Embedder = Callable[[bytes], np.ndarray | None]
Unit = tuple[str, int]  # source, parent


@dataclass(frozen=True)
class ClipFacts:
    """What a clip's speaker is found by.

    key: names the clip. source, sha256, folder: of its file, as in records.Source and records.Probed. parent: the shot
    in that file. speaker: of the metadata. picture: gives the reference picture as JPEG bytes when it is asked for.
    """

    key: str
    source: str
    sha256: str
    folder: str
    parent: int
    speaker: str | None
    picture: Callable[[], bytes]


@dataclass(frozen=True)
class Named:
    """speakers: of every clip, by its key. together: groups of speakers, each in rising order, that may be one person
    and have to be in one split; a speaker may be in several."""

    speakers: dict[str, str]
    together: tuple[tuple[str, ...], ...]


def name_speakers(
    clips: Sequence[ClipFacts], how: str, embed: Embedder | None, report: Report, *, same_face: float
) -> Named:
    """How every clip's speaker is called, and who has to share a split.

    how: one of WAYS. "auto" takes the metadata's speaker; where there is none, the face, if there is an embedder; else
    the folder, if films lie in several; else the file. Any other takes that alone, and the file where it says nothing.
    A clip without a name belongs to the only speaker known in its film, else in its folder.
    same_face: cosine from which two faces are one person's. Every fallback is remarked on.
    Raises ValueError for another `how`, and for "faces" without an embedder.
    """
    if how not in WAYS:
        raise ValueError(f"source.speaker={how} (expected one of {', '.join(WAYS)})")
    if how == "faces" and embed is None:
        raise ValueError(f"source.speaker=faces: the networks that tell faces apart are missing; type `{PULL}`")
    said = {clip.key: plain(clip.speaker) for clip in clips if clip.speaker} if how in ("auto", "metadata") else {}
    found, ties = dict(said), set[tuple[str, ...]]()
    folders = by_folder(clips) if how in ("auto", "folder") else {}
    files = {clip.key: by_file(clip.source) for clip in clips}
    if how in ("auto", "faces") and embed is not None and len(said) < len(clips):
        faces = by_face(clips, said, embed, report, same_face=same_face)
        found |= faces.speakers
        ties |= {*faces.together, *_unseen(said, faces, (folders, files))}
    place(clips, files, found, ties, report, known=True)
    faceless = "no face seen" if embed else f"no face embeddings: type `{PULL}`"
    why = {"auto": f"no metadata, {faceless}", "metadata": "no metadata", "faces": faceless}.get(how, "")
    placed = place(clips, folders, found, ties, report, known=False)
    if doubts := "; ".join(filter(None, [why, _nested(clips, folders)] if folders else [])):
        _tell("folder", placed, doubts, report)
    placed = place(clips, files, found, ties, report, known=False)
    if how != "file":
        none = "no folder of its own" if how in ("auto", "folder") else ""
        _tell("file", placed, ", ".join(filter(None, [why, none])), report)
    return Named(found, tuple(sorted(ties)))


def plain(name: str) -> str:
    """A name in one line of signs that can be seen: the others are spelt out."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in nfc(name).strip())


def by_file(source: str) -> str:
    """A file's name without its ending: two formats of one film are one speaker."""
    return plain(str(PurePosixPath(source).with_suffix(""))) or plain(source)


def by_folder(clips: Sequence[ClipFacts]) -> dict[str, str]:
    """Clip key -> the folder in which all of a speaker's films lie, for those in a folder of their own.

    It is the first one below what all folders share: `id1/interview/1.mp4` and `id2/news/1.mp4` are of id1 and id2.
    Folders called as PURPOSES say nothing: `train/id1/1.mp4` and `test/id2/1.mp4` are of id1 and id2, too.
    """
    parts, depth = _parts(clips)
    return {
        clip.key: plain("/".join(parts[clip.folder][: depth + 1])) for clip in clips if len(parts[clip.folder]) > depth
    }


def _parts(clips: Sequence[ClipFacts]) -> tuple[dict[str, tuple[str, ...]], int]:
    """Folder of a film -> the folders in which it lies, but for PURPOSES; and how many of them all films share."""
    whole = {clip.folder: PurePosixPath(clip.folder).parts for clip in clips}
    parts = {name: tuple(part for part in each if part.lower() not in PURPOSES) for name, each in whole.items()}
    return parts, len(os.path.commonprefix(list(parts.values())))


def _nested(clips: Sequence[ClipFacts], folders: dict[str, str]) -> str:
    """The folders that count as people, in words, where films lie in folders below: those may be the people."""
    parts, depth = _parts(clips)
    deeper = {folders[clip.key] for clip in clips if len(parts[clip.folder]) > depth + 1}
    found = _few(set(folders.values()))
    return f"they are {found}; films lie in folders below {_few(deeper)}, where others may be meant" if deeper else ""


def place(
    clips: Sequence[ClipFacts],
    places: dict[str, str],
    found: dict[str, str],
    ties: set[tuple[str, ...]],
    report: Report,
    *,
    known: bool,
) -> list[ClipFacts]:
    """Name the clips that `found` lacks after their place, and give them.

    The only speaker found in a place has its unnamed clips too. Of several, any may be theirs: they are called after
    the place and tied with all of those. known: leave places where nobody is found.
    """
    there: dict[str, set[str]] = defaultdict(set)
    unnamed: dict[str, list[ClipFacts]] = defaultdict(list)
    for clip in clips:
        if clip.key in found and clip.key in places:
            there[places[clip.key]].add(found[clip.key])
        elif clip.key in places:
            unnamed[places[clip.key]].append(clip)
    chosen = {where: members for where, members in sorted(unnamed.items()) if there[where] or not known}
    for where, members in chosen.items():
        (speaker,) = there[where] if len(there[where]) == 1 else [where]
        found |= {clip.key: speaker for clip in members}
        if len(there[where]) > 1:
            names = tuple(sorted({*there[where], where}))
            ties.add(names)
            films = len({clip.source for clip in members})
            reason = f"{len(members)} clips of {films} files may be of {_few(there[where])}: all of these in one split"
            report.remark(where, "may be of several", f"{reason}; name these files in the metadata to tell them apart")
    return [clip for members in chosen.values() for clip in members]


def by_face(
    clips: Sequence[ClipFacts], said: dict[str, str], embed: Embedder, report: Report, *, same_face: float
) -> Named:
    """Speakers of the clips in whose shots a face is seen.

    Faces form chains of likeness (single linkage): who is like anybody of a group belongs to it. A group with one name
    among its clips takes that; otherwise it is called after the bytes of its first member, whatever that file is
    called. Clips that `said` names keep their names; where a group has several, its other clips tie them.
    """
    units: dict[Unit, list[ClipFacts]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: clip.key):
        units[clip.source, clip.parent].append(clip)
    means = {unit: mean for unit in sorted(units) if (mean := _mean_face(units[unit], embed)) is not None}
    speakers: dict[str, str] = {}
    ties: list[tuple[str, ...]] = []
    for group in _alike(means, same_face):
        members = [clip for unit in group for clip in units[unit]]
        names = sorted({said[clip.key] for clip in members if clip.key in said})
        first = min(f"{clip.sha256} {clip.parent}" for clip in members)
        speaker = names[0] if len(names) == 1 else f"face-{hashlib.sha256(first.encode()).hexdigest()[:12]}"
        unnamed = [clip for clip in members if clip.key not in said]
        speakers |= {clip.key: said.get(clip.key, speaker) for clip in members}
        if len(names) > 1 and unnamed:
            ties.append(tuple(sorted([*names, speaker])))
            reason = f"one face by its likeness, but the metadata has {_few(names)}; {len(unnamed)} clips without"
            report.remark(speaker, "names differ", f"{reason} a name are {speaker}, all of these in one split")
    return Named(speakers, tuple(ties))


def _unseen(said: dict[str, str], faces: Named, ways: Sequence[dict[str, str]]) -> set[tuple[str, ...]]:
    """Speakers to tie: whom the metadata names and no clip shows may be any face without a name in the same place."""
    named = set(said.values())
    hidden = named - {said[key] for key in faces.speakers if key in said}
    strangers = {key: name for key, name in faces.speakers.items() if name not in named}
    maybe = strangers | {key: name for key, name in said.items() if name in hidden}
    ties: set[tuple[str, ...]] = set()
    for places in ways if hidden else ():
        there: dict[str, set[str]] = defaultdict(set)
        for key in maybe.keys() & places.keys():
            there[places[key]].add(maybe[key])
        ties |= {tuple(sorted(names)) for names in there.values() if hidden & names and names - hidden}
    return ties


def _mean_face(clips: Sequence[ClipFacts], embed: Embedder) -> np.ndarray | None:
    """(E,) of length 1 over pictures of a shot; None where no face is seen in any."""
    chosen = sorted({round(place) for place in np.linspace(0, len(clips) - 1, PICTURES)})
    seen = [face for at in chosen if (face := embed(clips[at].picture())) is not None]
    if not seen:
        return None
    mean = np.mean(np.asarray(seen, np.float64), axis=0)
    return (mean / max(np.linalg.norm(mean), np.finfo(np.float32).tiny)).astype(np.float32)


def _alike(means: dict[Unit, np.ndarray], same_face: float) -> list[list[Unit]]:
    """Groups of units, each in rising order, by a cosine of at least `same_face`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not means:
        return []
    units, faces_UE = list(means), np.stack(list(means.values()))
    label_U = np.arange(len(units))
    for start in range(0, len(units), BLOCK):
        row, column = np.nonzero(faces_UE[start : start + BLOCK] @ faces_UE[start:].T >= same_face)
        ends = label_U[row + start], label_U[column + start]
        _, merged = connected_components(
            coo_matrix((np.ones(len(row), bool), ends), shape=(len(units),) * 2), directed=False
        )
        label_U = merged[label_U]
    groups: dict[int, list[Unit]] = defaultdict(list)
    for unit, label in zip(units, label_U.tolist(), strict=True):
        groups[label].append(unit)
    return list(groups.values())


def _tell(what: str, clips: Sequence[ClipFacts], why: str, report: Report) -> None:
    """Remark on clips whose speaker is a guess by place."""
    if clips:
        files = len({clip.source for clip in clips})
        reason = f"each {what} counts as one for {len(clips)} clips of {files} files ({why})"
        report.remark("speakers", f"speaker by {what}", reason)


def _few(names: Collection[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:SHOWN]) + (f" and {len(some) - SHOWN} more" if len(some) > SHOWN else "")
