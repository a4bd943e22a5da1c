"""Laws of the motion generator in training, and of its guidance: what the denoiser is given, and what is made of it.

B batch, T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.diffusion import NoiseTarget, SampleTarget, VelocityTarget
from joyvasa.models.generation import Guidance
from joyvasa.motion import CHANNELS


def draws(make_batch: Callable, **given) -> dict[str, Tensor]:
    """A batch of three examples; dropped are the second window of the first and the first window of the third."""
    batch = make_batch(**given)
    batch["drop_u"] = torch.tensor([[0.9, 0.01], [0.5, 0.5], [0.02, 0.9]])
    return batch


def test_dropped_windows_hear_the_null_voice_and_others_their_own(watch, generator, make_batch):
    calls, batch = watch(generator), draws(make_batch)
    generator(batch, 3)
    audio, features = calls[0][2], torch.cat(generator.encoder(batch["audio"]).split(10, 1))
    null = generator.denoiser.null_audio.expand(10, -1)
    for row, dropped in enumerate([False, False, True, True, False, False]):
        assert_close(audio[row], null if dropped else features[row])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 6)])
def test_the_share_of_dropped_windows_goes_from_none_to_all(watch, make_generator, make_batch, share, expected):
    generator = make_generator(guidance_dropout=share)
    calls = watch(generator)
    generator(make_batch(), 3)
    assert int((calls[0][2] == generator.denoiser.null_audio).all(-1).all(-1).sum()) == expected


@pytest.mark.parametrize("history", [0, 1, 3, 10])
def test_first_windows_follow_start_tokens_and_second_ones_the_tail_of_the_first(watch, generator, make_batch, history):
    calls, batch = watch(generator), draws(make_batch)
    view = generator(batch, history)
    past, past_audio = calls[0][3:]
    clean = generator.normaliser.normalise(batch["motion"])
    features = generator.encoder(batch["audio"])
    start, start_audio = generator.denoiser.start(3, history)
    assert_close(past, torch.cat([start, clean[:, 10 - history : 10]]))
    # The history keeps its voice also where the window's own is dropped.
    assert_close(past_audio, torch.cat([start_audio, features[:, 10 - history : 10]]))
    assert view.has_history.tolist() == [0, 0, 0, 1, 1, 1]
    assert_close(view.history[3:], clean[:, 10 - history : 10])
    assert not view.history.requires_grad


def test_a_disturbed_history_is_seen_by_the_denoiser_and_not_by_the_loss(watch, make_generator, make_batch):
    generator, batch = make_generator(history_noise=0.5), draws(make_batch)
    calls = watch(generator)
    view = generator(batch, 4)
    recorded = generator.normaliser.normalise(batch["motion"])[:, 6:10]
    assert_close(view.history[3:], recorded)
    # One offset held over the history, as far as a sample drifts, of the size that the first window's step says.
    disturbance = calls[0][3][3:] - recorded
    expected = 0.5 * batch["step_u"][:, :1, None] * batch["noise"][:, :1]
    assert_close(disturbance, expected.expand(-1, 4, -1), atol=1e-5, rtol=1e-5)


def test_noisy_motion_is_that_of_the_drawn_step_and_noise(watch, generator, make_batch):
    calls, batch = watch(generator), draws(make_batch)
    generator(batch, 3)
    noisy, step = calls[0][:2]
    assert step.tolist() == generator.schedule.step_of(batch["step_u"].T.flatten()).tolist()
    clean = generator.normaliser.normalise(batch["motion"])
    for row, (example, window) in enumerate([(b, w) for w in (0, 1) for b in range(3)]):
        frames = slice(10 * window, 10 * window + 10)
        bar = generator.schedule.alpha_bars[step[row]]
        expected = bar.sqrt() * clean[example, frames] + (1 - bar).sqrt() * batch["noise"][example, frames]
        assert_close(noisy[row], expected)


@pytest.mark.parametrize("target", [SampleTarget(), NoiseTarget(), VelocityTarget()])
def test_the_clean_prediction_is_the_one_the_prediction_implies(make_generator, make_batch, target):
    generator, batch = make_generator(target=target), draws(make_batch)
    view = generator(batch, 3)
    signal, deviation = generator.schedule.signal_noise(generator.schedule.step_of(batch["step_u"].T.flatten()))
    noise = torch.cat(batch["noise"].split(10, 1))
    noisy = signal * view.clean + deviation * noise
    assert_close(view.clean_prediction, target.clean(view.prediction, noisy, signal, deviation))
    assert_close(target.clean(view.target, noisy, signal, deviation), view.clean, atol=1e-3, rtol=1e-3)


def test_training_holds_no_randomness_of_its_own(generator, make_batch):
    batch = draws(make_batch)
    torch.manual_seed(1)
    once = generator.train()(batch, 3).prediction
    torch.manual_seed(2)
    assert torch.equal(generator(batch, 3).prediction, once)


def test_examples_are_trained_apart(generator, make_batch):
    batch = draws(make_batch)
    together = generator(batch, 3).prediction
    alone = generator({name: value[1:2] for name, value in batch.items()}, 3).prediction
    assert_close(together[1::3], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("target", [SampleTarget(), NoiseTarget(), VelocityTarget()])
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_guidance_in_one_batch_equals_two_passes(make_generator, target, scale):
    generator = make_generator(target=target)
    rng = torch.Generator().manual_seed(0)
    width, denoiser = len(generator.denoiser.start_audio), generator.denoiser
    noisy, audio, past, past_audio = (
        torch.randn(2, frames, channels, generator=rng)
        for frames, channels in ((10, CHANNELS), (10, width), (3, CHANNELS), (3, width))
    )
    guided = generator.guided(audio, past, past_audio, Guidance(scale, None))(noisy, 6)
    step = torch.full((2,), 6)
    with_voice, without = (
        denoiser(noisy, step, denoiser.condition(voice, past_audio, None), past)
        for voice in (audio, denoiser.null_audio.expand_as(audio))
    )
    signal, deviation = generator.schedule.signal_noise(step)
    expected = target.clean((1 - scale) * without + scale * with_voice, noisy, signal, deviation)
    assert_close(guided, expected, atol=1e-4, rtol=1e-4)


def test_features_given_stand_for_the_audio(generator, make_batch):
    batch = draws(make_batch)
    heard = generator(batch, 3).prediction
    batch["features"] = generator.encoder(batch.pop("audio"))
    assert torch.equal(generator(batch, 3).prediction, heard)


class Counting(torch.nn.Module):
    """An encoder whose feature is the frame's number within what it was given, beside the mean of its samples."""

    frozen, per_window, width, context = True, True, 16, (0, 0)

    def forward(self, audio_BS: Tensor) -> Tensor:
        frames = audio_BS.unflatten(-1, (-1, 640)).mean(-1)
        number = torch.arange(frames.shape[1]).expand_as(frames).float()
        return torch.stack([frames, number], -1).repeat(1, 1, 8)


def test_a_per_window_encoder_hears_each_window_by_itself(watch, generator, make_batch):
    calls, batch = watch(generator), draws(make_batch)
    generator.encoder, generator.guidance_dropout = Counting(), 0.0
    generator(batch, 3)
    numbers, past = calls[0][2][..., 1], calls[0][4][3:, :, 1]
    assert torch.equal(numbers, torch.arange(10.0).expand(6, -1)) and torch.equal(
        past, torch.arange(7.0, 10).expand(3, -1)
    )


def test_windows_cut_by_themselves_keep_the_whole_recording_as_history(watch, generator, make_batch):
    calls, batch = watch(generator), draws(make_batch)
    generator.encoder, generator.guidance_dropout = Counting(), 0.0
    batch["end"] = torch.tensor([[4, 10], [10, 10], [1, 7]])
    whole = batch["audio"].unflatten(-1, (-1, 640)).mean(-1)
    view = generator(batch, 3)
    heard, past = calls[0][2][..., 0], calls[0][4][3:, :, 0]
    expected = torch.cat(whole.split(10, 1)).clone()
    for row, end in enumerate([4, 10, 1, 10, 10, 7]):
        expected[row, end:] = 0
        assert not view.clean[row, end:].any() and view.clean[row, :end].any()
    assert_close(heard, expected)
    assert_close(past, whole[:, 7:10])
    clean = generator.normaliser.normalise(batch["motion"])
    assert_close(view.history[3:], clean[:, 7:10])


def test_windows_cut_by_themselves_need_an_encoder_of_windows(generator, make_batch):
    batch = draws(make_batch)
    batch["end"] = torch.full((3, 2), 5)
    with pytest.raises(ValueError, match="per_window=true"):
        generator(batch, 3)


def test_a_prediction_of_the_history_is_kept_apart(make_batch, make_generator):
    from joyvasa.models.decoder import Decoder

    generator, batch = make_generator(), draws(make_batch)
    assert generator(batch, 3).history_prediction is None
    sizes = {"width": 16, "depth": 1, "heads": 2, "mlp_ratio": 2.0, "dropout": 0.0, "history": 5}
    generator.denoiser = Decoder(channels=CHANNELS, audio_width=16, **sizes, align_width=1, indicator=False)
    view = generator(batch, 3)
    assert view.history_prediction.shape == (6, 3, CHANNELS) and view.prediction.shape == (6, 10, CHANNELS)
    assert view.from_voice is None


@pytest.mark.parametrize("threshold", [(0.5, 0.1, 0.4), (0.9, 0.5, 1.5), (1.0, 0.01, 100.0)])
def test_dynamic_threshold_bounds_each_branch_by_its_own_quantile(threshold):
    out = (
        torch.randn(3, 10, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 1.0, 5.0])[:, None, None]
    )
    bounded = Guidance(2.0, threshold).bound(out)
    ratio, low, high = threshold
    for row, limited in zip(out, bounded, strict=True):
        limit = min(max(torch.quantile(row.abs().flatten(), ratio).item(), low), high)
        assert_close(limited, row.clamp(-limit, limit))
    assert Guidance(2.0, None).bound(out) is out
    with pytest.raises(ValueError, match="threshold"):
        Guidance(2.0, (0.9, 2.0, 1.0))
