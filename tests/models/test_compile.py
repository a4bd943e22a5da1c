"""The denoisers compile into one graph, and the same shapes never compile again."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.decoder import Decoder
from joyvasa.models.dit import DiT
from joyvasa.motion import CHANNELS

SIZES = {"channels": CHANNELS, "audio_width": 16, "width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2.0, "dropout": 0.1}
MAKERS = {
    "dit": lambda: DiT(kernel=3, **SIZES),
    "decoder": lambda: Decoder(history=5, align_width=1, indicator=False, **SIZES),
    "decoder, band of 3": lambda: Decoder(history=5, align_width=3, indicator=True, **SIZES),
}


class Counting:
    """A compiler that compiles nothing and counts how often it is asked."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, module, inputs):
        self.graphs += 1
        return module.forward


def inputs(seed: int) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    noisy, past = (torch.randn(3, frames, CHANNELS, generator=rng) for frames in (10, 5))
    audio, past_audio = (torch.randn(3, frames, 16, generator=rng) for frames in (10, 5))
    return noisy, torch.randint(1, 11, (3,), generator=rng), audio, past, past_audio


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_one_graph_for_every_step(make, training):
    torch._dynamo.reset()
    denoiser, backend = make().train(training), Counting()
    compiled = torch.compile(denoiser, backend=backend, fullgraph=True, dynamic=False)
    for seed in range(4):
        noisy, step, audio, past, past_audio = inputs(seed)
        condition = denoiser.condition(audio, past_audio, torch.ones(3, 10))
        out = compiled(noisy, step, condition, past)
        if not training:
            assert_close(out, denoiser(noisy, step, condition, past))
    assert backend.graphs == 1
