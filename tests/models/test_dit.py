"""Laws of the diffusion transformer, and of the whole generator overfitting one batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.dit import DiT, rotary, rotate, step_embedding
from joyvasa.models.losses import TERMS, MotionLoss
from joyvasa.motion import CHANNELS


@pytest.fixture
def dit(make_dit, stir) -> DiT:
    """With weights as after some training: every path open."""
    denoiser = make_dit()
    stir(denoiser)
    return denoiser.eval()


def call(denoiser: DiT, noisy_BTC, step_B, audio_BTA, history_BHC, history_audio_BHA) -> Tensor:
    """The denoiser on a voice of its own."""
    return denoiser(noisy_BTC, step_B, denoiser.condition(audio_BTA, history_audio_BHA, None), history_BHC)


def inputs(denoiser: DiT, window: int, history: int, batch: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Random arguments of a call; the denoiser's own width of audio."""
    generator = torch.Generator().manual_seed(seed)
    width = len(denoiser.start_audio)
    return {
        "noisy_BTC": torch.randn(batch, window, CHANNELS, generator=generator),
        "step_B": torch.randint(1, 11, (batch,), generator=generator),
        "audio_BTA": torch.randn(batch, window, width, generator=generator),
        "history_BHC": torch.randn(batch, history, CHANNELS, generator=generator),
        "history_audio_BHA": torch.randn(batch, history, width, generator=generator),
    }


@pytest.mark.parametrize("window", [1, 2, 7, 20, 100, 130])
@pytest.mark.parametrize("history", [0, 1, 10, 25])
def test_any_window_and_history_length_will_do(dit, window, history):
    out = call(dit, **inputs(dit, window, history))
    assert out.shape == (2, window, CHANNELS) and out.isfinite().all()


def test_each_example_is_computed_alone(dit):
    args = inputs(dit, 12, 5, batch=3)
    together = call(dit, **args)
    for row in range(3):
        alone = call(dit, **{name: value[row : row + 1] for name, value in args.items()})
        assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["noisy_BTC", "step_B", "audio_BTA", "history_BHC", "history_audio_BHA"])
def test_every_argument_matters(dit, name):
    args = inputs(dit, 12, 5)
    before = call(dit, **args)
    args[name] = args[name] + 3
    assert (call(dit, **args) - before).abs().mean() > 1e-3


def test_a_fresh_denoiser_is_its_shortcut(make_dit):
    """Gates and output layer start at zero: the transformer adds nothing, the voice alone answers."""
    denoiser = make_dit()
    args = inputs(denoiser, 12, 5)
    assert_close(call(denoiser, **args), denoiser.from_voice(args["audio_BTA"]))


def test_every_weight_learns_after_the_first_steps(make_dit, stir):
    denoiser = make_dit()
    stir(denoiser)
    args = inputs(denoiser, 12, 5)
    start, start_audio = denoiser.start(2, 5)
    args |= {"history_BHC": start, "history_audio_BHA": start_audio}
    args["audio_BTA"] = args["audio_BTA"] + denoiser.null_audio
    call(denoiser, **args).square().mean().backward()
    silent = [name for name, weight in denoiser.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


def test_start_tokens_fill_any_history(dit):
    motion, audio = dit.start(3, 7)
    assert motion.shape == (3, 7, CHANNELS) and audio.shape == (3, 7, len(dit.start_audio))
    assert torch.equal(motion, dit.start_motion.expand(3, 7, -1))
    assert torch.equal(audio, dit.start_audio.expand(3, 7, -1))


def test_rotary_attention_sees_distances_alone():
    """Scores of turned queries and keys stay the same when all positions move on together."""
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 9, 8, generator=generator, dtype=torch.float64)
    scores = []
    for history in (0, 4, 9):
        cos, sin = rotary(history, 9 - history, 8, "cpu")
        scores.append(rotate(query, cos, sin) @ rotate(key, cos, sin).mT)
    assert_close(scores[1], scores[0], atol=1e-4, rtol=1e-4)
    assert_close(scores[2], scores[0], atol=1e-4, rtol=1e-4)
    cos, sin = rotary(0, 9, 8, "cpu")
    assert not torch.allclose(rotate(query, cos, sin) @ rotate(key, cos, sin).mT, query @ key.mT)


def test_rotary_positions_count_from_the_first_frame_of_the_window():
    cos, sin = rotary(4, 6, 8, "cpu")
    assert cos.shape == sin.shape == (10, 4)
    assert_close(cos[4], torch.ones(4))
    assert_close(sin[4], torch.zeros(4))
    alone, _ = rotary(0, 6, 8, "cpu")
    assert torch.equal(cos[4:], alone)


def test_rotation_keeps_lengths():
    x = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(1))
    assert_close(rotate(x, *rotary(2, 7, 8, "cpu")).norm(dim=-1), x.norm(dim=-1))


def test_window_frames_are_told_from_history_frames_only_by_kind(dit):
    """With one kind of frame, where the window begins is a label: the frames behind both borders agree.

    This is the shift law of the whole network: positions enter through distances alone.
    """
    with torch.no_grad():
        dit.kind[0] = dit.kind[1]
    args = inputs(dit, 16, 4)
    motion = torch.cat([args["history_BHC"], args["noisy_BTC"]], 1)
    audio = torch.cat([args["history_audio_BHA"], args["audio_BTA"]], 1)

    def cut(history: int) -> Tensor:
        return call(
            dit, motion[:, history:], args["step_B"], audio[:, history:], motion[:, :history], audio[:, :history]
        )

    assert_close(cut(4)[:, 8:], cut(12), atol=1e-4, rtol=1e-4)


def test_steps_are_told_apart():
    embedding = step_embedding(torch.arange(1, 501), 64)
    assert embedding.shape == (500, 64)
    distance = torch.cdist(embedding, embedding) + 10 * torch.eye(500)
    assert distance.min() > 0.05


@pytest.mark.parametrize("window", [2, 5, 10])
def test_first_windows_do_not_know_what_comes_behind_the_pair(make_generator, make_batch, window):
    """The encoder sees both windows, the denoiser the features of its own: a voice beyond them does not exist."""
    generator = make_generator()
    batch = make_batch(window=window)
    view = generator(batch, 2)
    features = generator.encoder(batch["audio"])
    step = generator.schedule.step_of(batch["step_u"].T.reshape(-1))
    dropped = batch["drop_u"].T.reshape(-1) < generator.guidance_dropout
    first = ~dropped[: len(features)]
    signal, deviation = generator.schedule.signal_noise(step[: len(features)])
    noisy = signal * view.clean[: len(features)] + deviation * batch["noise"][:, :window]
    history = generator.denoiser.start(len(features), 2)
    alone = call(generator.denoiser, noisy, step[: len(features)], features[:, :window], *history)
    assert_close(view.prediction[: len(features)][first], alone[first], atol=1e-5, rtol=1e-5)


def test_the_generator_learns_one_batch_by_heart(make_generator, make_batch):
    generator = make_generator(fresh=True).train()
    batch = make_batch(batch=2, window=8)
    batch["drop_u"][:] = 1
    generator.encoder.requires_grad_(False)
    weights = dict.fromkeys(TERMS, 0.0) | {"noise": 1.0, "exp_vel": 0.5, "head_vel": 0.5, "join": 0.5}
    loss = MotionLoss(criterion="l2", weights=weights)
    optimizer = torch.optim.Adam((weight for weight in generator.parameters() if weight.requires_grad), lr=1e-2)
    values = []
    for _ in range(150):
        value = loss.total(loss.terms(generator(batch, 3))).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.05 * values[0]
