"""Official motion generators: `motion_generator_hubert_chinese.pt`, `iter_0020000.pt` and their like, in and out.

A file holds {`args`: Namespace, `model`: state dict, `iter`: int}. The published loader takes motion_feat_dim,
n_motions, n_prev_motions, feature_dim, audio_model and n_diff_steps from `args` and fixes the rest: 8 layers of 8
heads, feed-forward of 4 widths, alignment mask of width 1, no indicator, target "sample".
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from joyvasa.io.files import replacing
from joyvasa.models.decoder import POSITION_ROWS, STEP_ROWS, Decoder, band, sinusoids
from joyvasa.models.diffusion import NoiseSchedule, SampleTarget
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.speech import SpeechEncoder
from joyvasa.motion import FPS
from joyvasa.unpickle import load_torch

ENCODER, NETWORK, SCHEDULE = "audio_encoder.", "denoising_net.", "diffusion_sched."
HEADS = 8  # of the published network; a file of ours with another number says so in args.heads
TABLES = ("betas", "alphas", "alpha_bars", "sigmas_flex", "sigmas_inflex")
# Spellings of the positional convolution's weight norm, old and recent
_SPELLINGS = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}


@dataclass(frozen=True)
class OfficialFile:
    """A read file: tensor names as in recent versions, without `module.` in front."""

    path: Path
    args: dict[str, Any]
    tensors: dict[str, Tensor]
    iteration: int | None

    def error(self, problem: str) -> ValueError:
        return ValueError(
            f"{self.path}: {problem}; expected a motion generator of JoyVASA: python -m joyvasa.weights pull joyvasa"
        )

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix, by the rest of their names."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    def argument(self, name: str) -> Any:
        if self.args.get(name) is None:
            raise self.error(f"its args lack {name}")
        return self.args[name]


def read_official(path: Path) -> OfficialFile:
    """Read a file without running any code in it. Raises FileNotFoundError, or ValueError saying what it is not."""
    content = load_torch(path)
    if not isinstance(content, dict) or not {"args", "model"} <= content.keys():
        found = f"entries {sorted(map(str, content))[:5]}" if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: {found} (expected args, model and iter, a motion generator of JoyVASA)")
    args, state = content["args"], content["model"]
    tensors = isinstance(state, dict) and all(isinstance(tensor, Tensor) for tensor in state.values())
    if not isinstance(args, Namespace) or not tensors:
        raise ValueError(
            f"{path}: args are a {type(args).__name__}, model a {type(state).__name__} (expected an argparse.Namespace "
            "beside a state dict)"
        )
    return OfficialFile(
        Path(path), vars(args), {_spell(name): tensor for name, tensor in state.items()}, content.get("iter")
    )


def _spell(name: str) -> str:
    name = name.removeprefix("module.")
    for old, new in _SPELLINGS.items():
        if name.startswith(ENCODER) and name.endswith(f"pos_conv_embed.{old}"):
            return name.removesuffix(old) + new
    return name


def write_official(path: Path, generator: MotionGenerator, *, window: int, iteration: int) -> list[str]:
    """Write `generator` in the official layout, the encoder inside. Returns what the published program would not take.

    Raises ValueError for a generator that the layout cannot hold.
    """
    decoder, encoder = generator.denoiser, generator.encoder
    if not isinstance(decoder, Decoder) or not isinstance(encoder, SpeechEncoder):
        raise ValueError(
            f"{path}: the official layout holds denoiser=decoder behind a HuBERT or wav2vec 2.0 encoder, not "
            f"{type(decoder).__name__} behind {type(encoder).__name__}"
        )
    if encoder.layer is not None or not isinstance(generator.target, SampleTarget):
        raise ValueError(f"{path}: the official layout takes encoder.layer=null and target=sample")
    net, history = decoder.denoising_net, decoder.start_motion_feat.shape[1]
    width, heads = net.feature_proj.out_features, net.transformer.layers[0].heads
    state = dict(decoder.state_dict()) | {ENCODER + name: value for name, value in encoder.model.state_dict().items()}
    state |= {
        f"{NETWORK}TE.pe": sinusoids(STEP_ROWS, width)[None],
        f"{NETWORK}PE.pe": sinusoids(POSITION_ROWS, width)[None],
    }
    if net.align_width:
        state[f"{NETWORK}alignment_mask"] = band(history + window, net.align_width)
    state |= {SCHEDULE + name: getattr(generator.schedule, name) for name in TABLES}
    args = Namespace(
        motion_feat_dim=decoder.channels,
        n_motions=window,
        n_prev_motions=history,
        feature_dim=width,
        audio_model=encoder.name,
        n_diff_steps=generator.schedule.num_steps,
        fps=FPS,
        pad_mode=generator.truncation_pad,
        use_indicator=net.indicator,
        heads=heads,
        encoder_heads=encoder.model.config.num_attention_heads,
    )
    with replacing(path) as temporary:
        torch.save(
            {"args": args, "model": {name: value.cpu().clone() for name, value in state.items()}, "iter": iteration},
            temporary,
        )
    return _foreign(generator, heads)


def _foreign(generator: MotionGenerator, heads: int) -> list[str]:
    """What the published loader, which fixes these, would read otherwise."""
    net = generator.denoiser.denoising_net
    hidden = net.transformer.layers[0].linear1.out_features / net.feature_proj.out_features
    facts = {
        "layers": (len(net.transformer.layers), 8),
        "heads": (heads, HEADS),
        "mlp_ratio": (hidden, 4),
        "alignment mask width": (net.align_width, 1),
        "indicator": (net.indicator, False),
    }
    found = [f"{what} {ours} (it builds {fixed})" for what, (ours, fixed) in facts.items() if ours != fixed]
    cosine = NoiseSchedule(name="cosine", steps=generator.schedule.num_steps)
    if not torch.equal(cosine.betas, generator.schedule.betas.cpu()):
        found.append("a noise schedule that is not cosine")
    return found
