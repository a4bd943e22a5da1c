"""Speech encoders of the transformers library: HuBERT and wav2vec 2.0, as JoyVASA uses them.

The waveform enters as it is (no mean and variance normalisation, whatever a folder's preprocessor says). Padded
waveform -> convolutions -> 50 features a second, brought by length to two a motion frame -> transformer -> one a motion
frame (src/modules/hubert.py, wav2vec2.py and `extract_audio_feature` of dit_talking_head.py).

B batch, S samples, T motion frames, W feature width, L features at the transformer's rate.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from joyvasa import weights
from joyvasa.features import EVERY_WINDOW, WHOLE_CLIP, FeatureSpec
from joyvasa.models.speech_files import FAMILIES, Unloaded, find_weights, unloaded, weight_file
from joyvasa.motion import FPS, SAMPLES_PER_FRAME

__all__ = ["FAMILIES", "SpeechEncoder", "find_weights", "load_speech_encoder", "one_a_frame", "pad_waveform"]

CONV_RATE = 50  # features a second behind the convolutions
LONGEST_SECONDS = 600  # attention over a whole recording grows with its square


def pad_waveform(audio_BS: Tensor, unit: int = 320, threshold: int = 80) -> Tensor:
    """Mirror a few samples at both ends, so that the convolutions give a feature for every unit; official `pad_audio`.

    (B, S) -> (B, S + 4 (side // 2) + 2 (side % 2)), side being half of what is missing to a whole number of units and
    `threshold`; nothing where more than that is there already.
    """
    samples = audio_BS.shape[-1]
    side = math.ceil((unit * (samples // unit) + threshold - samples) / 2)
    if side < 0:
        return audio_BS
    if side >= 2:
        # Twice a quarter rather than once a half: the second mirror shows the first.
        for _ in range(2):
            audio_BS = F.pad(audio_BS, (side // 2, side // 2), mode="reflect")
    return F.pad(audio_BS, (1, 1), mode="replicate") if side % 2 else audio_BS


def resample_features(features_BCL: Tensor, rate_in: float, rate_out: float, frames: int | None = None) -> Tensor:
    """(B, C, L) at `rate_in` -> (B, C, frames), linear, corners not aligned; official `linear_interpolation`.

    Without `frames` the length is int(L / rate_in * rate_out).
    """
    if frames is None:
        frames = int(features_BCL.shape[2] / float(rate_in) * rate_out)
    return F.interpolate(features_BCL, size=frames, align_corners=False, mode="linear")


class SpeechEncoder(nn.Module):
    """Waveform (B, 640 T) -> features (B, T, W).

    layer: which transformer layer's output (those above are dropped); None: the last. frozen: evaluation mode whatever
    the module around it does, no gradients; its model is loaded when the first audio comes and is no part of this
    module's state, so that training on cached features never loads it and no checkpoint holds it. Else the transformer
    is fine-tuned, with SpecAugment where `spec_augment`; the convolutions stay as they are, and no layer is skipped (as
    the published trainer does at random), for processes that train together need a gradient of every weight.
    per_window: each window of training and sampling is encoded by itself, as published, with `context` (frames heard
    before and after it, of which no features are given); else the pair of windows, and the whole recording.
    """

    def __init__(
        self,
        *,
        model: nn.Module | Unloaded,
        name: str,
        layer: int | None,
        frozen: bool,
        per_window: bool,
        spec_augment: bool,
        weights_sha256: str | None,
        context: tuple[int, int] = (0, 0),
    ):
        super().__init__()
        depth = model.config.num_hidden_layers
        if layer is not None and not 1 <= layer <= depth:
            raise ValueError(f"encoder.layer={layer}: {name} has layers 1 … {depth}")
        if frozen and spec_augment:
            raise ValueError("encoder.spec_augment=true is for a fine-tuned encoder: set encoder.frozen=false")
        if min(context) < 0 or any(context) and not per_window:
            raise ValueError(f"encoder context {context}: expected frames, 0 or more, and encoder.per_window=true")
        self.name, self.layer, self.frozen, self.per_window, self.context = name, layer, frozen, per_window, context
        self.weights_sha256 = weights_sha256 if frozen else None
        self.width, self._spec_augment = model.config.hidden_size, spec_augment
        self._depth = layer or depth
        self._outside: list[nn.Module | Unloaded] = []  # a list: nn.Module would make a model part of its state
        if not frozen:
            self._modules["model"] = self._ready(model)
        elif isinstance(model, Unloaded):
            self._outside.append(model)
        else:
            self._outside.append(self._ready(model))
        self.train(self.training)

    @property
    def model(self) -> nn.Module:
        """The transformers model; that of a frozen encoder is loaded by the first use."""
        if not self.frozen:
            return self._modules["model"]
        if isinstance(self._outside[0], Unloaded):
            self._outside[0] = self._ready(self._outside[0])
        return self._outside[0]

    @property
    def loaded(self) -> bool:
        return not self._outside or isinstance(self._outside[0], nn.Module)

    def _ready(self, model: nn.Module | Unloaded) -> nn.Module:
        if isinstance(model, Unloaded):
            # Loaded in the middle of a run it must not move the random numbers of that run.
            with torch.random.fork_rng(devices=[]):
                model = model.load()
        if self.layer is not None:
            del model.encoder.layers[self.layer :]
        model.config.apply_spec_augment, model.config.layerdrop = self._spec_augment, 0.0
        model.requires_grad_(not self.frozen)
        model.feature_extractor._freeze_parameters()  # its own flag too: else it asks for the waveform's gradient
        if hasattr(model, "masked_spec_embed"):
            model.masked_spec_embed.requires_grad_(self._spec_augment)
        return model.train(self.training and not self.frozen)

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(
            encoder=self.name,
            weights_sha256=self.weights_sha256,
            layer=self._depth,
            rate_hz=FPS,
            left_context=self.context[0],
            right_context=self.context[1],
            window_starts=EVERY_WINDOW if self.per_window else WHOLE_CLIP,
        )

    def conv_features(self, audio_BS: Tensor) -> Tensor:
        """The convolutions alone, (B, C, L), 50 a second; the waveform is taken as it is."""
        if self._outside and next(self.model.parameters()).device != audio_BS.device:
            self.model.to(audio_BS.device)
        return self.model.feature_extractor(audio_BS)

    def hidden(self, audio_BS: Tensor, frames: int | None) -> Tensor:
        """The transformer's output (B, frames, W); without `frames` 25 a second, by the length of the convolutions'.

        The waveform is taken as it is.
        """
        conv = self.conv_features(audio_BS)
        if frames is not None:
            conv = conv[:, :, : round(frames * CONV_RATE / FPS)]
        conv = resample_features(conv, CONV_RATE, FPS, frames).transpose(1, 2)
        projected = self.model.feature_projection(conv)
        projected = projected[0] if isinstance(projected, tuple) else projected  # wav2vec 2.0 gives its input as well
        return self.model.encoder(self.model._mask_hidden_states(projected)).last_hidden_state

    def features(self, audio_BS: Tensor, frames: int) -> Tensor:
        """(B, frames, W) of a waveform of any length: padded, encoded at two features a frame, then brought to one."""
        return one_a_frame(self.hidden(pad_waveform(audio_BS), 2 * frames))

    def encode(self, audio_BS: Tensor, rate_hz: int) -> Tensor:
        """(B, T rate / 25, W) of T frames between the `context` in the audio; at 50 as before the last step."""
        samples, context = audio_BS.shape[-1], sum(self.context)
        if samples % SAMPLES_PER_FRAME or samples <= context * SAMPLES_PER_FRAME:
            raise ValueError(f"{samples} samples: expected a multiple of {SAMPLES_PER_FRAME} and {context} frames more")
        if samples > LONGEST_SECONDS * FPS * SAMPLES_PER_FRAME:
            raise ValueError(
                f"a voice of {samples / FPS / SAMPLES_PER_FRAME:.0f} s encoded as a whole (expected at most "
                f"{LONGEST_SECONDS} s); cut it, or train with encoder.per_window=true"
            )
        heard = samples // SAMPLES_PER_FRAME
        first, last = self.context[0], heard - self.context[1]
        with torch.no_grad() if self.frozen else nullcontext():
            if rate_hz == FPS:
                return self.features(audio_BS, heard)[:, first:last]
            return self.hidden(pad_waveform(audio_BS), 2 * heard)[:, 2 * first : 2 * last]

    def forward(self, audio_BS: Tensor) -> Tensor:
        return self.encode(audio_BS, FPS)


def one_a_frame(features_BLW: Tensor) -> Tensor:
    """(B, 2 T, W), two features a motion frame, -> (B, T, W)."""
    # Linear resampling to half is the mean of neighbours, whose gradient is deterministic on a GPU as well.
    return features_BLW.unflatten(1, (-1, 2)).mean(2)


def load_speech_encoder(
    *,
    name: str,
    path: str | None,
    layer: int | None,
    frozen: bool,
    per_window: bool,
    spec_augment: bool,
    left_context: int,
    right_context: int,
) -> SpeechEncoder:
    """The encoder `name` with the weights at `path`: a folder, a hub name, or None for the registry's.

    A folder holds config.json and model.safetensors or pytorch_model.bin, as they ship; a preprocessor is not needed.
    The weights of a frozen one are hashed now and loaded when the first audio comes. Raises FileNotFoundError naming
    the command that gets missing weights, ValueError for weights of another kind, with missing tensors listed.
    """
    folder = find_weights(name, path)
    model = unloaded(folder, name)
    return SpeechEncoder(
        model=model,
        name=name,
        layer=layer,
        frozen=frozen,
        per_window=per_window,
        spec_augment=spec_augment,
        weights_sha256=weights.sha256_of(weight_file(folder, name)) if frozen else None,
        context=(left_context, right_context),
    )
