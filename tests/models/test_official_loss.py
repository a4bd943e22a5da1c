"""Laws of the published loss: each term is its formula, padding does not count, the slip is what it is said to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.losses import CRITERIA, WindowPrediction
from joyvasa.models.official_loss import PUBLISHED, OfficialLoss, published_noise, published_terms, regions
from joyvasa.motion import CHANNELS, EXP, HEAD

BATCH, FRAMES, HISTORY = 3, 8, 4
WEIGHTS = {name: 0.5 + 0.25 * number for number, name in enumerate(PUBLISHED)}
SLIPPED = {"exp", "exp_vel", "exp_smooth"}


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def valid_until(*ends: int) -> Tensor:
    return (torch.arange(FRAMES) < torch.tensor(ends)[:, None]).float()


def window_of(channels: int = CHANNELS) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction (B, L, C), clean (B, N, C), history (B, H, C)."""
    frames = (HISTORY + FRAMES, FRAMES, HISTORY)
    return tuple(draw(BATCH, count, channels, seed=seed) for seed, count in enumerate(frames))


def terms_of(prediction: Tensor, clean: Tensor, history: Tensor, **changes) -> dict[str, Tensor]:
    exp, head = regions(clean.shape[-1])
    settings = {"first": False, "criterion": CRITERIA["l2"], "valid_BN": torch.ones(len(clean), FRAMES)}
    settings |= {"constrain_history": True, "exp": exp, "head": head}
    return published_terms(prediction, clean, history, **settings | changes)


def view_of(seed: int = 0) -> WindowPrediction:
    """2B windows whose prediction, history included, takes a gradient."""

    def motion(frames: int, plus: int) -> Tensor:
        return draw(2 * BATCH, frames, CHANNELS, seed=10 * seed + plus)

    prediction, clean = motion(FRAMES, 0).requires_grad_(), motion(FRAMES, 1)
    return WindowPrediction(
        prediction=prediction,
        target=clean,
        clean_prediction=prediction,
        clean=clean,
        history=motion(HISTORY, 2),
        has_history=torch.arange(2 * BATCH).ge(BATCH).float(),
        from_voice=None,
        history_prediction=motion(HISTORY, 3).requires_grad_(),
        predicts_motion=True,
    )


def loss_of(**changes) -> OfficialLoss:
    settings = {"criterion": "l2", "weights": WEIGHTS, "slip": False, "constrain_history": True}
    return OfficialLoss(**settings | changes)


def halves(view: WindowPrediction, valid: Tensor) -> list[dict[str, Tensor]]:
    """The terms of the first and of the second windows of a view."""
    whole = torch.cat([view.history_prediction, view.prediction], 1)
    rows = (slice(0, BATCH), slice(BATCH, None))
    return [
        terms_of(whole[part], view.clean[part], view.history[part], first=first, valid_BN=valid[part])
        for first, part in zip((True, False), rows, strict=True)
    ]


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("constrain", [True, False])
def test_terms_of_a_second_window_written_out(name, constrain):
    of = CRITERIA[name]
    prediction, clean, history = window_of()
    valid = valid_until(FRAMES, 3, 1)
    found = terms_of(
        prediction, clean, history, criterion=of, valid_BN=valid, constrain_history=constrain, exp=EXP, head=HEAD
    )
    true = torch.cat([history, clean], 1)
    said = prediction if constrain else torch.cat([history, prediction[:, HISTORY:]], 1)
    seen = torch.cat([torch.full((BATCH, HISTORY), constrain), valid.bool()], 1)
    expected = {"noise": of(said - true)[seen].mean()}
    for region, place, prefix in ((EXP, "exp", "exp"), (HEAD, "head_angle", "head")):
        a, b = said[..., region], true[..., region]
        va, vb = a[:, 1:] - a[:, :-1], b[:, 1:] - b[:, :-1]
        expected[place] = of(a - b)[seen].mean()
        expected[f"{prefix}_vel"] = of(va - vb)[seen[:, 1:]].mean()
        expected[f"{prefix}_smooth"] = of(va[:, 1:] - va[:, :-1])[seen[:, 2:]].mean()
    six = torch.cat([history[:, -3:, HEAD], prediction[:, HISTORY : HISTORY + 3, HEAD]], 1)
    velocity = six[:, 1:] - six[:, :-1]
    bend = velocity[:, 1:] - velocity[:, :-1]
    inside = valid.bool()
    bends = of(velocity[:, 2:4] - velocity[:, 1:3])[inside[:, :2]].mean()
    expected["head_trans"] = bends + of(bend[:, 1:] - bend[:, :-1])[inside[:, :3]].mean()
    assert set(expected) == set(PUBLISHED)
    assert_close(found, expected)


def test_a_first_window_sees_nothing_of_what_was_before_it():
    prediction, clean, history = window_of()
    terms = terms_of(prediction, clean, history, first=True)
    assert set(terms) == set(PUBLISHED) - {"head_trans"}
    assert_close(terms["noise"], (prediction[:, HISTORY:] - clean).square().mean())
    elsewhere = prediction.clone()
    elsewhere[:, :HISTORY] += 9.0
    assert_close(terms_of(elsewhere, clean, history + 9.0, first=True), terms, rtol=0, atol=0)


def test_what_follows_the_head_in_a_wide_layout_counts_as_expression():
    assert regions(CHANNELS) == (list(range(63)), HEAD)
    prediction, clean, history = window_of(channels=73)
    terms = terms_of(prediction, clean, history, first=True)
    error = (prediction[:, HISTORY:] - clean).square()
    assert_close(terms["exp"], torch.cat([error[..., :63], error[..., 70:]], -1).mean())
    assert_close(terms["head_angle"], error[..., 63:70].mean())


def test_of_nothing_the_expression_is_undefined_and_the_head_absent():
    prediction, clean, history = window_of()
    terms = terms_of(prediction, clean, history, first=True, valid_BN=valid_until(1, 1, 1))
    assert set(terms) == {"noise", "exp", "exp_vel", "exp_smooth", "head_angle"}
    assert {name for name, value in terms.items() if value.isnan()} == {"exp_vel", "exp_smooth"}
    assert not terms_of(prediction, clean, history, head=None).keys() & {n for n in PUBLISHED if n.startswith("head")}


@pytest.mark.parametrize("first", [True, False])
def test_rows_that_do_not_count_change_nothing(first):
    prediction, clean, history = window_of()
    padded = terms_of(prediction, clean, history, first=first, valid_BN=valid_until(FRAMES, 5, 0))
    alone = terms_of(prediction[:2], clean[:2], history[:2], first=first, valid_BN=valid_until(FRAMES, 5))
    assert_close(padded, alone)


def test_mended_terms_are_the_mean_of_both_windows():
    view, valid = view_of(), torch.cat([valid_until(FRAMES, 4, 2), valid_until(7, FRAMES, 1)])
    first, second = halves(view, valid)
    value = loss_of()(view, valid)
    expected = {name: (first[name] + second[name]) / 2 for name in first} | {"head_trans": second["head_trans"]}
    assert_close(value.terms, {name: term.detach() for name, term in expected.items()})
    assert value.count == BATCH
    assert_close(value.total / value.count, sum(WEIGHTS[name] * term for name, term in expected.items()))
    assert not any(term.requires_grad for term in value.terms.values())


def test_the_slip_takes_the_second_window_one_and_a_half_times_and_nothing_of_the_first():
    view, valid = view_of(), torch.ones(2 * BATCH, FRAMES)
    first, second = halves(view, valid)
    slipped, mended = loss_of(slip=True)(view, valid).terms, loss_of()(view, valid).terms
    for name in PUBLISHED:
        if name in SLIPPED:
            assert_close(slipped[name], 1.5 * second[name].detach())
        else:
            assert_close(slipped[name], mended[name])


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("slip", [True, False])
def test_which_windows_feel_a_term(name, slip):
    view, weights = view_of(), dict.fromkeys(PUBLISHED, 0.0) | {name: 1.0}
    value = loss_of(slip=slip, weights=weights)(view, torch.ones(2 * BATCH, FRAMES))
    value.total.backward()
    assert set(value.terms) == {name}
    first, second = view.prediction.grad.chunk(2)
    assert second.any()
    assert bool(first.any()) == (name != "head_trans" and not (slip and name in SLIPPED))
    first, second = view.history_prediction.grad.chunk(2)
    assert not first.any(), "what is said of start tokens is never compared"
    assert bool(second.any()) == (name != "head_trans")


@pytest.mark.parametrize("slip", [True, False])
def test_examples_that_fill_a_batch_change_neither_gradient_nor_count(slip):
    view = view_of()
    valid = torch.ones(2 * BATCH, FRAMES)
    valid[[BATCH - 1, 2 * BATCH - 1]] = 0.0
    value = loss_of(slip=slip)(view, valid)
    value.total.backward()
    kept = [row for row in range(2 * BATCH) if valid[row].any()]
    tensors = {name: given for name, given in vars(view).items() if isinstance(given, Tensor)}
    alone = replace(view, **{name: given.detach()[kept].requires_grad_() for name, given in tensors.items()})
    fewer = loss_of(slip=slip)(alone, valid[kept])
    fewer.total.backward()
    assert value.count == fewer.count == BATCH - 1
    assert_close(value.total, fewer.total)
    assert_close(view.prediction.grad[kept], alone.prediction.grad)
    assert (
        not view.prediction.grad[valid[:, 0] == 0].any() and not view.history_prediction.grad[BATCH - 1 :: BATCH].any()
    )


@pytest.mark.parametrize("slip", [True, False])
@pytest.mark.parametrize("ends", [(1, 1, 1), (0, 0, 0)])
def test_an_empty_selection_is_no_nan(slip, ends):
    """All first windows cut after one frame; nothing that counts at all."""
    view, valid = view_of(), torch.cat([valid_until(*ends), valid_until(*(7 * end for end in ends))])
    value = loss_of(slip=slip)(view, valid)
    value.total.backward()
    assert value.total.isfinite() and view.prediction.grad.isfinite().all()
    assert value.count == (BATCH if any(ends) else 0)
    assert bool(value.total > 0) == any(ends)


def test_without_words_on_the_history_only_an_unconstrained_loss_works():
    view, valid = view_of(), torch.ones(2 * BATCH, FRAMES)
    silent, denoiser = replace(view, history_prediction=None), torch.nn.Identity()
    denoiser.tells_history = False
    with pytest.raises(ValueError, match="denoiser=decoder or loss.constrain_history=false"):
        loss_of().require(denoiser)
    loss_of(constrain_history=False).require(denoiser)
    free = loss_of(constrain_history=False)
    assert_close(free(silent, valid).terms, free(view, valid).terms)


def test_where_the_target_is_not_motion_the_noise_term_is_all():
    view = replace(view_of(), predicts_motion=False, target=draw(2 * BATCH, FRAMES, CHANNELS, seed=99))
    value = loss_of()(view, torch.ones(2 * BATCH, FRAMES))
    assert set(value.terms) == {"noise"}
    assert_close(value.terms["noise"], (view.prediction - view.target).square().mean().detach())
    valid = valid_until(FRAMES, 3, 0)
    noise = published_noise(view.prediction[:BATCH], view.target[:BATCH], criterion=CRITERIA["l1"], valid_BN=valid)
    assert_close(noise.value, (view.prediction - view.target)[:BATCH][valid.bool()].abs().mean())


def test_a_misspelt_or_forgotten_weight_and_an_unknown_criterion_are_named():
    with pytest.raises(ValueError, match=r"loss\.weights: unknown terms \['lips'\], missing \[\]"):
        loss_of(weights=WEIGHTS | {"lips": 1.0})
    with pytest.raises(ValueError, match=r"unknown terms \[\], missing \['exp_vel'\]"):
        loss_of(weights={name: weight for name, weight in WEIGHTS.items() if name != "exp_vel"})
    with pytest.raises(ValueError, match=r"loss\.criterion=huber: choose from l1, l2"):
        loss_of(criterion="huber")


def test_a_history_too_short_for_the_join_is_named():
    prediction, clean, history = window_of()
    with pytest.raises(ValueError, match=r"got a history of 2 and a window of 8; set data\.history"):
        terms_of(prediction[:, 2:], clean, history[:, 2:])
