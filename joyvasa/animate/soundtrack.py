"""What a film sounds like: the voice as it was recorded, the source video's own sound, or both together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from joyvasa.io.audio import Sound, load_sound, survey_audio
from joyvasa.motion import SAMPLE_RATE

VOICE, ORIGINAL, BOTH = "voice", "original", "both"
SOUNDS = (VOICE, ORIGINAL, BOTH)
NATIVE_SECONDS = 600  # of stereo at 48 kHz take 290 MB at their peak, voice and video together 460 MB
SHORTENED = f"sound of more than {NATIVE_SECONDS // 60} minutes is kept at 16 kHz mono, to save memory"


def soundtrack(voice: Path, video: Path | None, sound: str, seconds: float) -> tuple[Sound, tuple[str, ...]]:
    """The sound of a film's first `seconds`, no longer, and notes on it; the film's writer pads what is shorter.

    The voice begins as `load_audio` gives it to the motion, even where it is a film whose sound begins late; the
    video's own sound stays with the video's frames.
    Raises ValueError for a sound that there is not, a photo's or a silent video's own.
    """
    if sound not in SOUNDS:
        raise ValueError(f"animate.sound={sound} (expected one of {', '.join(SOUNDS)})")
    if sound != VOICE and video is None:
        raise ValueError(f"animate.sound={sound}: a photo has no sound of its own; leave it out")
    long = seconds > NATIVE_SECONDS
    rate, channels = (SAMPLE_RATE, 1) if long else (None, None)
    path = video if sound == ORIGINAL else voice
    heard = load_sound(path, align=sound == ORIGINAL, seconds=seconds, rate=rate, channels=channels)
    if sound == BOTH:
        rate, channels = heard.rate, heard.samples.shape[1]
        heard = mix(heard, load_sound(video, align=True, seconds=seconds, rate=rate, channels=channels))
    # How the voice was read is said even where it is only heard by the motion.
    notes = [*survey_audio(voice).notes, *(survey_audio(video).notes if sound != VOICE else ())]
    if long:
        notes.append(SHORTENED)
    return heard, tuple(dict.fromkeys(notes))


def mix(one: Sound, other: Sound) -> Sound:
    """Two sounds (N, channels) of one rate added up within [-1, 1], in the longer one's memory: it is overwritten."""
    if (one.rate, one.samples.shape[1]) != (other.rate, other.samples.shape[1]):
        raise ValueError(
            f"sounds of {one.rate} and {other.rate} Hz, {one.samples.shape[1]} and {other.samples.shape[1]} channels "
            "(expected the same); load them alike"
        )
    short, total = sorted((one.samples, other.samples), key=len)
    total[: len(short)] += short
    return Sound(np.clip(total, -1, 1, out=total), one.rate)
