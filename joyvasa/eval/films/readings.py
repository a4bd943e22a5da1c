"""What instruments read of films, from the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from joyvasa.eval.films.gauge import Reading
from joyvasa.eval.films.passing import FilmRead
from joyvasa.eval.films.run import Reads
from joyvasa.eval.films.store import Store


def reading_of(store: Store, read: FilmRead, instrument: str) -> Reading:
    """What the instrument read of the film, or why it did not."""
    if instrument in read.faults or read.fault is not None:
        return Reading({}, fault=read.faults.get(instrument, read.fault))
    reading = store.get(read.keys[instrument])
    if reading is None:
        raise OSError(f"{store.folder}: what was read from {read.path} is gone; type the same command again")
    return reading


class LazyReadings(Mapping[str, Reading]):
    """Readings of a row by key, each read from the disk when it is asked for."""

    def __init__(self, store: Store, row: str, instrument: str | None, reads: Reads) -> None:
        self._store, self._instrument = store, instrument
        self._reads = {
            key: films[row]
            for key, films in reads.items()
            if row in films and films[row].fault is None and instrument in films[row].keys
        }

    def __getitem__(self, key: str) -> Reading:
        return reading_of(self._store, self._reads[key], self._instrument)

    def __iter__(self) -> Iterator[str]:
        return iter(self._reads)

    def __len__(self) -> int:
        return len(self._reads)
