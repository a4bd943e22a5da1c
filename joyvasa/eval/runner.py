"""Sample a generator on clips it has never seen and score it beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from joyvasa.data.feature_groups import FeatureGroup, voice_group
from joyvasa.data.keyed import stable_hash
from joyvasa.data.shards import Clip, ClipEntry, DatasetInfo
from joyvasa.eval.baselines import LEAST_CLIPS, fit_baselines
from joyvasa.eval.beats import beat_rows
from joyvasa.eval.motion import ClipMotion, MotionReference, Score, score_rows
from joyvasa.models.generation import Guidance, Temperature, Voice, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.samplers import Sampler
from joyvasa.models.smoothing import Smoothing

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sampling:
    """Everything that decides a sample but the weights and the voice."""

    sampler: Sampler
    guidance: Guidance
    windowing: Windowing
    temperature: Temperature
    smoothing: Smoothing
    seed: int
    batch_size: int

    def seed_of(self, key: str) -> int:
        """A clip's own seed, the same whatever is sampled beside it."""
        return stable_hash(f"{self.seed} {key}") % 2**63


def sample(
    generator: MotionGenerator, voices: dict[str, np.ndarray | Voice], how: Sampling, on_batch: Progress | None = None
) -> dict[str, np.ndarray]:
    """Motion (T, 70) by key for voices (640 T,) by key, in batches of similar length."""
    order = sorted(voices, key=lambda key: (len(voices[key]), key))
    out: dict[str, np.ndarray] = {}
    for first in range(0, len(order), how.batch_size):
        keys = order[first : first + how.batch_size]
        motions = generator.generate(
            [voices[key] for key in keys],
            seeds=[how.seed_of(key) for key in keys],
            sampler=how.sampler,
            guidance=how.guidance,
            windowing=how.windowing,
            temperature=how.temperature,
            smoothing=how.smoothing,
        )
        out |= dict(zip(keys, motions, strict=True))
        if on_batch:
            on_batch(len(out), len(order))
    return {key: out[key] for key in voices}


def cached_voices(
    generator: MotionGenerator, dataset: DatasetInfo, asked: str | None, how: Sampling
) -> tuple[FeatureGroup | None, str]:
    """The cached features of whole clips to sample from where `data.features` asks for cached ones, and what to say.

    None where voices have to be encoded: nothing is said then where nothing was asked for.
    """
    encoder = generator.encoder
    group = voice_group(dataset, asked, encoder.spec) if asked and how.windowing.lead == 0 else None
    if group or not asked:
        return group, f"voices heard from {dataset.folder / group.name}" if group else ""
    reason = "each window by itself" if encoder.per_window else "no whole-clip features of it serve here"
    return None, f"voices encoded by {encoder.spec.encoder} ({reason})"


def choose_clips(dataset: DatasetInfo, split: str, count: int, features: FeatureGroup | None = None) -> list[Clip]:
    """The first `count` clips of a split, speaker after speaker in turn, so that few clips still are many speakers;
    with their cached features."""
    by_speaker: dict[str, list] = {}
    for entry in sorted(dataset.entries(split), key=lambda entry: entry.key):
        by_speaker.setdefault(entry.speaker, []).append(entry)
    rounds = max(map(len, by_speaker.values()))
    turns = [entries[turn] for turn in range(rounds) for entries in by_speaker.values() if turn < len(entries)]
    return [replace(entry.load(), features=features and features.clip(entry)) for entry in turns[:count]]


def is_paired(clip: Clip) -> bool:
    """Whether the recorded face spoke with the clip's voice: so unless the data says `paired: false`."""
    return clip.meta.get("paired") is not False


def voice_of(clip: Clip) -> np.ndarray | Voice:
    """What a clip is sampled from: its sound, with the features where it has them."""
    return clip.audio if clip.features is None else Voice(clip.audio, clip.features)


def own_voices(clips: Sequence[Clip]) -> dict[str, np.ndarray | Voice]:
    """Each clip's voice by key."""
    return {clip.key: voice_of(clip) for clip in clips}


def other_voices(clips: Sequence[Clip]) -> dict[str, np.ndarray | Voice]:
    """For each clip the voice of the next clip by another speaker; clips without one are left out, and so are those
    whose own voice is another's already."""
    out = {}
    for index, clip in enumerate(clips):
        if not is_paired(clip):
            continue
        for step in range(1, len(clips)):
            candidate = clips[(index + step) % len(clips)]
            if candidate.meta["speaker"] != clip.meta["speaker"]:
                out[clip.key] = voice_of(candidate)
                break
    return out


def clip_motions(
    clips: Sequence[Clip], motions: dict[str, np.ndarray], others: dict[str, np.ndarray], windowing: Windowing
) -> list[ClipMotion]:
    """Generated motion beside what is known of each clip."""
    return [
        ClipMotion(
            key=clip.key,
            truth=clip.motion,
            determined=clip.truth,
            generated=motions[clip.key],
            other=others.get(clip.key),
            phones=[tuple(phone) for phone in clip.meta["phones"]] if clip.meta.get("phones") else None,
            joins=windowing.joins(len(clip.motion)),
            paired=is_paired(clip),
        )
        for clip in clips
    ]


@dataclass(frozen=True)
class Evaluation:
    """Scores by row and metric, the motions they were taken from, and why rows are missing where they are."""

    rows: dict[str, dict[str, Score]]
    clips: list[Clip]
    motions: list[ClipMotion]
    remarks: list[str]


def evaluate(
    generator: MotionGenerator, dataset: DatasetInfo, clips: Sequence[Clip], how: Sampling, on_batch: Progress | None
) -> Evaluation:
    """The model's row, another voice's, the ceiling's and every baseline's, on `clips`.

    The lips' principal directions, the scales and the baselines are fitted on the dataset's training split.
    """
    train = dataset.entries("train")
    reference = MotionReference.fit(entry.motion() for entry in train)
    voices, strangers = own_voices(clips), other_voices(clips)
    total = len(voices) + len(strangers)

    def progress(before: int) -> Progress | None:
        return on_batch and (lambda done, _: on_batch(before + done, total))

    own = sample(generator, voices, how, progress(0))
    others = sample(generator, strangers, replace(how, seed=how.seed + 1), progress(len(voices)))
    motions = clip_motions(clips, own, others, how.windowing)
    rows, remarks = {}, []
    if len(train) < LEAST_CLIPS:
        remarks.append(f"no baseline rows: {len(train)} training clip ({LEAST_CLIPS} needed)")
    else:
        rows = predict_baselines(train, clips)
    scores = score_rows(motions, rows, reference, how.seed)
    for name, beats in beat_rows(motions, [clip.audio for clip in clips], reference, how.seed).items():
        scores[name] |= beats
    return Evaluation(scores, list(clips), motions, remarks)


def predict_baselines(train: Sequence[ClipEntry], clips: Sequence[Clip]) -> dict[str, dict[str, np.ndarray]]:
    """Motion by baseline and clip key, the baselines fitted on the training clips."""
    baselines = fit_baselines((entry.audio(), entry.motion()) for entry in train)
    predicted = {clip.key: baselines.predict(clip.audio) for clip in clips}
    names = next(iter(predicted.values())).keys()
    return {name: {key: rows[name] for key, rows in predicted.items()} for name in names}
