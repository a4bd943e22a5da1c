"""The networks that judge: SyncNet and I3D, with the fixtures' weights."""

from __future__ import annotations

import numpy as np
import torch

from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.sync import audio_windows, shift_distances, window_count
from joyvasa.models.judges.i3d import I3D
from joyvasa.models.judges.syncnet import SyncNet

from . import rule
from .case import Case
from .registry import Outputs, covers


@covers("syncnet")
def embeddings(case: Case) -> Outputs:
    judge, frames = rule.fill(SyncNet()), case.tensor("frames")
    return {
        "audio": judge.audio(case.tensor("mfcc")),
        "lip": judge.lip(frames),
        "lipfeat": judge.lip_features(frames),
    }


@covers("sync_clip")
def clip(case: Case) -> Outputs:
    """A clip in pieces as a decoder gives it, RGB and channels last; the windows are those of the protocol."""
    judge, samples = rule.fill(SyncNet()), case.inputs["wave"].astype(np.int16)
    frames_THW3 = case.tensor("frames")[0].permute(1, 2, 3, 0).flip(-1)
    windows = window_count(len(frames_THW3), len(samples))
    lip = judge.lip_windows(frames_THW3.split(5))[:windows]
    audio = judge.audio(torch.tensor(audio_windows(mfcc(samples), windows)))
    distances = shift_distances(lip, audio, int(case.stated("vshift")))
    return {"lip": lip, "audio": audio, "mean_dist": distances.mean(0)}


@covers("i3d")
@torch.no_grad()
def clips(case: Case) -> Outputs:
    """Logits and pooled features of three lengths; of the fourth, what comes out of the layers."""
    judge, found = rule.fill(I3D(eps=1e-3)), {}
    for frames in (16, 21, 32):
        video = case.tensor(f"clip{frames}")
        found |= {f"features_{frames}": judge.pooled(video), f"logits_{frames}": judge.scores(video)}
    for name, layer in judge.named_children():
        layer.register_forward_hook(lambda _, __, output, key=f"clip9_{name}": found.update({key: output}))
    judge.pooled(case.tensor("clip9"))
    return found
