"""Large files over HTTP: resumable, checked, never half written under their final name.

A download grows in NAME.part; NAME.part.json beside it says which version of the file it holds (the server's ETag or
date, and the whole size), so that a later call goes on only with the same version.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0
FRUITLESS_TRIES = 4  # in a row; a try that brought bytes starts the count again
PAUSE_SECONDS = 1.0
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
PASSING = (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
AGENT = "joyvasa-weights"


class DownloadError(OSError):
    """A file could not be had, or is not the expected one."""


class WrongFile(DownloadError):
    """What came is not what was expected."""


class _Restart(Exception):
    """The bytes of the .part belong to another version of the file."""


def sha256_of(path: Path | str) -> str:
    """Hash of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(url: str, target: Path, *, size: int | None, sha256: str | None) -> str:
    """Fetch `url` into `target` and return its sha256; goes on with what an interrupted call left in NAME.part.

    Raises DownloadError for no network or a refusal of the server, and then the .part stays; WrongFile, with the .part
    deleted, for another size or hash than given.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: not an http(s) address")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    _fetch(url, part, size)
    got, length = sha256_of(part), part.stat().st_size
    if size is not None and length != size:
        _forget(part)
        raise WrongFile(f"{url}: {length} bytes came (expected {size}); the download was deleted, try again later")
    if sha256 is not None and got != sha256:
        _forget(part)
        raise WrongFile(f"{url}: sha256 {got} (expected {sha256}); the download was deleted, try again later")
    with open(part, "rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)
    _version_file(part).unlink(missing_ok=True)
    return got


def unpack(archive: Path, wanted: dict[str, Path]) -> list[str]:
    """Write members of a zip, found by file name, to `wanted[name]`; returns the names found.

    Only these targets are written, whatever paths the archive holds. Raises ValueError naming the archive.
    """
    found = []
    try:
        with zipfile.ZipFile(archive) as bundle:
            for member in bundle.infolist():
                name = member.filename.rsplit("/", 1)[-1]
                if name in wanted and name not in found:
                    found.append(name)
                    with bundle.open(member) as source, open(wanted[name], "wb") as sink:
                        shutil.copyfileobj(source, sink, BLOCK_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: not a whole zip archive ({error}); get it again") from error
    return found


def _fetch(url: str, part: Path, size: int | None) -> None:
    """Bring `part` to its whole length, over as many connections as it takes."""
    fruitless, furthest = 0, _length(part)
    while True:
        try:
            _transfer(url, part, size)
            return
        except _Restart:
            _forget(part)
            reason = "the server holds another version than the interrupted download"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code not in PASSING_STATUS:
                raise DownloadError(f"{url}: {reason}") from error
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except PASSING as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
        fruitless = 0 if _length(part) > furthest else fruitless + 1
        furthest = max(furthest, _length(part))
        if fruitless >= FRUITLESS_TRIES:
            raise DownloadError(f"{url}: no answer after {FRUITLESS_TRIES} tries ({reason})")
        time.sleep(PAUSE_SECONDS * fruitless)


def _transfer(url: str, part: Path, size: int | None) -> None:
    """One connection: append to `part` what is missing. Returns only when the file is whole."""
    start, begun = _length(part), _begun(part)
    if start and begun.get("size") == start:
        return  # whole already, only not yet checked and renamed
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing lies behind the end of the .part
            raise _Restart from error
        raise
    with closing(answer):
        resumed = answer.status == 206
        if resumed and not (_first_byte(answer) == start and begun.get("mark") and begun == _version(answer)):
            raise _Restart
        total = _total(answer)
        if size is not None and total not in (None, size):
            _forget(part)
            raise WrongFile(f"{url}: the server offers {total} bytes (expected {size}); wrong or changed file")
        _version_file(part).write_text(json.dumps(_version(answer)), encoding="utf-8")
        with open(part, "ab" if resumed else "wb") as sink:
            _copy(answer, sink, start if resumed else 0, total, part.name.removesuffix(".part"))
    if total is not None and _length(part) != total:
        raise ConnectionError(f"the connection closed after {_length(part)} of {total} bytes")


def _copy(answer: BinaryIO, sink: BinaryIO, start: int, total: int | None, name: str) -> None:
    from tqdm import tqdm

    with tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=None) as bar:
        while block := answer.read(BLOCK_BYTES):
            sink.write(block)
            bar.update(len(block))


def _total(answer: Any) -> int | None:
    """Size of the whole file as the server states it, None where it does not."""
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", answer.headers.get("Content-Range", ""))
    if whole:
        return int(whole[1])
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _first_byte(answer: Any) -> int | None:
    span = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(span[1]) if span else None


def _version(answer: Any) -> dict[str, Any]:
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return {"mark": mark, "size": _total(answer)}


def _begun(part: Path) -> dict[str, Any]:
    """The version `part` was begun with; empty where nothing readable says so."""
    try:
        begun = json.loads(_version_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return begun if isinstance(begun, dict) else {}


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)
