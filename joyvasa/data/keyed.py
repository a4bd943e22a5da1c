"""Keyed randomness: what is drawn for an example depends on its name alone.

Crop, noise, diffusion step, truncation and guidance dropout of an example derive from (seed, epoch, example id), so
that neither rank, worker, batch size nor the order of reading changes them.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

WORD = 0xFFFF_FFFF


def stable_hash(text: str) -> int:
    """64-bit hash of a string, the same in every process and on every machine (unlike `hash`)."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def generator(seed: int, epoch: int, *ids: int | str) -> np.random.Generator:
    """A Philox generator keyed by (seed, epoch, ids).

    Integers must lie in [0, 2^64). Raises ValueError otherwise.
    """
    words: list[int] = []
    for part in (seed, epoch, *ids):
        value = stable_hash(part) if isinstance(part, str) else int(part)
        if not 0 <= value < 1 << 64:
            raise ValueError(f"random key {part!r} is outside [0, 2^64); use a non-negative seed, epoch and id")
        # Always two words: otherwise (2^32,) and (0, 1) would be the same entropy.
        words += [value & WORD, value >> 32]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
