"""A motion generator from an official file: all that the tensors tell is taken from the tensors, not from defaults."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from joyvasa.models.checkpoint import ENCODER, HEADS, NETWORK, SCHEDULE, OfficialFile
from joyvasa.models.decoder import POSITION_ROWS, STEP_ROWS, Decoder, band, sinusoids
from joyvasa.models.diffusion import BETAS, NoiseSchedule, SampleTarget
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.speech import FAMILIES, SpeechEncoder, load_speech_encoder
from joyvasa.motion import CHANNELS, FPS, MotionStats, official_normaliser

EPS = 1e-9  # of the published normalisation
_AUDIO_MODELS = {"hubert_zh_ori": "hubert_zh"}


def build_official(file: OfficialFile, stats: MotionStats) -> MotionGenerator:
    """The file's generator in evaluation mode, its encoder frozen and every window encoded by itself.

    A file without encoder takes the registry's. As in the published loader, target, n_layers and n_heads of `args` are
    not looked at. Raises ValueError listing missing, surplus and misshapen tensors.
    """
    if file.args.get("fps") not in (None, FPS):
        raise file.error(f"motion at {file.args['fps']} frames a second (expected {FPS})")
    with torch.random.fork_rng(devices=[]):
        encoder = _encoder(file)
        decoder = Decoder(audio_width=encoder.width, **decoder_sizes(file))
    tables = ("TE.pe", "PE.pe", "alignment_mask")
    own = {name: tensor for name, tensor in file.tensors.items() if not name.startswith((ENCODER, SCHEDULE))}
    _check_tables(file, {name: own.pop(NETWORK + name, None) for name in tables})
    _fill(file, decoder, own)
    return MotionGenerator(
        encoder=encoder,
        denoiser=decoder,
        schedule=_schedule(file),
        target=SampleTarget(),
        guidance_dropout=0.1,
        history_noise=0.0,
        truncation_pad=file.args.get("pad_mode") or "zero",
        normaliser=official_normaliser(stats, EPS),
    ).eval()


def decoder_sizes(file: OfficialFile) -> dict[str, Any]:
    """Arguments of `Decoder` but the encoder's width, from the tensors. Raises ValueError for a missing one."""
    try:
        start = file.tensors["start_motion_feat"]
        width, inputs = file.tensors[f"{NETWORK}feature_proj.weight"].shape
        hidden = len(file.tensors[f"{NETWORK}transformer.layers.0.linear1.bias"])
    except KeyError as error:
        raise file.error(f"no tensor {error.args[0]}") from error
    layers = {
        int(found[1]) for name in file.tensors if (found := re.match(rf"{NETWORK}transformer\.layers\.(\d+)\.", name))
    }
    said, channels = file.args.get("motion_feat_dim"), start.shape[-1]
    if said is not None and said != channels or channels < CHANNELS:
        raise file.error(f"motion of {channels} channels, args say {said} (expected at least {CHANNELS})")
    mask = file.tensors.get(f"{NETWORK}alignment_mask")
    return {
        "channels": channels,
        "width": width,
        "depth": len(layers),
        "heads": file.args.get("heads") or HEADS,
        "mlp_ratio": hidden / width,
        "dropout": 0.1,
        "history": start.shape[1],
        "align_width": 0 if mask is None else int((~mask[0].bool()).sum()),
        "indicator": inputs > channels,
    }


def _check_tables(file: OfficialFile, tables: dict[str, Tensor | None]) -> None:
    width = file.tensors[f"{NETWORK}feature_proj.weight"].shape[0]
    for name, rows in (("TE.pe", STEP_ROWS), ("PE.pe", POSITION_ROWS)):
        table = tables[name]
        # The published loader makes the table of steps anew, whatever length the file's has.
        if table is not None and not torch.allclose(table[0].float(), sinusoids(table.shape[1], width), atol=1e-4):
            raise file.error(f"{NETWORK}{name} is not the sinusoidal table of {rows} rows")
    mask = tables["alignment_mask"]
    if mask is not None and not torch.equal(mask.bool(), band(len(mask), int((~mask[0].bool()).sum()))):
        raise file.error(f"{NETWORK}alignment_mask is not a band")


def _schedule(file: OfficialFile) -> NoiseSchedule:
    """The noise schedule whose betas are the file's; without them the published one."""
    steps, betas = int(file.argument("n_diff_steps")), file.tensors.get(f"{SCHEDULE}betas")
    if betas is None:
        return NoiseSchedule(name="cosine", steps=steps)
    if len(betas) != steps + 1:
        raise file.error(f"{len(betas) - 1} noise levels, args say n_diff_steps={steps}")
    for name in BETAS:
        schedule = NoiseSchedule(name=name, steps=steps)
        if torch.allclose(schedule.betas, betas, atol=1e-5):
            return schedule
    raise file.error(f"{SCHEDULE}betas are of no schedule known ({', '.join(BETAS)})")


def _encoder(file: OfficialFile) -> SpeechEncoder:
    import transformers

    said = str(file.argument("audio_model"))
    name = _AUDIO_MODELS.get(said, said)
    if name not in FAMILIES:
        raise file.error(f"audio_model {said!r} (known: {', '.join(FAMILIES)})")
    how = {"name": name, "layer": None, "frozen": True, "per_window": True, "spec_augment": False}
    tensors = file.part(ENCODER)
    if not tensors:
        return load_speech_encoder(path=None, left_context=0, right_context=0, **how)
    kind = getattr(transformers, FAMILIES[name])
    model = kind(kind.config_class(**encoder_sizes(file, tensors)))
    _fill(file, model, tensors, ENCODER, optional={"masked_spec_embed"})
    return SpeechEncoder(model=model, weights_sha256=None, **how)


def encoder_sizes(file: OfficialFile, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What a HuBERT or wav2vec 2.0 configuration must say for these tensors; the rest is as in the base models."""
    layer, conv = (
        "encoder.layers.{}.feed_forward.intermediate_dense.bias",
        "feature_extractor.conv_layers.{}.conv.weight",
    )
    position = "encoder.pos_conv_embed.conv.parametrizations.weight.original1"
    try:
        hidden, inner = len(tensors["encoder.layer_norm.bias"]), len(tensors[layer.format(0)])
        grouped, kernel = tensors[position].shape[1:]
    except KeyError as error:
        raise file.error(f"no tensor {ENCODER}{error.args[0]}") from error
    depth = sum(layer.format(number) in tensors for number in range(len(tensors)))
    convs = [tensors[conv.format(number)] for number in range(len(tensors)) if conv.format(number) in tensors]
    return {
        "hidden_size": hidden,
        "num_hidden_layers": depth,
        "num_attention_heads": file.args.get("encoder_heads") or max(hidden // 64, 1),
        "intermediate_size": inner,
        "conv_dim": [len(weight) for weight in convs],
        "conv_kernel": [weight.shape[-1] for weight in convs],
        "conv_bias": conv.format(0).replace("weight", "bias") in tensors,
        "num_conv_pos_embeddings": kernel,
        "num_conv_pos_embedding_groups": hidden // grouped,
    }


def _fill(
    file: OfficialFile,
    module: nn.Module,
    tensors: dict[str, Tensor],
    prefix: str = "",
    optional: Collection[str] = (),
) -> None:
    """Load `tensors` strictly into `module`, those of `optional` where they are there."""
    own = module.state_dict()
    missing, surplus = sorted(own.keys() - tensors.keys() - set(optional)), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(own[name].shape)}"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    if missing or surplus or shapes:
        lists = (("missing", missing), ("surplus", surplus), ("of other shapes", sorted(shapes)))
        said = [
            f"{len(names)} tensors {what}: {prefix}{', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
            for what, names in lists
            if names
        ]
        raise file.error("; ".join(said))
    module.load_state_dict(own | tensors)
