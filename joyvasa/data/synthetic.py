"""A corpus that needs no download: speakers with a voice and a manner, speaking random phone sequences.

A clip is one phone sequence that gives both the waveform (`synthetic_voice`) and, through visemes, the motion
(`synthetic_manner`). Bilabials close the lips silently (p, b) or with sound (m), loud vowels can be narrow (iy, uw) and
quiet sounds open (k, h), so that loudness alone does not tell the mouth. The part of the motion that the voice
determines and the phone times are stored with each clip: the ceiling of any score is known.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from joyvasa.data.shard_writer import write_dataset
from joyvasa.data.shards import Clip, DatasetInfo
from joyvasa.data.synthetic_manner import Manner, move
from joyvasa.data.synthetic_phones import utterance
from joyvasa.data.synthetic_voice import Voice, speak
from joyvasa.motion import FPS, SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Corpus:
    """What to make. Speakers are numbered on from the training split, so that no two splits share one."""

    seed: int
    train_speakers: int
    validation_speakers: int
    clips_per_speaker: int
    seconds: float

    def __post_init__(self):
        if min(self.train_speakers, self.validation_speakers, self.clips_per_speaker) < 1:
            raise ValueError("a synthetic corpus needs at least one speaker in each split and one clip a speaker")
        if not 2.0 <= self.seconds <= 60.0:
            raise ValueError(f"seconds={self.seconds}: clips of 2 to 60 s can be made")

    def plan(self) -> list[tuple[str, int, int]]:
        """(split, speaker, clip) of every clip, in order."""
        splits = (("train", 0, self.train_speakers), ("validation", self.train_speakers, self.validation_speakers))
        return [
            (split, speaker, clip)
            for split, first, count in splits
            for speaker in range(first, first + count)
            for clip in range(self.clips_per_speaker)
        ]


def make_clip(corpus: Corpus, split: str, speaker: int, number: int) -> Clip:
    """One clip, a pure function of its arguments."""
    speaker_rng = np.random.default_rng([corpus.seed, speaker])
    voice, manner = Voice.draw(speaker_rng), Manner.draw(speaker_rng)
    rng = np.random.default_rng([corpus.seed, speaker, number + 1])
    frames = round(corpus.seconds * FPS * rng.uniform(0.8, 1.2))
    segments = utterance(frames / FPS, voice.rate, rng)
    audio = speak(segments, voice, frames * SAMPLES_PER_FRAME, rng)
    motion, determined = move(segments, manner, frames, rng)
    source = f"synthetic seed={corpus.seed} speaker={speaker} clip={number}"
    digest = sha256(source.encode()).hexdigest()
    meta = {
        "id": digest[:16],
        "parent": digest[:16],
        "part": 0,
        "speaker": f"synthetic-{corpus.seed}-{speaker:04d}",
        "language": "none",
        "split": split,
        "source": source,
        "source_sha256": digest,
        "frames": frames,
        "extractor": "joyvasa.data.synthetic",
        "quality": {},
        "labels": {},
        "phones": [[round(s.start, 4), round(s.end, 4), s.phone.symbol] for s in segments],
        "sync": {"offset": 0, "confidence": None},
        "licence": "MIT",
        "consent": "synthetic",
    }
    return Clip(key=digest[:16], motion=motion, audio=audio, meta=meta, truth=determined)


def _make(job: tuple) -> Clip:
    return make_clip(*job)


def make_clips(corpus: Corpus, processes: int) -> Iterator[Clip]:
    """All clips in the order of `Corpus.plan`; the same for any number of processes."""
    jobs = [(corpus, *item) for item in corpus.plan()]
    if processes <= 1:
        yield from map(_make, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_make, jobs, chunksize=4)


def write_corpus(folder: Path, corpus: Corpus, *, clips_per_shard: int, processes: int) -> DatasetInfo:
    """Make the corpus and write it as ordinary shards, with a progress bar; `processes` changes only the time."""
    from joyvasa.progress import progress_bar

    made = make_clips(corpus, processes)
    clips = progress_bar(made, total=len(corpus.plan()), what=f"making {folder}", unit="clip")
    return write_dataset(folder, clips, name=folder.name, source=str(corpus), clips_per_shard=clips_per_shard)
