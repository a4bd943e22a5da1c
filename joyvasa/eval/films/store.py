"""Readings on disk, by content: what was read from a film once is not read again, whatever the film is called."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from joyvasa.eval.films.gauge import Reading, packed, unpacked
from joyvasa.io.files import replacing

# What numpy and zipfile raise for bytes that are not those written.
DAMAGED = (OSError, EOFError, KeyError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Store:
    """A folder of .npz files. Several processes may write into it; a file that a crash cut off counts as absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.npz"

    def has(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> Reading | None:
        try:
            with np.load(self.path(key), allow_pickle=False) as arrays:
                return unpacked(dict(arrays))
        except PermissionError:
            raise
        except DAMAGED:
            return None

    def put(self, key: str, reading: Reading) -> None:
        path = self.path(key)
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **packed(reading))
