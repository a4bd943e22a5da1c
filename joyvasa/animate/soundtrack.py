"""What a film sounds like: the voice as it was recorded, the source video's own sound, or both together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from joyvasa.media import load_audio
from joyvasa.motion import SAMPLE_RATE
from joyvasa.video import Sound, load_sound

VOICE, ORIGINAL, BOTH = "voice", "original", "both"
SOUNDS = (VOICE, ORIGINAL, BOTH)
NATIVE_SECONDS = 600  # of stereo at 48 kHz are 230 MB
SHORTENED = f"sound of more than {NATIVE_SECONDS // 60} minutes is kept at 16 kHz mono, to save memory"


def soundtrack(voice: Path, video: Path | None, sound: str, seconds: float) -> tuple[Sound, tuple[str, ...]]:
    """The sound of a film of this length and notes on it; the film's writer cuts or pads it.

    Raises ValueError for a sound that there is not, a photo's or a silent video's own.
    """
    if sound not in SOUNDS:
        raise ValueError(f"animate.sound={sound} (expected one of {', '.join(SOUNDS)})")
    if sound != VOICE and video is None:
        raise ValueError(f"animate.sound={sound}: a photo has no sound of its own; leave it out")
    paths = {VOICE: [voice], ORIGINAL: [video], BOTH: [voice, video]}[sound]
    if seconds > NATIVE_SECONDS:
        return mix([Sound(load_audio(path)[:, None], SAMPLE_RATE) for path in paths]), (SHORTENED,)
    return mix([load_sound(path) for path in paths]), ()


def mix(sounds: Sequence[Sound]) -> Sound:
    """Sounds (N, channels) added up at the first one's rate and channels, as long as the longest, within [-1, 1]."""
    first = sounds[0]
    if len(sounds) == 1:
        return first
    channels = first.samples.shape[1]
    tracks = []
    for sound in sounds:
        samples = sound.samples
        if sound.rate != first.rate:
            samples = soxr.resample(samples, sound.rate, first.rate, quality="HQ")
        tracks.append(
            np.repeat(samples.mean(axis=1, keepdims=True), channels, 1) if channels != samples.shape[1] else samples
        )
    total = np.zeros((max(map(len, tracks)), channels), np.float32)
    for track in tracks:
        total[: len(track)] += track
    return Sound(np.clip(total, -1, 1), first.rate)
