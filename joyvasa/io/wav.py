"""The parts of a WAV file: recordings that were joined byte by byte lie one behind the other in one file.

Both decoders stop at the end of the first part. This module only finds the parts; libsndfile reads them.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PLACEHOLDER_BYTES = 0x7FFF0000  # of samples, from which on a header was written before their number was known
RIFF = b"RIFF"


@dataclass(frozen=True)
class WavPart:
    """begin, end: in the file, in bytes. stated, there: bytes of samples by the header, and in the file; stated is None
    where the header holds a placeholder: nought, or 2 GB and more."""

    begin: int
    end: int
    stated: int | None
    there: int


def wav_parts(path: Path) -> list[WavPart]:
    """The WAVs in a file, in order; none for another file."""
    parts: list[WavPart] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = 0
        while (part := _part(file, begin, size)) is not None:
            parts.append(part)
            begin = part.end
    return parts


def _part(file: BinaryIO, begin: int, size: int) -> WavPart | None:
    """The WAV that begins at a byte; None where none does."""
    file.seek(begin)
    head = file.read(12)
    if head[:4] != RIFF or head[8:] != b"WAVE":
        return None
    while len(chunk := file.read(8)) == 8 and chunk[:4] != b"data":
        _skip(file, chunk)
    if len(chunk) < 8:
        return None
    stated = int.from_bytes(chunk[4:], "little")
    start = file.tell()
    if stated == 0 or stated >= PLACEHOLDER_BYTES:
        return WavPart(begin, size, None, size - start)
    if start + stated > size:
        return WavPart(begin, size, stated, size - start)
    _skip(file, chunk)
    while len(chunk := file.read(8)) == 8:
        if chunk[:4] == RIFF:
            return WavPart(begin, file.tell() - 8, stated, stated)
        _skip(file, chunk)
    return WavPart(begin, size, stated, stated)


def _skip(file: BinaryIO, chunk: bytes) -> None:
    length = int.from_bytes(chunk[4:], "little")
    file.seek(length + length % 2, os.SEEK_CUR)


class Window(io.RawIOBase):
    """Bytes [begin, end) of an open file, as a file of their own."""

    def __init__(self, file: BinaryIO, begin: int, end: int):
        super().__init__()
        self._file = file
        self._begin = begin
        self._end = end
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end - self._begin}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer) -> int:
        self._file.seek(self._begin + self._at)
        wanted = max(0, min(len(buffer), self._end - self._begin - self._at))
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
