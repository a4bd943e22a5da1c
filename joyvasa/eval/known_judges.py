"""Known answers of networks: what the published code says with the same weights of the same pictures.

The weights are those that `random:0` draws, so that nothing has to be fetched: file and network are checked apart, the
network here, the file by its hash. With real weights the same input gives numbers to hold later ones against; for the
speech encoders, whose code is transformers', that is all.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch

from joyvasa.eval import identity, known_answers, lip_crop, mfcc, sync
from joyvasa.eval.known_answers import Answers, blocks, compared, published, signal, spread
from joyvasa.io.audio import PCM_SCALE
from joyvasa.models import speech, speech_files
from joyvasa.models.judges import arcface, i3d, inception, judge, load, loading, lpips, syncnet
from joyvasa.models.judges.arcface import ArcFace, align
from joyvasa.models.judges.lpips import load_lpips
from joyvasa.models.speech import load_speech_encoder
from joyvasa.models.speech_files import FAMILIES
from joyvasa.motion import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

DRAWN = "random:0"
KEPT = 8  # numbers of each output
CLOSE = 1e-4  # of the largest expected number: float32 on another machine is 100 times closer
SYNC_FRAMES = 7  # two windows of SyncNet
Said = dict[str, np.ndarray]  # output -> numbers


def _speech(name: str) -> Callable[[str], Said]:
    """Of a second of sound. There is no drawing of these weights: `which` is the registry's file."""

    def ask(which: str) -> Said:
        how = {"layer": None, "frozen": True, "per_window": True, "spec_augment": False}
        encoder = load_speech_encoder(name=name, path=None, **how, left_context=0, right_context=0)
        audio = torch.from_numpy(signal(SAMPLE_RATE).astype(np.float32) / PCM_SCALE)[None]
        with torch.no_grad():
            return {"features": spread(encoder.features(audio, FPS), KEPT)}

    return ask


def _syncnet(which: str) -> Said:
    network, windows = load("syncnet", which), sync.window_count(SYNC_FRAMES, SYNC_FRAMES * SAMPLES_PER_FRAME)
    cepstra = mfcc.mfcc(signal(SYNC_FRAMES * SAMPLES_PER_FRAME))
    faces = torch.from_numpy(blocks(SYNC_FRAMES, syncnet.SIDE, syncnet.SIDE, 3))
    lip = network.lip_windows([faces])[:windows]
    audio = network.audio(torch.tensor(sync.audio_windows(cepstra, windows)))
    return {"lip": spread(lip, KEPT), "audio": spread(audio, KEPT)}


def _i3d(entry: str) -> Callable[[str], Said]:
    def ask(which: str) -> Said:
        clip = torch.from_numpy(blocks(1, i3d.SHORTEST, 96, 80, 3))
        return {"features": spread(load(entry, which).features(clip), KEPT)}

    return ask


def _inception(which: str) -> Said:
    return {"features": spread(load("inception", which).features(torch.from_numpy(blocks(1, 90, 70, 3))), KEPT)}


def _lpips(which: str) -> Said:
    pictures = torch.from_numpy(blocks(8, 67, 50, 3))
    return {"distances": spread(load_lpips(which)(pictures[:4], pictures[4:]), 4)}


def _arcface(which: str) -> Said:
    """Of a face whose points are where ArcFace wants them, twice as large."""
    points_52 = 2 * np.array(published("arcface")["points"])
    return {"embedding": spread(ArcFace().embed([blocks(240, 240, 3, side=24)], points_52[None]), KEPT)}


# By entry of the registry.
SAID: dict[str, Callable[[str], Said]] = {
    "syncnet": _syncnet,
    "i3d": _i3d("i3d"),
    "i3d_videogpt": _i3d("i3d_videogpt"),
    "inception": _inception,
    "lpips": _lpips,
    "insightface": _arcface,
    **{name: _speech(name) for name in FAMILIES},
}
# Whose sources make the numbers: what was found with others is asked again.
CODE: dict[str, tuple[ModuleType, ...]] = {
    "syncnet": (syncnet, judge, loading, mfcc, sync, lip_crop),
    "i3d": (i3d, judge, loading),
    "i3d_videogpt": (i3d, judge, loading),
    "inception": (inception, judge, loading),
    "lpips": (lpips, judge, loading),
    "insightface": (arcface, identity),
    **dict.fromkeys(FAMILIES, (speech, speech_files)),
}


def network(entry: str) -> Answers:
    """Of one with drawn weights, beside the published code."""
    for name, got in SAID[entry](DRAWN).items():
        expected = np.array(published(entry)[name])
        yield compared(f"{entry}, {name} of the published code", expected, got, CLOSE * np.abs(expected).max())


def alignment() -> Answers:
    """A ramp, seen through ArcFace's alignment with points that lie twice as far apart: every second pixel."""
    ramp = np.stack([*np.indices((224, 224)), np.zeros((224, 224))], axis=-1).astype(np.uint8)
    seen = align(ramp, 2 * np.array(published("arcface")["points"]))
    yield compared("a face twice as large, aligned", ramp[::2, ::2], seen, 1)


def trained(entry: str, accepted: dict[str, Any] | None) -> Answers:
    """Of the registry's file: numbers at all, and those that it said when it was accepted, where that is known."""
    for name, got in SAID[entry](loading.WEIGHTS).items():
        yield compared(f"{entry}, share of {name} that is finite", 1, np.isfinite(got).mean(), 0)
        if accepted is not None:
            expected = np.array(accepted[name])
            tolerance = CLOSE * np.abs(expected).max()
            yield compared(f"{entry}, {name} as when accepted", expected, got, tolerance)


def code_of(entry: str) -> str:
    """sha256 of the sources behind the numbers of a judge, the known answers' own included."""
    sources = (*CODE[entry], known_answers, inspect.getmodule(code_of))
    text = "\0".join(inspect.getsource(module) for module in sources)
    return hashlib.sha256(text.encode() + known_answers.FILE.read_bytes()).hexdigest()
