"""Embeddings of lips and voice of every face of a film: all that lip-sync scores are computed from.

Scores are not computed here: what does not move the embeddings (shifts searched, means, medians) is no part of the
instrument, so that several protocols, and the controls, share one pass.

N windows of a track, D width of an embedding, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from joyvasa.eval.films.gauge import OpenFilm, Reading, Unfit
from joyvasa.eval.lip_crop import OVERLAP_FRAMES, LipCrop, LipCropper, TrackEmbedder, indices_at_25
from joyvasa.eval.lip_track import LipTrack, Look
from joyvasa.eval.mfcc import mfcc
from joyvasa.eval.protocol_fields import LipSync
from joyvasa.eval.protocol_hash import DecodePath, plain
from joyvasa.eval.sync import WINDOW_FRAMES, audio_windows, window_count
from joyvasa.io.video_sound import loudness_db
from joyvasa.models.judges.syncnet import SyncNet
from joyvasa.motion import SAMPLES_PER_FRAME

# Of `LipSync`: what moves the embeddings.
SEEN = (
    "revision", "network", "frame_rate", "resampling", "sample_rate", "channels", "detection", "cuts", "rule",
    "cepstra", "window_frames", "window_cepstra", "cepstra_per_frame", "left_out",
)  # fmt: skip
PIECE_FRAMES = 24  # crops that go through the network at once
INT16 = 32768.0


@dataclass(eq=False)
class LipInstrument:
    """judge: on its device. look: the boxes of a frame; None where the protocol looks for no faces.

    A reading holds, for the n-th track that counts, arrays lip_n and audio_n (N, D), and as facts all tracks, the
    share of frames with a face that counts, and the loudness of the voice beside them (of all, where none counts).
    """

    protocol: LipSync
    weights: Mapping[str, str]
    decode_path: DecodePath
    judge: SyncNet
    look: Look | None
    beside: frozenset[str] = frozenset()

    @property
    def identity(self) -> dict[str, Any]:
        whole = plain(self.protocol)
        return {
            "reads": "lipsync",
            "protocol": {name: whole[name] for name in SEEN},
            "weights": dict(self.weights),
            "decode_path": plain(self.decode_path),
        }

    def begin(self, film: OpenFilm) -> LipGauge:
        if film.info.frames <= WINDOW_FRAMES:
            raise Unfit(f"{film.info.frames} frames (expected more than {WINDOW_FRAMES})")
        try:
            sound = film.sound
        except ValueError as error:
            raise Unfit(str(error).removeprefix(f"{film.path}: ")) from error
        return LipGauge(self, film, sound)


class LipGauge:
    def __init__(self, instrument: LipInstrument, film: OpenFilm, sound_S: np.ndarray) -> None:
        self._by, self._sound_S = instrument, sound_S
        rule, look = instrument.protocol.rule, instrument.look
        self._embedder = TrackEmbedder(self._lips, piece_frames=PIECE_FRAMES)
        self._found: list[tuple[LipTrack, Tensor | None]] = []
        self._cropper, self._order, self._at, self._shown = None, None, 0, 0
        if rule is not None and look is not None:
            name = instrument.protocol.detection.detector
            self._cropper = LipCropper(lambda frame: film.boxes.find(name, look, frame), rule, str(film.path))
            self._order = indices_at_25(film.info.fps, film.info.frames)

    def _lips(self, crops_tHW3: Tensor) -> Tensor:
        return self._by.judge.lip_windows([crops_tHW3]).cpu()

    def add(self, frame: np.ndarray, reference: np.ndarray | None) -> None:
        if self._order is None or self._cropper is None:
            side = self._by.protocol.network.side
            self._take([LipCrop(0, self._shown, cv2.resize(frame, (side, side)))])
            self._shown += 1
            return
        while self._shown < len(self._order) and self._order[self._shown] == self._at:
            self._take(self._cropper.add(frame))
            self._shown += 1
        self._at += 1

    def _take(self, events: list[LipCrop | LipTrack]) -> None:
        for event in events:
            self._found += self._embedder.add(event)

    def end(self) -> Reading:
        if self._cropper is not None:
            self._take(self._cropper.end())
        elif self._shown > OVERLAP_FRAMES:
            self._take([LipTrack(0, 0, self._shown, self._shown, float(self._by.protocol.network.side), None)])
        arrays, tracks = {}, []
        for track, lip_ND in sorted(self._found, key=lambda each: each[0].number):
            facts = asdict(track)
            if lip_ND is not None:
                pair = self._with_voice(track, lip_ND)
                if pair is None:
                    facts["refused"] = "its sound is shorter than a window"
                else:
                    number = sum("array" in each for each in tracks)
                    facts["array"] = number
                    arrays |= {f"lip_{number}": pair[0], f"audio_{number}": pair[1]}
            tracks.append(facts)
        covered = {frame for each in tracks if "array" in each for frame in range(each["start"], each["stop"])}
        share = len(covered) / self._shown if self._shown else 0.0
        heard = [self._sound_S[each["start"] * SAMPLES_PER_FRAME : each["stop"] * SAMPLES_PER_FRAME]
                 for each in tracks if "array" in each]  # fmt: skip
        loudness = loudness_db(np.concatenate(heard or [self._sound_S]) / INT16)
        return Reading({"tracks": tracks, "face_rate": share, "loudness_db": loudness}, arrays)

    def _with_voice(self, track: LipTrack, lip_ND: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
        sound_S = self._sound_S[track.samples.start : track.samples.stop]
        if min(track.stop - track.start, len(sound_S) // SAMPLES_PER_FRAME) <= WINDOW_FRAMES:
            return None
        windows = window_count(track.stop - track.start, len(sound_S))
        heard = torch.tensor(audio_windows(mfcc(sound_S), windows), dtype=torch.float32)
        audio_ND = self._by.judge.audio(heard).cpu()
        if not (lip_ND.isfinite().all() and audio_ND.isfinite().all()):
            raise Unfit("embeddings that are not finite (NaN): its pictures or its sound are broken")
        return lip_ND[:windows].numpy(), audio_ND.numpy()
