"""Speech encoders of the transformers library: HuBERT and wav2vec 2.0, as JoyVASA uses them.

The waveform enters as it is (no mean and variance normalisation, whatever a folder's preprocessor says). Padded
waveform -> convolutions -> 50 features a second, brought by length to two a motion frame -> transformer -> one a motion
frame (src/modules/hubert.py, wav2vec2.py and `extract_audio_feature` of dit_talking_head.py).

B batch, S samples, T motion frames, W feature width, L features at the transformer's rate.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from joyvasa import weights
from joyvasa.features import FeatureSpec
from joyvasa.motion import FPS, SAMPLES_PER_FRAME

CONV_RATE = 50  # features a second behind the convolutions
LONGEST_SECONDS = 600  # attention over a whole recording grows with its square
FAMILIES = {"hubert_zh": "HubertModel", "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model"}
HEADS = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "final_proj.")  # of pre-training and recognition
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


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
    the module around it does, no gradients, not stored in checkpoints. Else the transformer is fine-tuned, with
    SpecAugment where `spec_augment`; the convolutions stay as they are, and no layer is ever skipped (as the published
    trainer does at random), for processes that train together need a gradient of every weight. per_window: each window
    of training and sampling is encoded by itself, as published; else the pair of windows, and the whole recording.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        name: str,
        layer: int | None,
        frozen: bool,
        per_window: bool,
        spec_augment: bool,
        weights_sha256: str | None,
    ):
        super().__init__()
        depth = len(model.encoder.layers)
        if layer is not None and not 1 <= layer <= depth:
            raise ValueError(f"encoder.layer={layer}: {name} has layers 1 … {depth}")
        if frozen and spec_augment:
            raise ValueError("encoder.spec_augment=true is for a fine-tuned encoder: set encoder.frozen=false")
        del model.encoder.layers[depth if layer is None else layer :]
        self.model, self.name, self.layer, self.frozen, self.per_window = model, name, layer, frozen, per_window
        self.weights_sha256 = weights_sha256 if frozen else None
        self.width = model.config.hidden_size
        model.config.apply_spec_augment, model.config.layerdrop = spec_augment, 0.0
        model.requires_grad_(not frozen)
        model.feature_extractor._freeze_parameters()  # its own flag too: else it asks for the waveform's gradient
        if hasattr(model, "masked_spec_embed"):
            model.masked_spec_embed.requires_grad_(spec_augment)
        self.train(self.training)

    def train(self, mode: bool = True) -> SpeechEncoder:
        super().train(mode)
        self.model.train(mode and not self.frozen)
        return self

    @property
    def spec(self) -> FeatureSpec:
        starts = "every window" if self.per_window else "whole-clip"
        return FeatureSpec(
            encoder=self.name,
            weights_sha256=self.weights_sha256,
            layer=len(self.model.encoder.layers),
            rate_hz=FPS,
            window_starts=starts,
        )

    def conv_features(self, audio_BS: Tensor) -> Tensor:
        """The convolutions alone, (B, C, L), 50 a second; the waveform is taken as it is."""
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
        # Linear resampling to half is the mean of neighbours, whose gradient is deterministic on a GPU as well.
        return self.hidden(pad_waveform(audio_BS), 2 * frames).unflatten(1, (frames, 2)).mean(2)

    def forward(self, audio_BS: Tensor) -> Tensor:
        samples = audio_BS.shape[-1]
        if samples % SAMPLES_PER_FRAME or not samples:
            raise ValueError(f"{samples} samples: expected a multiple of {SAMPLES_PER_FRAME}")
        if samples > LONGEST_SECONDS * FPS * SAMPLES_PER_FRAME:
            raise ValueError(
                f"a voice of {samples / FPS / SAMPLES_PER_FRAME:.0f} s encoded as a whole (expected at most "
                f"{LONGEST_SECONDS} s); cut it, or train with encoder.per_window=true"
            )
        with torch.no_grad() if self.frozen else nullcontext():
            return self.features(audio_BS, samples // SAMPLES_PER_FRAME)


def load_speech_encoder(
    *, name: str, path: str | None, layer: int | None, frozen: bool, per_window: bool, spec_augment: bool
) -> SpeechEncoder:
    """The encoder `name` with the weights at `path`: a folder, a hub name, or None for the registry's.

    A folder holds config.json and model.safetensors or pytorch_model.bin, as they ship; a preprocessor is not needed.
    Raises FileNotFoundError naming the command that gets missing weights, ValueError for weights of another kind, with
    missing or surplus tensors listed.
    """
    import transformers

    folder = find_weights(name, path)
    model = _load(getattr(transformers, FAMILIES[name]), folder, name)
    sha = next(weights.sha256_of(folder / file) for file in WEIGHT_FILES if (folder / file).is_file())
    return SpeechEncoder(
        model=model,
        name=name,
        layer=layer,
        frozen=frozen,
        per_window=per_window,
        spec_augment=spec_augment,
        weights_sha256=sha,
    )


def find_weights(name: str, path: str | None) -> Path:
    """The folder of the encoder's files: `path`, a hub repository downloaded where need be, or the registry's.

    Raises FileNotFoundError naming the command that gets them.
    """
    if name not in FAMILIES:
        raise ValueError(f"encoder.name={name!r}: choose from {', '.join(FAMILIES)}")
    if path is None:
        return weights.where(name)
    return Path(path) if Path(path).is_dir() else Path(_from_hub(name, path))


def _from_hub(name: str, path: str) -> str:
    missing = (
        f"encoder.path={path}: no such folder, and not to be had from the hub; python -m joyvasa.weights pull {name}"
    )
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise FileNotFoundError(missing)
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(path, allow_patterns=["config.json", *WEIGHT_FILES])
    except (OSError, ValueError) as error:  # no network, no such repository, no permission: all derive from these
        raise FileNotFoundError(f"{missing} ({type(error).__name__})") from error


def _load(kind: type[nn.Module], folder: Path, name: str) -> nn.Module:
    import json

    get = f"python -m joyvasa.weights pull {name}"
    files = [file for file in WEIGHT_FILES if (folder / file).is_file()]
    if not (folder / "config.json").is_file() or not files:
        raise FileNotFoundError(f"{folder}: no config.json with {' or '.join(WEIGHT_FILES)}; {get}")
    try:
        said = json.loads((folder / "config.json").read_text())["model_type"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{folder / 'config.json'}: unreadable ({error}); {get}") from error
    if said != kind.config_class.model_type:
        raise ValueError(f"{folder}: a {said} model (expected {kind.config_class.model_type}); {get}")
    try:
        model, report = kind.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, UnpicklingError) as error:
        raise ValueError(f"{folder / files[0]}: not the weights of this configuration ({error}); {get}") from error
    missing = set(report["missing_keys"]) - {"masked_spec_embed"}
    surplus = [key for key in report["unexpected_keys"] if not key.startswith(HEADS)]
    if surplus:
        raise ValueError(
            f"{folder / files[0]}: {len(surplus)} tensors of another model ({', '.join(sorted(surplus)[:5])} …); {get}"
        )
    if missing:
        raise ValueError(
            f"{folder / files[0]}: lacks {len(missing)} tensors ({', '.join(sorted(missing)[:5])} …); {get}"
        )
    return model
