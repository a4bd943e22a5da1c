"""Laws of the published denoiser: equal to torch's own decoder under the full mask, and what its shortcut must keep."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from joyvasa.models.decoder import POSITION_ROWS, Decoder, band, sinusoids
from joyvasa.motion import CHANNELS

BATCH, WINDOW, HISTORY, WIDTH, HEADS = 2, 9, 4, 16, 4


def decoder(seed: int = 0, **changes) -> Decoder:
    torch.manual_seed(seed)
    sizes = {"channels": CHANNELS, "audio_width": 6, "width": WIDTH, "depth": 2, "heads": HEADS, "mlp_ratio": 2.0}
    how = {"dropout": 0.0, "history": HISTORY, "align_width": 1, "indicator": False}
    return Decoder(**sizes | how | changes).eval()


def inputs(channels: int = CHANNELS, history: int = HISTORY, seed: int = 0) -> dict[str, Tensor]:
    """Noisy motion, steps, embedded voice, history of both."""
    rng = torch.Generator().manual_seed(seed)
    return {
        "noisy": torch.randn(BATCH, WINDOW, channels, generator=rng),
        "step": torch.tensor([1, 37]),
        "audio": torch.randn(BATCH, WINDOW, WIDTH, generator=rng),
        "past": torch.randn(BATCH, history, channels, generator=rng),
        "past_audio": torch.randn(BATCH, history, WIDTH, generator=rng),
    }


def call(net: Decoder, args: dict[str, Tensor], valid: Tensor | None = None) -> Tensor:
    return net(args["noisy"], args["step"], net.condition(args["audio"], args["past_audio"], valid), args["past"])


def plain(net: Decoder, args: dict[str, Tensor], mask: Tensor | None) -> Tensor:
    """The same weights in torch's TransformerDecoder with its attention written out under `mask`."""
    inner = net.denoising_net
    layers = inner.transformer.layers
    hidden = layers[0].linear1.out_features
    layer = nn.TransformerDecoderLayer(WIDTH, HEADS, hidden, activation="gelu", batch_first=True)
    whole = nn.TransformerDecoder(layer, len(layers)).eval()
    whole.load_state_dict({f"layers.{name}": value for name, value in layers.state_dict().items()})
    tokens = inner.feature_proj(torch.cat([args["past"], args["noisy"]], 1))
    tokens = tokens + sinusoids(600, WIDTH)[: tokens.shape[1]]
    tokens = tokens + inner.diff_step_map(sinusoids(501, WIDTH)[args["step"]])[:, None]
    return inner.motion_dec(whole(tokens, torch.cat([args["past_audio"], args["audio"]], 1), memory_mask=mask))


@pytest.mark.parametrize("align_width", [0, 1, 2, 5])
def test_it_is_torchs_decoder_under_the_band_mask(align_width):
    net, args = decoder(align_width=align_width), inputs()
    mask = band(HISTORY + WINDOW, align_width) if align_width else None
    assert_close(call(net, args), plain(net, args, mask), atol=2e-6, rtol=1e-5)


def test_the_band_is_as_wide_as_it_says():
    assert torch.equal(~band(5, 1), torch.eye(5, dtype=torch.bool))
    assert (~band(9, 3)).sum(1).tolist() == [3, 4, 5, 5, 5, 5, 5, 4, 3]


def test_the_diagonal_attention_hears_each_frame_by_itself_and_not_the_step():
    net, args = decoder(), inputs()
    condition = net.condition(args["audio"], args["past_audio"], None)
    args["audio"] = args["audio"].index_add(1, torch.tensor([5]), torch.ones(BATCH, 1, WIDTH))
    changed = net.condition(args["audio"], args["past_audio"], None)
    for before, after in zip(condition.voice, changed.voice, strict=True):
        moved = (before - after).abs().amax((0, 2)) > 0
        assert moved.nonzero().flatten().tolist() == [HISTORY + 5]


def test_its_dropout_is_the_attentions_own():
    """Per head and frame all of the value or nothing, scaled: the same distribution as torch's attention dropout."""
    net, args = decoder(dropout=0.4), inputs()
    layer = net.denoising_net.transformer.layers[0]
    nn.init.eye_(layer.multihead_attn.out_proj.weight)
    audio = torch.cat([args["past_audio"], args["audio"]], 1)
    whole = layer.listen(audio).unflatten(-1, (HEADS, -1))
    layer.train()
    torch.manual_seed(0)
    share = torch.stack([layer.listen(audio).unflatten(-1, (HEADS, -1)) / whole for _ in range(400)])
    assert_close(share, share.amax(-1, keepdim=True).expand_as(share), atol=1e-4, rtol=1e-4)  # all of a head or none
    values = share.amax(-1)
    assert set(values.unique().mul(1e3).round().tolist()) <= {0.0, 1666.0, 1667.0}
    assert values.mean().item() == pytest.approx(1.0, abs=0.02)
    assert (values == 0).float().mean().item() == pytest.approx(0.4, abs=0.01)
    attention = layer.multihead_attn.train()
    mask = band(audio.shape[1], 1)
    torchs = torch.stack([attention(audio, audio, audio, attn_mask=mask)[0] for _ in range(400)])
    ours = torch.stack([layer.listen(audio) for _ in range(400)])
    assert_close(torchs.std(0).mean(), ours.std(0).mean(), rtol=0.03, atol=0)


@pytest.mark.parametrize(("window", "history"), [(1, 0), (9, 4), (20, 2), (100, 4)])
def test_any_window_and_shorter_history_will_do(window, history):
    net = decoder()
    start, start_audio = net.start(3, history)
    condition = net.condition(torch.zeros(3, window, WIDTH), start_audio, None)
    out = net(torch.zeros(3, window, CHANNELS), torch.tensor([1, 2, 3]), condition, start)
    assert out.shape == (3, history + window, CHANNELS) and out.isfinite().all()


def test_too_long_is_said():
    net = decoder()
    with pytest.raises(ValueError, match="4 start tokens"):
        net.start(1, 5)
    with pytest.raises(ValueError, match=f"at most {POSITION_ROWS}"):
        net.condition(torch.zeros(1, POSITION_ROWS, WIDTH), torch.zeros(1, 1, WIDTH), None)


def test_the_indicator_is_heard_only_where_configured():
    args, valid = inputs(), torch.ones(BATCH, WINDOW)
    short = valid.clone()
    short[:, 6:] = 0
    deaf, told = decoder(), decoder(indicator=True)
    assert torch.equal(call(deaf, args, valid), call(deaf, args, short))
    assert not torch.allclose(call(told, args, valid), call(told, args, short))
    assert torch.equal(call(told, args, valid), call(told, args))


def test_every_weight_learns_but_the_queries_and_keys_nobody_asks():
    net, args = decoder(indicator=True), inputs()
    start, start_audio = net.start(BATCH, HISTORY)
    args |= {
        "past": start,
        "past_audio": start_audio,
        "audio": net.embed(torch.randn(BATCH, WINDOW, 6)) + net.null_audio,
    }
    call(net, args).square().mean().backward()
    silent = {name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert silent == set()
    for layer in net.denoising_net.transformer.layers:
        grad = layer.multihead_attn.in_proj_weight.grad
        assert not grad[: 2 * WIDTH].any() and grad[2 * WIDTH :].any()


def test_the_names_are_the_official_ones():
    names = set(decoder().state_dict())
    assert {"start_audio_feat", "start_motion_feat", "null_audio_feat", "audio_feature_map.weight"} <= names
    layer = "denoising_net.transformer.layers.0."
    parts = ("self_attn.in_proj_weight", "multihead_attn.out_proj.bias", "linear1.weight", "norm3.bias")
    assert {layer + part for part in parts} <= names
    assert not [name for name in names if name.endswith((".pe", "alignment_mask", "steps", "positions"))]
