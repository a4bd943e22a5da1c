"""When columns of several results are one: of equal hashes, against the same reference films, or the same photos.

Columns of one name that are not one have what tells them apart behind their name: `csim#1f3a…`, `psnr#films-9c05…`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from joyvasa.eval.films.pairing import REFERENCE
from joyvasa.eval.films.results import Column, Results
from joyvasa.eval.films.words import MARK, bare, listed
from joyvasa.eval.protocol_hash import comparable, short
from joyvasa.eval.protocols import PHOTO

AGAINST = ("psnr", "ssim", "lpips", "fid", "kid", "fvd", "kvd", "csim")  # metrics that compare with something given
FILMS, PHOTOS = "films", "photos"
OTHERS = {FILMS: "other reference films", PHOTOS: "other photos"}
DIFFERENCES = 6  # of two protocols, shown

Identity = tuple[str, str]  # hash of the protocol, and what `Results.references` says
Names = Mapping[tuple[str, Identity], str]


def references_of(results: Results) -> dict[str, str]:
    """What each column's numbers were measured against: "films-" or "photos-" with a digest of all names and contents.

    "" where there is nothing: lip sync compares a film with its own voice.
    """
    real = {film.key: film.sha256 for film in results.films if film.row == REFERENCE and film.sha256}
    photos = {film.key: film.photo for film in results.films if film.photo}
    digests = {FILMS: _digest(FILMS, real), PHOTOS: _digest(PHOTOS, photos)}
    found = {column.name: digests.get(_against(results, column), "") for column in results.columns}
    return found | results.references


def _against(results: Results, column: Column) -> str:
    if column.metric not in AGAINST:
        return ""
    return PHOTOS if results.stamps[column.digest]["protocol"].get("source") == PHOTO else FILMS


def _digest(kind: str, contents: Mapping[str, str]) -> str:
    told = hashlib.sha256(repr(sorted(contents.items())).encode("utf-8", "backslashreplace"))
    return f"{kind}-{told.hexdigest()}" if contents else ""


def identity(results: Results, column: Column) -> Identity:
    """Of a column of results that hold their `references_of`."""
    return column.digest, results.references[column.name]


def column_names(named: Sequence[tuple[str, Results]]) -> Names:
    """(name without marks, identity) -> name: with the hash where there are several, with the reference likewise."""
    return {(name, each): _marked(name, each, found) for name, found in _found(named).items() for each in found}


def _found(named: Sequence[tuple[str, Results]]) -> dict[str, list[Identity]]:
    found: dict[str, list[Identity]] = {}
    for _, results in named:
        for column in results.columns:
            known, each = found.setdefault(bare(column.name), []), identity(results, column)
            if each not in known:
                known.append(each)
    return found


def _marked(name: str, each: Identity, found: Sequence[Identity]) -> str:
    digests, references = ({side[place] for side in found} for place in (0, 1))
    marks = [short(each[0])] if len(digests) > 1 else []
    marks += [_short(each[1])] if len(references) > 1 and each[1] else []
    return MARK.join([name, *marks])


def _short(reference: str) -> str:
    kind, _, digest = reference.partition("-")
    return f"{kind}-{short(digest)}"


def column_notes(named: Sequence[tuple[str, Results]]) -> list[str]:
    """Why the columns of one name are several."""
    stamps = {digest: stamp for _, results in named for digest, stamp in results.stamps.items()}
    names, notes = column_names(named), []
    for name, (first, *others) in _found(named).items():
        for other in others:
            why = comparable(stamps[first[0]], stamps[other[0]])
            if first[1] != other[1]:
                why.insert(0, OTHERS[(first[1] or other[1]).partition("-")[0]])
            shown = [names[name, each].partition(MARK)[2] or "the unmarked" for each in (first, other)]
            notes.append(f"{name}: {shown[0]} and {shown[1]} may not be compared: {listed(why, DIFFERENCES)}")
    return notes
