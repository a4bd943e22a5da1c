"""Laws of the loss term of a sync expert: which frames cost, what learns from it, and what it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.losses import TERMS, MotionLoss, Spoken, WindowPrediction
from joyvasa.models.sync_expert import SyncExpert
from joyvasa.models.sync_expert_file import write_expert
from joyvasa.models.sync_loss import SyncedLoss
from joyvasa.motion import CHANNELS, LIPS, SAMPLES_PER_FRAME, MotionStats

FRAMES, WINDOW, WEIGHT = 12, 8, 0.3
ENCODER = {"width": 10, "bands": 20, "blocks": 1, "kernel": 3}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    torch.manual_seed(0)
    zeros, ones = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    stats = MotionStats(zeros, ones, zeros, ones, zeros, ones)
    sizes = {"window": WINDOW, "kernel": 3, "width": 12, "embedding": 6}
    expert = SyncExpert(encoder=LogMelEncoder(**ENCODER), stats=stats, seed=5, **sizes)
    file = tmp_path_factory.mktemp("critic") / "expert.safetensors"
    write_expert(file, expert, encoder=ENCODER, max_shift=15, facts={})
    return str(file)


def loss_of(path, *, sync=WEIGHT, **weights) -> SyncedLoss:
    return SyncedLoss(criterion="l2", weights=dict.fromkeys(TERMS, 0.0) | weights, sync=sync, expert=path)


def view_of(examples=2, seed=0) -> WindowPrediction:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    predicted = draw(2 * examples, FRAMES, CHANNELS).requires_grad_()
    return WindowPrediction(
        prediction=predicted,
        target=draw(2 * examples, FRAMES, CHANNELS),
        clean_prediction=predicted,
        clean=draw(2 * examples, FRAMES, CHANNELS),
        history=draw(2 * examples, 4, CHANNELS),
        has_history=torch.arange(2 * examples).ge(examples).float(),
        from_voice=None,
        history_prediction=None,
        predicts_motion=True,
        spoken=Spoken(0.1 * draw(examples, 2 * FRAMES * SAMPLES_PER_FRAME), lambda motion: 2 * motion + 1),
    )


def test_the_mean_cost_is_that_of_all_stretches_of_both_windows(path):
    loss, view = loss_of(path), view_of()
    value = loss(view, torch.ones(4, FRAMES))
    expert = loss._opened(torch.device("cpu"))
    course = 2 * torch.cat([view.clean_prediction[:2], view.clean_prediction[2:]], 1) + 1
    expected = 1 - expert.agreement(course, view.spoken.audio)
    assert expected.shape == (2, 2 * FRAMES - WINDOW + 1)
    torch.testing.assert_close(value.terms["sync"], expected.mean().detach())
    torch.testing.assert_close(value.total / value.count, WEIGHT * expected.mean())


def test_stretches_that_reach_beyond_the_clips_end_do_not_count(path):
    loss, view, end = loss_of(path), view_of(), FRAMES + 3
    valid = torch.ones(2, 2 * FRAMES)
    valid[0, end:] = 0
    weight = torch.cat(valid.split(FRAMES, 1))
    loss(view, weight).total.backward()
    second = view.clean_prediction.grad[2]
    assert second[: end - FRAMES, LIPS].abs().sum(-1).all() and not second[end - FRAMES :].any()


def test_the_motion_learns_and_the_expert_and_the_voice_do_not(path):
    loss, view = loss_of(path), view_of()
    view.spoken.audio.requires_grad_()
    expert = loss._opened(torch.device("cpu"))
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    loss(view, torch.ones(4, FRAMES)).total.backward()
    gradient = view.clean_prediction.grad
    rest = sorted(set(range(CHANNELS)) - set(LIPS))
    assert gradient[..., LIPS].abs().sum(-1).all() and not gradient[..., rest].any()
    assert view.spoken.audio.grad is None
    assert all(p.grad is None for p in expert.parameters())
    assert all(torch.equal(value, before[name]) for name, value in expert.state_dict().items())
    assert not list(loss.parameters()) and not loss.state_dict(), "it is neither trained nor saved"


def test_the_other_terms_are_those_of_the_loss_without_it(path):
    view, weights = view_of(), {"noise": 1.0, "exp_vel": 0.5, "join": 0.1}
    plain = MotionLoss(criterion="l2", weights=dict.fromkeys(TERMS, 0.0) | weights)(view, torch.ones(4, FRAMES))
    value = loss_of(path, **weights)(view, torch.ones(4, FRAMES))
    assert value.terms.keys() == plain.terms.keys() | {"sync"} and value.count == plain.count
    for name, mean in plain.terms.items():
        torch.testing.assert_close(value.terms[name], mean)
    torch.testing.assert_close(value.total, plain.total + WEIGHT * value.terms["sync"] * value.count)


def test_opening_the_expert_moves_no_random_number(path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    loss_of(path)._opened(torch.device("cpu"))
    assert torch.equal(torch.rand(4), expected)


class _Denoiser(torch.nn.Module):
    reads_voice, channels = True, CHANNELS


def test_what_it_lacks_is_said(path):
    with pytest.raises(ValueError, match="expected a weight above 0"):
        loss_of(path, sync=0.0)
    with pytest.raises(ValueError, match="loss.expert= is missing"):
        loss_of(None).require(_Denoiser())
    with pytest.raises(FileNotFoundError, match="nowhere.*no sync expert there"):
        loss_of("nowhere").require(_Denoiser())
    loss_of(path).require(_Denoiser())
    with pytest.raises(ValueError, match="data.features=null"):
        loss_of(path)(replace(view_of(), spoken=None), torch.ones(4, FRAMES))
