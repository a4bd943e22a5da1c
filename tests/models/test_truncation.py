"""Laws of a recording that ends early: what is before the end stays, what is behind it is silence or held."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.truncation import PADS, truncate
from joyvasa.motion import CHANNELS, SAMPLES_PER_FRAME

FRAMES = 6
ENDS = torch.tensor([1, 4, FRAMES])


def recording() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(len(ENDS), FRAMES * SAMPLES_PER_FRAME, generator=generator)
    return audio, torch.randn(len(ENDS), FRAMES, CHANNELS, generator=generator)


@pytest.mark.parametrize("pad", PADS)
def test_row_by_row_what_is_before_the_end_stays_and_the_rest_is_filled(pad):
    audio, motion = recording()
    before = audio.clone(), motion.clone()
    voice, face = truncate(audio, motion, ENDS, pad)
    for row, end in enumerate(ENDS.tolist()):
        for values, cut, stop in ((audio, voice, end * SAMPLES_PER_FRAME), (motion, face, end)):
            assert torch.equal(cut[row, :stop], values[row, :stop])
            filling = values[row, stop - 1] if pad == "replicate" else torch.zeros_like(values[row, 0])
            assert torch.equal(cut[row, stop:], filling.expand_as(cut[row, stop:]))
    assert torch.equal(audio, before[0]) and torch.equal(motion, before[1]), "the arguments stay as they were"


@pytest.mark.parametrize("pad", PADS)
def test_an_end_at_the_end_changes_nothing_and_cutting_twice_is_cutting_once(pad):
    audio, motion = recording()
    assert_close(truncate(audio, motion, torch.full_like(ENDS, FRAMES), pad), (audio, motion), rtol=0, atol=0)
    once = truncate(audio, motion, ENDS, pad)
    assert_close(truncate(*once, ENDS, pad), once, rtol=0, atol=0)


def test_another_pad_is_named_with_the_choices():
    with pytest.raises(ValueError, match="truncation pad='hold': choose from zero, replicate"):
        truncate(*recording(), ENDS, "hold")
